"""A plane at another pixel size or mirrored, read box by box, and masks back at the plane's own size."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
from PIL import Image

from napari_runet.images.axes import Axes
from napari_runet.images.image_input import ImageInput, Region
from napari_runet.images.mapped import forget_pages
from napari_runet.images.normalisation import IntensityRange, normalise

BLOCK = 256
"""Rows of a mask that are brought back to size at a time."""

BAND = 1 << 22
"""Pixels of a plane that are read at a time, but for the last row: a small view of a large plane reads much."""


@dataclass(frozen=True, slots=True)
class View:
    """How the network looks at a plane: at `scale` times its rows and columns, perhaps mirrored."""

    scale: float = 1.0
    flip_rows: bool = False
    flip_columns: bool = False

    def shape(self, plane_shape: tuple[int, int]) -> tuple[int, int]:
        """Rows and columns of the plane seen so."""
        height, width = (max(1, round(length * self.scale)) for length in plane_shape)
        return height, width


class ViewedPlane:
    """A normalised plane seen through a `View`: an array (Y, X, C) of float32 that computes what is read of it.

    Values are what `normalise` gives, interpolated linearly; where the view is smaller, they are averaged over what
    a pixel covers. Any box has the values that the whole has there.

    Parameters
    ----------
    image, index, intensities
        The plane, and the intensities that it is normalised by.
    view
        How it is seen.
    region
        The box of the plane that is seen, all of it when None.
    """

    def __init__(
        self,
        image: ImageInput,
        index: tuple[int, ...],
        intensities: IntensityRange,
        view: View,
        region: Region | None = None,
    ) -> None:
        self._image, self._index, self._intensities, self._view = image, index, intensities, view
        self._region = region or Region(0, 0, *image.plane_shape)
        channels = 3 if image.channels == 4 else image.channels
        self.shape = (*view.shape((self._region.height, self._region.width)), channels)
        self.dtype = np.dtype(np.float32)
        self.ndim = 3

    def as_input(self) -> ImageInput:
        """The plane as an image; its values are normalised already."""
        return ImageInput(self, Axes("YXC"), self._image.name)

    def __getitem__(self, key: Any) -> npt.NDArray[np.float32]:
        parts = key if isinstance(key, tuple) else (key,)
        rows, columns = (
            part.indices(length)
            for part, length in zip((*parts, slice(None), slice(None))[:2], self.shape[:2], strict=True)
        )
        box = self._read(rows[:2], columns[:2])[:: rows[2], :: columns[2]]
        return box[(slice(None), slice(None), *parts[2:])]

    def _read(self, rows: tuple[int, int], columns: tuple[int, int]) -> npt.NDArray[np.float32]:
        """A box, given by its first row and column and those after its last."""
        if self._view.flip_rows:
            rows = (self.shape[0] - rows[1], self.shape[0] - rows[0])
        if self._view.flip_columns:
            columns = (self.shape[1] - columns[1], self.shape[1] - columns[0])
        step = self._region.height / self.shape[0]
        pixels = step * max(1, columns[1] - columns[0]) * self._region.width / self.shape[1]
        count = max(1, int(BAND / pixels))
        starts = range(rows[0], max(rows[1], rows[0] + 1), count)
        seen = np.concatenate([self._read_band((row, min(row + count, rows[1])), columns) for row in starts])
        return seen[:: -1 if self._view.flip_rows else 1, :: -1 if self._view.flip_columns else 1]

    def _read_band(self, rows: tuple[int, int], columns: tuple[int, int]) -> npt.NDArray[np.float32]:
        """As `_read`, of the plane that is not mirrored."""
        top, bottom, from_row, to_row = _source(rows, self._region.height, self.shape[0])
        left, right, from_column, to_column = _source(columns, self._region.width, self.shape[1])
        region = Region(self._region.y + top, self._region.x + left, bottom - top, right - left)
        pixels = normalise(self._image.plane(self._index, region), self._intensities)
        size = (columns[1] - columns[0], rows[1] - rows[0])
        box = (from_column - left, from_row - top, to_column - left, to_row - top)
        forget_pages(self._image.array)
        return np.stack([_resized(channel, size, box) for channel in np.moveaxis(pixels, -1, 0)], axis=-1)


def _source(span: tuple[int, int], length: int, seen: int) -> tuple[int, int, float, float]:
    """What to read for a span of seen pixels: first and last pixel with a margin for interpolation, and the part."""
    step = length / seen
    start, stop = span[0] * step, span[1] * step
    margin = max(1.0, step) + 1
    return max(0, int(start - margin)), min(length, int(np.ceil(stop + margin))), start, stop


def _resized(
    plane: npt.NDArray[Any], size: tuple[int, int], box: tuple[float, float, float, float] | None = None
) -> npt.NDArray[Any]:
    """A part of (Y, X) float32 or uint8 at a size (columns, rows), linear, averaged where it becomes smaller."""
    if 0 in size:
        return np.zeros(size[::-1], plane.dtype)
    resized = Image.fromarray(np.ascontiguousarray(plane)).resize(size, Image.Resampling.BILINEAR, box)
    return np.asarray(resized)


def brought_back(
    foreground: npt.NDArray[Any], view: View, shape: tuple[int, int]
) -> Iterator[tuple[int, npt.NDArray[Any]]]:
    """Probabilities that a network gave for a view, at the plane's own size, block by block of rows.

    Parameters
    ----------
    foreground
        (K, Y, X) float32 or uint8, seen through `view`.
    shape
        Rows and columns of the plane, or of the box of it that was seen.

    Yields
    ------
    The first row, and (K, n, columns) of the dtype of `foreground`.
    """
    seen = foreground[:, :: -1 if view.flip_rows else 1, :: -1 if view.flip_columns else 1]
    height, width = shape
    for start in range(0, height, BLOCK):
        stop = min(height, start + BLOCK)
        if seen.shape[1:] == shape:
            yield start, seen[:, start:stop]
            continue
        top, bottom, from_row, to_row = _source((start, stop), seen.shape[1], height)
        box = (0.0, from_row - top, float(seen.shape[2]), to_row - top)
        yield start, np.stack([_resized(part[top:bottom], (width, stop - start), box) for part in seen])
