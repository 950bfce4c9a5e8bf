"""What people hold while they correct, on its way from plane to plane of an image."""

from typing import TYPE_CHECKING, NamedTuple

from napari_runet.plugin.plane_correction import correction_of

if TYPE_CHECKING:
    from collections.abc import Callable

    from napari.components import ViewerModel
    from napari.layers import Labels

    from napari_runet.plugin.plane_correction import PlaneCorrection
    from napari_runet.plugin.session import Session

_PAINTING = ("paint", "erase", "fill", "polygon")


class Brush:
    """Goes along to the other planes of an image: the tool, the class and the size.

    A layer of one plane cannot be painted on from another, which napari answers with an error of its own.

    Parameters
    ----------
    viewer, session
        Which layer is selected, and what is on show.
    correct
        Opens the layer on which the plane on show is corrected, and selects it; None where that cannot be.
    """

    def __init__(self, viewer: "ViewerModel", session: "Session", correct: "Callable[[], Labels | None]") -> None:
        self._viewer, self._session, self._correct = viewer, session, correct

    def follow(self) -> None:
        """Where a plane is reached that is being corrected, go on with its layer."""
        left, here = self._left_behind(), self._session.correction
        if left is not None and here is not None and here.layer is not None and here.layer.visible:
            tool = _put_down(left)
            self._viewer.layers.selection.active = here.layer
            _take_up(tool, here.layer)

    def on_press(self, _viewer: object, _event: object) -> None:
        """Begin to correct the plane on show by a stroke; napari then paints on the layer that is selected."""
        left = self._left_behind()
        if left is None or left.layer is None or left.layer.mode not in _PAINTING:
            return
        tool = _put_down(left)
        layer = self._correct()  # where that cannot be, the panel says why
        if layer is not None:
            _take_up(tool, layer)

    def _left_behind(self) -> "PlaneCorrection | None":
        """The selected correction, where it is of another plane of the image on show."""
        held, source = correction_of(self._viewer.layers.selection.active), self._session.source
        if held is None or source is None or held.image is not self._session.image:
            return None
        return None if held.source.index == source.index else held


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
