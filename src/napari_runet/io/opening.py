"""Opening image files of any kind without loading them whole."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from napari_runet.io.images import TIFF_SUFFIXES, FileError, read_image
from napari_runet.io.ome_zarr import read_ome_zarr
from napari_runet.io.tiff import array_of, open_series, pixel_size_of

IMAGE_SUFFIXES = (*TIFF_SUFFIXES, ".png", ".jpg", ".jpeg", ".bmp", ".gif", ".webp", ".jp2", ".pgm", ".ppm")
"""Endings of the files that a folder is searched for."""


@dataclass(frozen=True, slots=True)
class OpenedImage:
    """An image file's array.

    Parameters
    ----------
    array
        Anything with shape, dtype and slicing.
    axes
        What the file says each dimension is, as tifffile does ("TZCYXS", others for what is not known), empty
        where it says nothing.
    pixel_size, unit
        Height and width of a pixel; None where the file does not say.
    """

    array: Any
    axes: str
    pixel_size: tuple[float, float] | None = None
    unit: str | None = None


@contextmanager
def open_image(path: Path) -> Iterator[OpenedImage]:
    """Open an image file; what it yields can be used until the block ends.

    Raises
    ------
    FileError
        When it is missing, unreadable, no image, or holds images of several sizes.
    """
    if path.suffix.lower() in TIFF_SUFFIXES:
        with open_series(path) as series:
            yield OpenedImage(array_of(path, series), series.axes, *pixel_size_of(series))
    else:
        array = read_image(path)
        if (frames := _frames(path)) > 1:
            raise FileError(f"{path} holds {frames} pictures; save them as a TIFF stack, or one by one.")
        yield OpenedImage(array, "YXS" if array.ndim == 3 else "YX")


def image_shape(path: Path, level: int = 0) -> tuple[tuple[int, ...], np.dtype[Any]]:
    """Shape and dtype of an image file, or of a level of an OME-Zarr image, by its header alone.

    Raises
    ------
    FileError
        As `open_image` does.
    """
    if path.is_dir():
        found = read_ome_zarr(path).level(level)
        return found.shape, found.dtype
    if path.suffix.lower() in TIFF_SUFFIXES:
        with open_series(path) as series:
            return tuple(series.shape), np.dtype(series.dtype)
    try:
        with Image.open(path) as image:
            bands = len(image.getbands())
            return (image.height, image.width, *((bands,) if bands > 1 else ())), np.dtype(np.uint8)
    except (OSError, ValueError, Image.DecompressionBombError) as error:
        raise FileError(f"{path} cannot be read: {getattr(error, 'strerror', None) or error}") from error


def _frames(path: Path) -> int:
    """How many pictures a file holds; the first alone where a camera put previews behind its photograph."""
    with Image.open(path) as image:
        return 1 if image.format == "MPO" else int(getattr(image, "n_frames", 1))
