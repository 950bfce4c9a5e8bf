"""Images of any size, read in blocks and never whole: OME-Zarr, TIFF, and layers that lie in another process."""

from pathlib import Path
from typing import Any, Literal, Protocol

import numpy as np
import numpy.typing as npt

from napari_runet.io.images import TIFF_SUFFIXES, FileError
from napari_runet.io.large_tiff import read_large_tiff
from napari_runet.io.ome_zarr import Level, is_zarr, read_ome_zarr


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
