"""The pixels of a Labels layer that shows an iteration."""

from typing import TYPE_CHECKING

from napari_runet.io.plane_store import MaskStack

if TYPE_CHECKING:
    from napari_runet.plugin.placing import Placement
    from napari_runet.plugin.results import Result


class LayerPixels:
    """Masks of one plane (or of a box of it), or of all planes of a stack, as a layer shows them.

    Parameters
    ----------
    result
        A run over one plane of what is shown.
    placement
        Where the layer lies.

    Attributes
    ----------
    data
        For the layer: it has the image's dimensions, and changes as masks are written.

    Raises
    ------
    OSError
        When there is no room for it.
    """

    def __init__(self, result: "Result", placement: "Placement") -> None:
        self._key = _key(result, placement)
        self._masks = MaskStack((*result.stack_shape, *_plane_shape(result)))
        self.data = placement.spread(self._masks.array)

    def fits(self, result: "Result", placement: "Placement") -> bool:
        """Whether a run over a plane can be written here."""
        return self._key == _key(result, placement)

    def write(self, result: "Result", iteration: int) -> None:
        """Write an iteration's mask of the run's plane.

        Raises
        ------
        OSError
            When the disk is full.
        """
        mask = result.whole_plane(iteration) if result.stack_shape else result.labels(iteration)
        self._masks.write(result.source.index, mask)


def _plane_shape(result: "Result") -> tuple[int, int]:
    """Rows and columns of the masks: of a stack all planes are whole."""
    return result.source.input.plane_shape if result.stack_shape else result.plane_shape


def _key(result: "Result", placement: "Placement") -> object:
    return placement.letters, placement.channels, result.stack_shape, _plane_shape(result)
