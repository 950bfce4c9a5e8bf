"""Images of any size, read in blocks and never whole: OME-Zarr, TIFF, and layers that lie in another process."""

import hashlib
import weakref
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, Literal, Protocol

import numpy as np
import numpy.typing as npt
import tifffile
from pydantic import BaseModel, ConfigDict

from napari_runet.io.images import TIFF_SUFFIXES, FileError
from napari_runet.io.ome_zarr import Level, is_zarr, level_of, read_ome_zarr
from napari_runet.io.tiff import DECODING_ERRORS, block_array_of, open_series, pixel_size_of

Key = tuple[int | slice, ...]
"""A part of an array: for each dimension a number, or a slice that says where it starts and stops, and its step."""
Pull = Callable[[int, Key], npt.NDArray[Any]]
"""Reads a part of a level of an image that lies in another process."""
_CHUNK = 1 << 22


class BlockArray(Protocol):
    """An array that is read in parts; errors are sentences."""

    @property
    def shape(self) -> tuple[int, ...]:
        """Of the whole."""

    @property
    def dtype(self) -> np.dtype[Any]:
        """Of its values."""

    def __getitem__(self, key: Any) -> npt.NDArray[Any]:
        """A part of it; a `FileError` when that cannot be read."""


class LargeSource(Protocol):
    """An image of one or more levels; `OmeZarr`, `LargeTiff` and `PulledSource` are such."""

    @property
    def version(self) -> Literal["0.4", "0.5"]:
        """Of OME-Zarr that labels are written in."""

    @property
    def axes(self) -> str:
        """What it says each dimension is; empty where it says nothing."""

    @property
    def units(self) -> tuple[str | None, ...]:
        """Of each dimension; empty where it says nothing."""

    @property
    def levels(self) -> tuple[Level, ...]:
        """The finest first."""

    def level(self, number: int) -> Level:
        """One of the levels; a `FileError` where there are fewer."""

    def array(self, number: int) -> BlockArray:
        """The array of a level."""

    def content(self, number: int) -> str:
        """A digest of all that a level's pixels depend on."""

    def state(self, number: int) -> str:
        """Changes when a level is written, or another takes its place."""


def file_source(path: Path) -> LargeSource:
    """An OME-Zarr image, or a TIFF file.

    Raises
    ------
    FileError
        When it cannot be read in blocks.
    """
    if is_zarr(path) or path.suffix.lower() not in TIFF_SUFFIXES:
        if path.is_file():
            raise FileError(f"{path} is neither TIFF nor OME-Zarr, so it is not read in blocks; choose --format tif.")
        return read_ome_zarr(path)
    return read_large_tiff(path)


@dataclass(frozen=True, slots=True)
class LargeTiff:
    """A TIFF file whose levels are read by their tiles, or by their rows where they are stored plainly.

    Parameters
    ----------
    path
        Of the file.
    axes, units, levels
        As in `LargeSource`; axes are those of tifffile.
    """

    path: Path
    axes: str
    units: tuple[str | None, ...]
    levels: tuple[Level, ...]
    version: Literal["0.4", "0.5"] = "0.5"

    def level(self, number: int) -> Level:
        """One of the levels; a `FileError` where there are fewer."""
        return level_of(self.path, self.levels, number)

    def array(self, number: int) -> "TiffArray":
        """The array of a level."""
        return TiffArray(self.path, number)

    def content(self, number: int) -> str:
        """sha256 of the file."""
        digest = hashlib.sha256()
        try:
            with self.path.open("rb") as stream:
                while chunk := stream.read(_CHUNK):
                    digest.update(chunk)
        except OSError as error:
            raise FileError(f"{self.path} cannot be read: {error.strerror or error}") from error
        return digest.hexdigest()

    def state(self, number: int) -> str:
        """What changes when the file is written, or another takes its place."""
        try:
            state = self.path.stat()
        except OSError:
            return "gone"
        return f"{state.st_ino} {state.st_size} {state.st_mtime_ns}"


