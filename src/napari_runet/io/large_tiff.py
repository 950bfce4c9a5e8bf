"""TIFF files of any size, read in blocks."""

import hashlib
import weakref
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, Literal

import numpy as np
import numpy.typing as npt
import tifffile

from napari_runet.io.images import DECODING_ERRORS, FileError
from napari_runet.io.ome_zarr import Level, level_of
from napari_runet.io.tiff import block_array_of, open_series, pixel_size_of

_CHUNK = 1 << 22


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
