"""Where a mask lies: exactly on the pixels of the image plane that it was computed from."""

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
from napari.utils.transforms import Affine

if TYPE_CHECKING:
    from napari.components import ViewerModel
    from napari.layers import Image

    from napari_runet.images.image_input import Region
    from napari_runet.plugin.reading import Source


@dataclass(frozen=True, slots=True, eq=False)
class Placement:
    """How a plane becomes a layer over its image.

    Parameters
    ----------
    letters
        What each dimension of the layer is.
    channels
        Length of the channel dimension, where the layer keeps one.
    transform
        Arguments of a layer: scale, translate, rotate, shear, affine, units and axis_labels.
    """

    letters: str
    channels: int
    transform: dict[str, Any]

    def lift(self, plane: npt.NDArray[Any]) -> npt.NDArray[Any]:
        """A view of a (Y, X) plane with the layer's dimensions: length 1 along a stack, repeated along channels."""
        return self.spread(plane[(np.newaxis,) * sum(letter in "TZ" for letter in self.letters)])

    def spread(self, stack: npt.NDArray[Any]) -> npt.NDArray[Any]:
        """A view of planes (..., Y, X), stacked in the layer's order, with its dimensions: repeated along channels."""
        held = [letter for letter in self.letters if letter in "TZ"] + ["Y", "X"]
        kept = [letter for letter in self.letters if letter != "C"]
        view = stack.transpose([held.index(letter) for letter in kept])
        if "C" not in self.letters:
            return view
        channel = self.letters.index("C")
        view = np.expand_dims(view, channel)
        shape = (*view.shape[:channel], self.channels, *view.shape[channel + 1 :])
        return view if shape == view.shape else np.broadcast_to(view, shape)


def place(layer: "Image", source: "Source", region: "Region | None" = None, *, whole_stack: bool = False) -> Placement:
    """Find the transform that puts a mask of `source` (or of a box of it, or of all planes) where its pixels are.

    The dimensions are those of the image. A leading channel dimension is left out where the image's transform
    keeps it apart from the others; elsewhere napari, which aligns the last dimensions of all layers, would
    shift the mask, and the mask is repeated along the channels instead.
    """
    local = Affine(scale=layer.scale, rotate=layer.rotate, shear=layer.shear, translate=layer.translate)
    world = layer.affine
    origin = np.zeros(len(source.letters)) if whole_stack else _origin(source, region)
    translate = np.asarray(local(origin * np.asarray(source.factors)))
    scale = np.asarray(layer.scale) * np.asarray(source.factors)
    drop = source.letters[0] == "C" and _first_is_apart(local) and _first_is_apart(world)
    kept = list(range(1 if drop else 0, layer.ndim))
    block = np.ix_(kept, kept)
    whole = np.ix_([*kept, layer.ndim], [*kept, layer.ndim])
    transform = {
        "scale": scale[kept],
        "translate": translate[kept],
        "rotate": np.asarray(layer.rotate)[block],
        "shear": _part_of_shear(np.asarray(layer.shear), kept),
        "affine": np.asarray(world.affine_matrix)[whole],
        "units": tuple(layer.units[axis] for axis in kept),
        "axis_labels": tuple(layer.axis_labels[axis] for axis in kept),
    }
    channel = source.letters.find("C")
    channels = int(source.input.array.shape[channel]) if channel >= 0 else 1
    return Placement("".join(source.letters[axis] for axis in kept), channels, transform)


def _origin(source: "Source", region: "Region | None") -> npt.NDArray[np.float64]:
    """Data coordinates, in the source's level, of the mask's first pixel."""
    planes = dict(zip(source.input.axes.plane_axes, source.index, strict=True))
    y, x = source.corner or (0, 0)
    corner = {"Y": y + region.y, "X": x + region.x} if region is not None else {"Y": y, "X": x}
    return np.array(
        [planes.get(axis, corner.get(letter, 0)) for axis, letter in enumerate(source.letters)], dtype=float
    )


def _part_of_shear(shear: npt.NDArray[Any], kept: list[int]) -> npt.NDArray[Any]:
    """The shear of some dimensions; napari gives it as a matrix, or as the elements above its diagonal."""
    if shear.ndim == 2:
        return shear[np.ix_(kept, kept)]
    ndim = int(np.sqrt(2 * shear.size)) + 1
    matrix = np.eye(ndim)
    matrix[np.triu_indices(ndim, 1)] = shear
    return matrix[np.ix_(kept, kept)][np.triu_indices(len(kept), 1)]


def _first_is_apart(transform: Affine) -> bool:
    """Whether the first dimension is mixed with no other."""
    matrix = np.asarray(transform.linear_matrix)
    return not matrix[0, 1:].any() and not matrix[1:, 0].any()


def show_plane(viewer: "ViewerModel", image: "Image", source: "Source") -> None:
    """Scroll to a plane of a stack."""
    position = dict(zip(source.input.axes.plane_axes, source.index, strict=True))
    world = image.data_to_world([position.get(axis, 0) * factor for axis, factor in enumerate(source.factors)])
    for axis in position:
        viewer.dims.set_point(axis + viewer.dims.ndim - image.ndim, world[axis])
