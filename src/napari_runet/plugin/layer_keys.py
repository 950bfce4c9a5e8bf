"""Which keys do what on the layers that we add."""

from typing import TYPE_CHECKING
from weakref import WeakSet

from napari_runet.plugin import keys

if TYPE_CHECKING:
    from napari.layers import Labels

    from napari_runet.plugin.bridging import Bridging
    from napari_runet.plugin.carrying import Carrying
    from napari_runet.plugin.correcting import Correcting
    from napari_runet.plugin.session import Session
    from napari_runet.plugin.stepping import Stepping


class LayerKeys:
    """Binds the keys as set in napari's preferences to layers as they appear, and again when they are set anew.

    Parameters
    ----------
    session, stepping
        Tell of layers.
    correcting, bridging, carrying
        Do what the keys of a correction layer ask for.
    stepping_actions
        What the keys of an iteration layer do.
    anywhere
        What keys do on both.
    """

    def __init__(
        self,
        session: "Session",
        stepping: "Stepping",
        correcting: "Correcting",
        bridging: "Bridging",
        carrying: "Carrying",
        stepping_actions: keys.Actions,
        anywhere: keys.Actions,
    ) -> None:
        self._session, self._stepping, self._correcting = session, stepping, correcting
        self._bridging, self._carrying = bridging, carrying
        self._stepping_actions = {**stepping_actions, **anywhere}
        self._anywhere = anywhere
        self._bound: WeakSet[Labels] = WeakSet()
        for event in (session.events.results, session.events.revision, session.events.correction):
            event.connect(self.bind)
        for name in {**self._stepping_actions, **self._correction_actions()}:
            getattr(keys.key_settings().events, name).connect(self._bind_anew)

    def bind(self) -> None:
        """Bind the keys to layers that have none yet."""
        for layer in self._stepping.iteration_layers():
            if layer not in self._bound:
                self._bound.add(layer)
                keys.bind(layer, self._stepping_actions)
                keys.bind_painting(layer, self._correcting.correct)
        correction = self._session.correction
        if correction is not None and correction.layer is not None and correction.layer not in self._bound:
            self._bound.add(correction.layer)
            keys.bind(correction.layer, self._correction_actions())

    def _bind_anew(self) -> None:
        self._bound.clear()
        self.bind()

    def _correction_actions(self) -> keys.Actions:
        return {
            "paint": lambda: self._correcting.brush(1),
            "erase": lambda: self._correcting.brush(0),
            "review": lambda: self._correcting.reviewing.review("view"),
            "bridge": self._bridging.at_mouse,
            "carry": self._carrying.to_next,
            **self._anywhere,
        }
