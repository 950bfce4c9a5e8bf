"""Which keys do what on the layers that we add."""

from collections.abc import Callable
from typing import TYPE_CHECKING
from weakref import WeakSet

from napari_runet.plugin import keys

if TYPE_CHECKING:
    from napari.layers import Labels

    from napari_runet.plugin.session import Session
    from napari_runet.plugin.stepping import Stepping


class LayerKeys:
    """Binds the keys as set in napari's preferences to layers as they appear, and again when they are set anew.

    Parameters
    ----------
    session, stepping
        Tell of layers.
    on_iteration, on_correction
        What keys do on a layer that shows an iteration, and on one that is corrected.
    to_paint
        What napari's own keys for painting do on a layer that shows an iteration.
    """

    def __init__(
        self,
        session: "Session",
        stepping: "Stepping",
        on_iteration: keys.Actions,
        on_correction: keys.Actions,
        to_paint: Callable[[], object],
    ) -> None:
        self._session, self._stepping, self._to_paint = session, stepping, to_paint
        self._on_iteration, self._on_correction = on_iteration, on_correction
        self._bound: WeakSet[Labels] = WeakSet()
        events = session.events
        for event in (events.results, events.revision, events.shown, events.correction):
            event.connect(self.bind)
        self._following = self._released = False

    def follow_settings(self) -> None:
        """Bind anew when keys are set in the preferences; napari reads every plugin's manifest for that, 0.1 s."""
        if self._following:
            return
        self._following = True
        events = keys.key_settings().events
        for name in {**self._on_iteration, **self._on_correction}:
            getattr(events, name).connect(self._bind_anew)

    def bind(self) -> None:
        """Bind the keys to layers that have none yet."""
        if self._released:
            return
        for layer in self._stepping.iteration_layers():
            if layer not in self._bound:
                self.follow_settings()
                self._bound.add(layer)
                keys.bind(layer, self._on_iteration)
                keys.bind_painting(layer, self._to_paint)
        correction = self._session.correction
        if correction is not None and correction.layer is not None and correction.layer not in self._bound:
            self.follow_settings()
            self._bound.add(correction.layer)
            keys.bind(correction.layer, self._on_correction)

    def release(self) -> None:
        """The keys do nothing any more: the panel goes, and the layers stay."""
        self._released = True
        for layer in self._bound:
            layer.keymap.clear()

    def _bind_anew(self) -> None:
        self._bound.clear()
        self.bind()
