"""The layers of a corrected plane: the one that is painted on, and the outline of what was reviewed."""

from typing import TYPE_CHECKING, Any

import numpy as np
from napari.layers import Labels
from numpy.lib.stride_tricks import as_strided

from napari_runet.plugin.layers import label_colormap
from napari_runet.plugin.placing import place

if TYPE_CHECKING:
    import numpy.typing as npt
    from napari.components import ViewerModel
    from napari.layers import Image

    from napari_runet.plugin.reading import Source

    Plane = npt.NDArray[np.uint8]

REVIEW_COLOR = "#ffd166"


def new_layer(
    image: "Image", source: "Source", plane: "Plane", what: str, colors: dict[int, str], **options: Any
) -> Labels:
    """A Labels layer that lies on a plane of an image and shares its memory with `plane`, (Y, X)."""
    placement = place(image, source)
    data = placement.lift(plane)
    if not data.flags.writeable:  # repeated along channels: one plane in memory, seen by all of them
        data = as_strided(data, writeable=True)
    return Labels(
        data,
        name=f"{plane_name(image, source)} · {what}",
        colormap=label_colormap(colors),
        opacity=0.7,
        **options,
        **placement.transform,
    )


def plane_name(image: "Image", source: "Source") -> str:
    """What people call a plane: the image's name, and where in its stack."""
    planes = zip(source.input.axes.plane_axes, source.index, strict=True)
    words = {"T": "frame", "Z": "plane"}
    where = [f"{words[source.input.axes.order[axis]]} {position + 1}" for axis, position in planes]
    if source.corner is not None:
        where.append("from row {} and column {}".format(*source.corner))
    return " · ".join([image.name, *where])


def plane_of(layer: Labels, image: "Image", source: "Source") -> "Plane":
    """The (Y, X) plane that a layer holds, a view of its data."""
    letters = place(image, source).letters
    plane: Plane = np.asarray(layer.data[tuple(slice(None) if letter in "YX" else 0 for letter in letters)])
    return plane if letters.index("Y") < letters.index("X") else plane.T


class Outline:
    """Draws the edge of what was reviewed; there is no layer before something was."""

    def __init__(self, viewer: "ViewerModel", image: "Image", source: "Source") -> None:
        self._viewer = viewer
        self._image, self._source = image, source
        self.layer: Labels | None = None

    def draw(self, inside: "npt.NDArray[np.bool_]") -> None:
        """Show the edge of `inside`, (Y, X)."""
        plane = inside.astype(np.uint8)
        if self.layer is not None and self.layer in self._viewer.layers:
            np.asarray(self.layer.data)[...] = place(self._image, self._source).lift(plane)
            self.layer.refresh()
            return
        if not plane.any():
            return
        active = self._viewer.layers.selection.active
        self.layer = new_layer(self._image, self._source, plane, "reviewed", {1: REVIEW_COLOR})
        self.layer.contour = 2
        self._viewer.add_layer(self.layer)
        self.layer.editable = False
        self._viewer.layers.selection.active = active
