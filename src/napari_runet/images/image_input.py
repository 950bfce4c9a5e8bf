"""An image as it goes into the network, with no napari object in it."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt

from napari_runet.images.axes import Axes, read_axes


class ImageError(ValueError):
    """The data cannot be segmented; the message says why and what to do."""


@dataclass(frozen=True, slots=True)
class Region:
    """A box of rows `y` to `y + height` and columns `x` to `x + width`, optionally masked.

    Parameters
    ----------
    y, x, height, width
        In pixels of the image plane.
    mask
        (height, width) bool; False where nothing shall be segmented.
    """

    y: int
    x: int
    height: int
    width: int
    mask: npt.NDArray[np.bool_] | None = None

    @property
    def slices(self) -> tuple[slice, slice]:
        """The box as an index into an array (Y, X, ...)."""
        return slice(self.y, self.y + self.height), slice(self.x, self.x + self.width)


@dataclass(frozen=True, slots=True)
class ImageInput:
    """Array and reading of an image.

    Parameters
    ----------
    array
        Anything with shape, dtype and slicing: numpy, dask, zarr, memory map.
    axes
        How its dimensions are read.
    name
        What people call it.
    """

    array: Any
    axes: Axes
    name: str = "image"
    notices: tuple[str, ...] = field(default=())

    @classmethod
    def from_array(
        cls, array: Any, *, rgb: bool | None = None, axes: Axes | None = None, name: str = "image"
    ) -> "ImageInput":
        """Check an array and read its axes.

        Raises
        ------
        ImageError
            When it is empty or complex, or its dimensions cannot be read.
        """
        shape, dtype = tuple(array.shape), np.dtype(array.dtype)
        if 0 in shape:
            raise ImageError(f"{name} is empty: its shape is {' x '.join(map(str, shape))}.")
        if dtype.kind not in "buif":
            raise ImageError(f"{name} holds {dtype} values; convert it to integers or floats first.")
        if rgb is None:
            rgb = len(shape) >= 3 and shape[-1] in (1, 3, 4) and min(shape[-3:-1]) > 4
        if axes is None:
            try:
                axes = read_axes(shape, rgb=rgb)
            except ValueError as error:
                raise ImageError(f"{name}: {error}") from error
        if len(axes.order) != len(shape):
            raise ImageError(f"{name} has {len(shape)} dimensions, but is read as {axes.order}.")
        return cls(array, axes, name)

    @property
    def plane_shape(self) -> tuple[int, int]:
        """Rows and columns of a plane."""
        y, x = self.axes.spatial
        return int(self.array.shape[y]), int(self.array.shape[x])

    @property
    def channels(self) -> int:
        """Number of channels, 1 for grey; an alpha channel counts here."""
        return 1 if self.axes.channel is None else int(self.array.shape[self.axes.channel])

    def plane(self, index: Sequence[int] = (), region: Region | None = None, step: int = 1) -> npt.NDArray[Any]:
        """Read one plane, or a box of it, as (Y, X, C) in the array's own dtype; alpha is dropped.

        Parameters
        ----------
        index
            Position on each of `axes.plane_axes`; missing ones are 0.
        region
            Box to read, the whole plane when None.
        step
            Read every `step`-th row and column only.
        """
        key: list[int | slice] = [slice(None)] * len(self.axes.order)
        for position, axis in enumerate(self.axes.plane_axes):
            key[axis] = int(index[position]) if position < len(index) else 0
        parts = (slice(None), slice(None)) if region is None else region.slices
        for axis, part in zip(self.axes.spatial, parts, strict=True):
            key[axis] = slice(part.start, part.stop, step)
        plane = np.asarray(self.array[tuple(key)])
        left = [letter for letter in self.axes.order if letter not in "TZ"]
        plane = plane.transpose([left.index(letter) for letter in "YXC" if letter in left])
        if plane.ndim == 2:
            plane = plane[..., np.newaxis]
        return plane[..., :3] if plane.shape[-1] == 4 else plane


def index_at_level(image: ImageInput, index: Sequence[int], level: ImageInput) -> tuple[int, ...]:
    """The plane of a coarser level of an image that shows what plane `index` does; there may be fewer planes there."""
    lengths = ((image.array.shape[axis], level.array.shape[axis]) for axis in image.axes.plane_axes)
    return tuple(at * int(there) // int(here) for at, (here, there) in zip(index, lengths, strict=True))
