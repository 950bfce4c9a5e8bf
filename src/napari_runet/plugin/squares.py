"""Corrections of planes that are too large to be held: square by square, at full resolution."""

from dataclasses import dataclass, replace
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from napari_runet.corrections.replay import measured_on
from napari_runet.images.image_input import ImageError, ImageInput
from napari_runet.plugin.large_layers import is_large
from napari_runet.plugin.layers import large_labels_of, results_of
from napari_runet.plugin.plane_correction import SIDE
from napari_runet.plugin.reading import Reading, Source, levels_of, read_layer

if TYPE_CHECKING:
    from collections.abc import Callable

    from napari.components import ViewerModel
    from napari.layers import Image

    from napari_runet.corrections.journal_file import PlaneKey
    from napari_runet.models.card import ModelCard
    from napari_runet.plugin.results import Result

    Plane = npt.NDArray[np.uint8]


@dataclass(frozen=True, slots=True, eq=False)
class Window:
    """Some rows and columns of an array that is read as it is needed.

    Parameters
    ----------
    array
        Anything with shape, dtype and slicing.
    spans
        First and last row or column, by dimension.
    """

    array: Any
    spans: dict[int, tuple[int, int]]

    @property
    def shape(self) -> tuple[int, ...]:
        """Of the part."""
        whole = enumerate(self.array.shape)
        return tuple(self.spans[axis][1] - self.spans[axis][0] if axis in self.spans else int(n) for axis, n in whole)

    @property
    def dtype(self) -> np.dtype[Any]:
        """Of the values."""
        dtype: np.dtype[Any] = np.dtype(self.array.dtype)
        return dtype

    def __getitem__(self, key: tuple[int | slice, ...]) -> npt.NDArray[Any]:
        """A part of it, with a number or a slice for each dimension."""
        whole: list[int | slice] = []
        for axis, (part, size) in enumerate(zip(key, self.shape, strict=True)):
            first = self.spans[axis][0] if axis in self.spans else 0
            if isinstance(part, slice):
                start, stop, step = part.indices(size)
                whole.append(slice(first + start, first + stop, step))
            else:
                whole.append(first + part)
        return np.asarray(self.array[tuple(whole)])


def square_in_view(viewer: "ViewerModel", image: "Image", source: Source) -> Source:
    """The square of a large plane, at its finest level, in which the middle of the view lies; others as they are.

    Raises
    ------
    ImageError
        When it cannot be told what is in view.
    """
    if source.corner is not None or not is_large(image, source):
        return source
    if viewer.dims.ndisplay != 2:
        raise ImageError("Large images are corrected in the 2D view, where it can be told what is in view.")
    world = np.zeros(max(image.ndim, len(viewer.dims.point)))
    world[-len(viewer.dims.point) :] = viewer.dims.point
    world[list(viewer.dims.displayed)] = viewer.scene.camera.center[-2:]
    position = image.world_to_data(world[-image.ndim :])
    finest = _finest(viewer, image, source)
    sides = zip(finest.input.axes.spatial, finest.input.plane_shape, strict=True)
    row, column = (int(np.clip(position[axis], 0, length - 1)) // SIDE for axis, length in sides)
    return square(finest, row, column, levels_of(image))


def square(finest: Source, row: int, column: int, levels: list[Any]) -> Source:
    """A square of a plane of an image with these levels.

    Raises
    ------
    ImageError
        When the plane does not reach there.
    """
    sides = zip(finest.input.axes.spatial, finest.input.plane_shape, (row, column), strict=True)
    spans = {axis: (number * SIDE, min((number + 1) * SIDE, length)) for axis, length, number in sides}
    if any(stop <= start for start, stop in spans.values()):
        raise ImageError(f"{finest.input.name} does not reach to row {row * SIDE} and column {column * SIDE}.")
    image = finest.input
    return replace(
        finest,
        input=ImageInput(Window(image.array, spans), image.axes, image.name),
        corner=(row * SIDE, column * SIDE),
        whole=ImageInput(measured_on(levels, image.axes), image.axes, image.name),
    )


def square_at(viewer: "ViewerModel", image: "Image", source: Source, key: "PlaneKey") -> Source | None:
    """The square that corrections were filed under; None where they are of no square of this image.

    Raises
    ------
    ImageError
        When the image is smaller now.
    """
    index, shape = key
    if len(index) != len(source.index) + 3 or not is_large(image, source):
        return None
    finest = replace(_finest(viewer, image, source), index=index[:-3])
    found = square(finest, index[-2], index[-1], levels_of(image))
    return found if found.input.plane_shape == shape else None


def is_square(key: "PlaneKey", source: Source) -> bool:
    """Whether corrections are of a square, and not of a whole plane."""
    return len(key[0]) == len(source.index) + 3


def known_of(
    viewer: "ViewerModel", image: "Image", source: Source
) -> "tuple[Callable[[], Plane], str, ModelCard | None] | None":
    """What is known of a plane or square: labels of all of the image, or else the masks on show, at its resolution.

    Returns
    -------
    A function that reads (Y, X) labels, a word for what they are of, and the model that made them; None for nothing.
    """
    for layer, card in large_labels_of(viewer, image):
        return partial(_of_labels, layer, source), f"all of it: {id(layer)}", card
    results = results_of(viewer, image)
    result = results.planes.get(source.index) if results is not None else None
    if result is None or not len(result) or result.source.corner not in (None, source.corner):
        return None  # nothing, or another square, was segmented
    return partial(_of_result, result, source), result.run_id, result.card


def _of_labels(layer: Any, source: Source) -> "Plane":
    """The part of a layer of labels that lies on a square."""
    labels = layer.data[0] if layer.multiscale else layer.data
    first = len(source.letters) - labels.ndim  # a first dimension of channels may be left out
    y, x = (source.letters.index(letter) - first for letter in "YX")
    key: list[int | slice] = [0] * labels.ndim
    for axis, at in zip(source.input.axes.plane_axes, source.index, strict=True):  # labels may have fewer planes
        key[axis - first] = at * labels.shape[axis - first] // int(source.input.array.shape[axis])
    key[y], key[x], rows, columns = _covering(source, (labels.shape[y], labels.shape[x]))
    part = np.asarray(labels[tuple(key)], np.uint8)
    return (part if y < x else part.T)[rows][:, columns]


def _of_result(result: "Result", source: Source) -> "Plane":
    """The part of a run's last own mask that lies on a square."""
    mask = result.whole_plane(result.own)
    if result.source.corner is not None:
        return mask
    y, x, rows, columns = _covering(source, mask.shape)
    return mask[y, x][rows][:, columns]


def _covering(
    source: Source, there: tuple[int, ...]
) -> tuple[slice, slice, npt.NDArray[np.intp], npt.NDArray[np.intp]]:
    """Which rows and columns of a whole plane of another size cover a square, and which of them each pixel is in."""
    array: Any = source.input.array
    shape = array.array.shape if isinstance(array, Window) else array.shape
    slices, nearest = [], []
    for axis, first, length, size in zip(
        source.input.axes.spatial, source.corner or (0, 0), source.input.plane_shape, there, strict=True
    ):
        whole = int(shape[axis])
        at = ((np.arange(first, first + length) + 0.5) * size / whole).astype(np.intp)
        slices.append(slice(int(at[0]), int(at[-1]) + 1))
        nearest.append(at - at[0])
    return slices[0], slices[1], nearest[0], nearest[1]


def _finest(viewer: "ViewerModel", image: "Image", source: Source) -> Source:
    return source if source.level == 0 else read_layer(image, viewer.dims.point, Reading(source.input.axes, 0))
