"""The frame around the place that is looked at: a small Labels layer that is moved about."""

from typing import TYPE_CHECKING

import numpy as np

from napari_runet.plugin.layer_writing import add_unselected, new_labels, remove, set_visible, write_labels
from napari_runet.plugin.placing import place

if TYPE_CHECKING:
    import numpy.typing as npt
    from napari.components import ViewerModel
    from napari.layers import Image, Labels

    from napari_runet.images.image_input import Region
    from napari_runet.plugin.reading import Source

FRAME_COLOR = "#ff9f1c"


class PlaceMarker:
    """Frames one place at a time.

    Parameters
    ----------
    viewer
        Where the layer is added; people may delete it.
    """

    def __init__(self, viewer: "ViewerModel") -> None:
        self._viewer = viewer
        self.layer: Labels | None = None

    def put(self, image: "Image", source: "Source", box: "Region") -> "Labels":
        """Frame a box of a plane of an image."""
        placement = place(image, source, box)
        data = placement.lift(_frame(box.height, box.width))
        name = f"{image.name} · look here"
        layer = self.layer
        if layer is None or layer not in self._viewer.layers or layer.ndim != data.ndim:
            remove(self._viewer, layer)
            layer = new_labels(data, placement, name, {1: FRAME_COLOR}, opacity=1.0)
        else:
            write_labels(layer, data, placement)
            layer.name = name
        self.layer = layer
        layers = self._viewer.layers
        add_unselected(self._viewer, layer)
        if layers[-1] is not layer:  # else a mask would tint it
            layers.move(layers.index(layer), len(layers))
        set_visible(layer, True)
        return layer

    def hide(self) -> None:
        """Frame nothing."""
        if self.layer is not None and self.layer in self._viewer.layers:
            set_visible(self.layer, False)


def _frame(height: int, width: int) -> "npt.NDArray[np.uint8]":
    """(height, width) 1 at the border, 0 inside."""
    frame = np.ones((height, width), np.uint8)
    frame[1:-1, 1:-1] = 0
    return frame