class TiffArray:
    """A level of a TIFF file, opened when it is first read; it may be pickled.

    Parameters
    ----------
    path, number
        The file, and which level.
    """

    def __init__(self, path: Path, number: int) -> None:
        self._path, self._number = path, number

    def __reduce__(self) -> tuple[Any, ...]:
        return TiffArray, (self._path, self._number)

    @cached_property
    def _array(self) -> Any:
        with open_series(self._path) as series:
            index = list(series.keyframe.parent.series).index(series)
        file = tifffile.TiffFile(self._path)
        weakref.finalize(self, file.close)
        return block_array_of(self._path, file.series[index].levels[self._number])

    @property
    def shape(self) -> tuple[int, ...]:
        """Of the whole."""
        return tuple(map(int, self._array.shape))

    @property
    def dtype(self) -> np.dtype[Any]:
        """Of its values."""
        dtype: np.dtype[Any] = np.dtype(self._array.dtype)
        return dtype

    @property
    def ndim(self) -> int:
        """Number of dimensions."""
        return len(self.shape)

    def __getitem__(self, key: Any) -> npt.NDArray[Any]:
        """A part of the array, with a number or a slice for each dimension.

        Raises
        ------
        FileError
            When it cannot be read.
        """
        try:
            return np.asarray(self._array[key])
        except FileError:
            raise
        except DECODING_ERRORS as error:
            raise FileError(f"{self._path} cannot be read: {error or type(error).__name__}.") from error


def read_large_tiff(path: Path) -> LargeTiff:
    """Read what a TIFF file says about itself and its levels.

    Raises
    ------
    FileError
        When it cannot be read, or holds images of several sizes.
    """
    with open_series(path) as series:
        size, unit = pixel_size_of(series)
        full = tuple(map(int, series.shape))
        dtype = np.dtype(series.dtype)
        letters = str(series.axes)
        scale = {"Y": size[0], "X": size[1]} if size is not None else {}
        levels = []
        for number, level in enumerate(series.levels):
            shape = tuple(map(int, level.shape))
            if len(shape) != len(full):
                break
            pixel = tuple(
                scale.get(letter, 1.0) * whole / here for letter, whole, here in zip(letters, full, shape, strict=True)
            )
            levels.append(Level(str(number), shape, dtype, shape, pixel, (0.0,) * len(shape)))
    units = tuple(unit if letter in scale else None for letter in letters)
    return LargeTiff(path.absolute(), letters, units, tuple(levels))


class PulledLevel(BaseModel):
    """A level of a layer: its shape, and where its pixels lie."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    shape: tuple[int, ...]
    scale: tuple[float, ...]
    translation: tuple[float, ...]


class PulledImage(BaseModel):
    """A layer whose pixels only another process can read, such as a dask graph in napari.

    Parameters
    ----------
    axes, units
        What its dimensions are.
    levels, dtype
        Of its arrays.
    content
        Digest of what its pixels depend on, as far as can be told.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    axes: str
    units: tuple[str | None, ...]
    levels: tuple[PulledLevel, ...]
    dtype: str
    content: str


class PulledSource:
    """A layer that lies in another process, which reads its blocks.

    Parameters
    ----------
    name, image
        What people call it, and what it is.
    pull
        Reads a part of a level.
    """

    version: Literal["0.4", "0.5"] = "0.5"

    def __init__(self, name: Path, image: PulledImage, pull: Pull) -> None:
        self._name, self._image, self._pull = name, image, pull
        self.axes, self.units = image.axes, image.units
        self.levels = tuple(
            Level(str(n), level.shape, np.dtype(image.dtype), level.shape, level.scale, level.translation)
            for n, level in enumerate(image.levels)
        )

    def level(self, number: int) -> Level:
        """One of the levels; a `FileError` where there are fewer."""
        return level_of(self._name, self.levels, number)

    def array(self, number: int) -> "PulledArray":
        """The array of a level."""
        return PulledArray(self.level(number), number, self._pull)

    def content(self, number: int) -> str:
        """What the layer's process says."""
        return self._image.content

    def state(self, number: int) -> str:
        """Nothing that could be told from here."""
        return self._image.content


@dataclass(frozen=True, slots=True)
class PulledArray:
    """A level of a layer that lies in another process.

    Parameters
    ----------
    described, number
        The level.
    pull
        Reads a part of it.
    """

    described: Level
    number: int
    pull: Pull

    @property
    def shape(self) -> tuple[int, ...]:
        """Of the whole."""
        return self.described.shape

    @property
    def dtype(self) -> np.dtype[Any]:
        """Of its values."""
        return self.described.dtype

    @property
    def ndim(self) -> int:
        """Number of dimensions."""
        return len(self.described.shape)

    def __getitem__(self, key: Any) -> npt.NDArray[Any]:
        """A part of the array, with a number or a slice for each dimension."""
        sizes = zip(key, self.shape, strict=True)
        whole = (slice(*part.indices(size)) if isinstance(part, slice) else int(part) for part, size in sizes)
        return self.pull(self.number, tuple(whole))
