"""What people hold while they correct, on its way from plane to plane of an image."""

from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from napari_runet.plugin.plane_correction import correction_of
from napari_runet.plugin.session import Notice

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from napari.components import ViewerModel
    from napari.layers import Labels
    from napari.utils.events import Event

    from napari_runet.plugin.choices import Choices
    from napari_runet.plugin.plane_correction import PlaneCorrection
    from napari_runet.plugin.session import Session

_PAINTING = ("paint", "erase", "fill", "polygon")


class Brush:
    """Goes along to the other planes of an image: the tool, the class and the size.

    A layer of one plane cannot be painted on from another, which napari answers with an error of its own.

    Parameters
    ----------
    viewer, session, choices
        Which layer is selected, what is on show, and how images are read.
    correct
        Opens the layer on which the plane on show is corrected, and selects it; None where that cannot be.
    """

    def __init__(
        self, viewer: "ViewerModel", session: "Session", choices: "Choices", correct: "Callable[[], Labels | None]"
    ) -> None:
        self._viewer, self._session, self._choices, self._correct = viewer, session, choices, correct

    def follow(self) -> None:
        """Where a plane is reached that is being corrected, go on with its layer."""
        left, here = self._left_behind(), self._session.correction
        if left is None or here is None or here.layer is None or not here.layer.visible:
            return
        if left.image is here.image:
            tool = _put_down(left)
            self._viewer.layers.selection.active = here.layer
            _take_up(tool, here.layer)

    def on_press(self, _viewer: object, event: "Event") -> None:
        """Begin to correct the plane on show by a stroke; napari then paints on the layer that is selected."""
        held = correction_of(self._viewer.layers.selection.active)
        if held is None or held.layer is None or held.layer.mode not in _PAINTING:
            return
        if self._left_behind() is None:
            if held.source.corner is not None and not _is_on(held.layer, event.position):
                text = "Nothing is painted outside the framed square; Correct opens the one in the middle of the view."
                self._session.correction_notice = Notice(text, "warning")
            return
        tool = _put_down(held)
        if held.image is not self._session.image:
            text = f"The selected layer is of another plane of {held.image.name}; choose that image to paint on it."
            self._session.correction_notice = Notice(text, "warning")
            return
        layer = self._correct()  # where that cannot be, the panel says why
        if layer is not None:
            _take_up(tool, layer)

    def _left_behind(self) -> "PlaneCorrection | None":
        """The selected correction, where it is of another plane of its image than the one on show."""
        held = correction_of(self._viewer.layers.selection.active)
        if held is None or held.layer is None or held.image not in self._viewer.layers:
            return None
        return held if self._choices.plane_on_show(held.image) not in (None, held.source.index) else None


def _is_on(layer: "Labels", world: "Sequence[float]") -> bool:
    """Whether a point of the world lies on a layer."""
    at = np.round(layer.world_to_data(np.asarray(world)[-layer.ndim :]))
    return bool(((at >= 0) & (at < layer.data.shape)).all())


class _Tool(NamedTuple):
    mode: str
    label: int
    size: float


def _put_down(correction: "PlaneCorrection") -> _Tool:
    """What is in hand over a layer, where nothing is any more."""
    layer = correction.layer
    assert layer is not None
    tool = _Tool(str(layer.mode), layer.selected_label, layer.brush_size)
    layer.mode = "pan_zoom"
    return tool


def _take_up(tool: _Tool, layer: "Labels") -> None:
    correction = correction_of(layer)
    if correction is not None and tool.label < len(correction.card.classes):
        layer.selected_label = tool.label
    layer.brush_size, layer.mode = tool.size, tool.mode
