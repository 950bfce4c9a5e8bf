"""TIFF files read plane by plane, and what they say about their dimensions and pixels."""

from abc import ABC, abstractmethod
from collections import OrderedDict
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import product
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import numpy as np
import numpy.typing as npt
import tifffile

from napari_runet.io.images import DECODING_ERRORS, FileError

KEPT_PAGES = 4
HUGE_PAGE = 1 << 26
"""Pixels from which on a page is not decoded whole."""
_SIDE_PICTURES = ("thumbnail", "label", "macro", "overview", "map")
_CENTIMETRE, _INCH = 3, 2


class _Pages(ABC):
    """An array of pages, read by indexing with one number or slice for each dimension.

    Parameters
    ----------
    shape, dtype
        Of the whole.
    page_shape
        The last dimensions of `shape`, those of one page.
    """

    def __init__(self, shape: tuple[int, ...], page_shape: tuple[int, ...], dtype: np.dtype[Any]) -> None:
        self.shape, self.dtype = shape, dtype
        self._page_shape = page_shape
        self._leading = shape[: len(shape) - len(page_shape)]

    def __getitem__(self, key: tuple[int | slice, ...]) -> npt.NDArray[Any]:
        """A part of the array; numbers drop their dimension, as in numpy."""
        leading, inside = key[: len(self._leading)], key[len(self._leading) :]
        picked = [range(size)[part] for size, part in zip(self._leading, leading, strict=True)]
        ranges = [part if isinstance(part, range) else range(part, part + 1) for part in picked]
        kept = tuple(len(part) for part in picked if isinstance(part, range))
        numbers = [int(np.ravel_multi_index(at, self._leading)) if at else 0 for at in product(*ranges)]
        parts = [self._read(number, inside) for number in numbers]
        return np.stack(parts).reshape(*kept, *parts[0].shape)

    @abstractmethod
    def _read(self, number: int, inside: tuple[int | slice, ...]) -> npt.NDArray[Any]:
        """A part of one page."""


class PagedArray(_Pages):
    """A compressed TIFF series: each page is decoded when it is needed, and the last few are kept."""

    def __init__(self, path: Path, series: tifffile.TiffPageSeries) -> None:
        super().__init__(tuple(series.shape), tuple(series.keyframe.shape), np.dtype(series.dtype))
        self._path, self._series = path, series
        self._kept: OrderedDict[int, npt.NDArray[Any]] = OrderedDict()

    def _read(self, number: int, inside: tuple[int | slice, ...]) -> npt.NDArray[Any]:
        if number not in self._kept:
            self._kept[number] = self._decode(number)
            if len(self._kept) > KEPT_PAGES:
                self._kept.popitem(last=False)
        self._kept.move_to_end(number)
        return self._kept[number][inside]

    def _decode(self, number: int) -> npt.NDArray[Any]:
        page = self._series.pages[number]
        if page is None:  # left out by who wrote it
            return np.zeros(self._page_shape, self.dtype)
        try:
            return np.asarray(page.asarray()).reshape(self._page_shape)
        except DECODING_ERRORS as error:
            raise FileError(
                f"{self._path}, page {number + 1}, cannot be read: {error or type(error).__name__}"
            ) from error


class PlainArray(_Pages):
    """A TIFF series that is stored plainly: only the rows that are needed are read.

    It is not mapped into memory: a file that is cut off while it is read would then end the process.
    """

    def __init__(self, path: Path, series: tifffile.TiffPageSeries) -> None:
        shape = tuple(series.shape)
        dtype = np.dtype(series.dtype).newbyteorder(series.keyframe.parent.byteorder)
        super().__init__(shape, shape[-3 if series.axes.endswith("S") else -2 :], dtype)
        self._path, self._offset = path, int(series.dataoffset or 0)

    def _read(self, number: int, inside: tuple[int | slice, ...]) -> npt.NDArray[Any]:
        rows = range(self._page_shape[0])[inside[0]]
        picked = rows if isinstance(rows, range) else range(rows, rows + 1)
        if picked.step > 1:  # row by row: all between the first and the last may be more than the memory holds
            return np.stack([self._read(number, (at, *inside[1:])) for at in picked])
        first, count = picked.start, len(picked)
        row = int(np.prod(self._page_shape[1:]))
        start = (number * self._page_shape[0] + first) * row * self.dtype.itemsize
        try:
            with self._path.open("rb") as stream:
                stream.seek(self._offset + start)
                band = np.frombuffer(stream.read(count * row * self.dtype.itemsize), self.dtype)
        except OSError as error:
            raise FileError(f"{self._path} cannot be read: {error.strerror or error}") from error
        if band.size != count * row:
            raise FileError(f"{self._path} is cut off: it ends before its last pixel.")
        band = band.reshape(count, *self._page_shape[1:])
        return band[(slice(None) if isinstance(rows, range) else 0, *inside[1:])]


@contextmanager
def open_series(path: Path) -> Iterator[tifffile.TiffPageSeries]:
    """The one series of images that a TIFF file holds; the file is closed afterwards.

    Raises
    ------
    FileError
        When it is no TIFF file, or damaged, or its images differ in size.
    """
    try:
        file = tifffile.TiffFile(path)
    except tifffile.TiffFileError as error:
        raise FileError(f"{path} is not an image that can be read.") from error
    except DECODING_ERRORS as error:
        raise FileError(f"{path} cannot be read: {getattr(error, 'strerror', None) or error}") from error
    with file:
        try:
            all_series = list(file.series)
        except DECODING_ERRORS as error:
            raise FileError(f"{path} cannot be read: {error}") from error
        if not all_series:
            raise FileError(f"{path} holds no image.")
        images = [series for series in all_series if not _is_side_picture(series)] or all_series
        if len(images) > 1:
            sizes = ", ".join(" x ".join(map(str, series.shape)) for series in images[:3])
            more = f" and {len(images) - 3} more" if len(images) > 3 else ""
            raise FileError(
                f"{path} holds {len(images)} images that do not form one stack ({sizes}{more}); "
                "save each of them as a file of its own."
            )
        yield images[0]


def array_of(path: Path, series: tifffile.TiffPageSeries) -> Any:
    """The series as an array that is read as it is needed: rows where it is stored plainly, else whole pages.

    One huge tiled page is read by its own tiles.
    """
    page = series.keyframe
    if series.dataoffset is not None and page.is_memmappable:
        return PlainArray(path, series)
    if page.is_tiled and page.imagewidth * page.imagelength > HUGE_PAGE:
        import zarr

        return zarr.open(series.aszarr(level=0), mode="r")
    return PagedArray(path, series)


def block_array_of(path: Path, series: tifffile.TiffPageSeries) -> Any:
    """The series as an array of which parts are read: rows where it is stored plainly, else tiles or strips."""
    if series.dataoffset is not None and series.keyframe.is_memmappable:
        return PlainArray(path, series)
    import zarr

    return zarr.open(series.aszarr(level=0), mode="r")


def pixel_size_of(series: tifffile.TiffPageSeries) -> tuple[tuple[float, float] | None, str | None]:
    """Height and width of a pixel and their unit; None where the file does not say."""
    page = series.keyframe
    size, unit = _size_by_ome(page.parent.ome_metadata) if series.kind == "ome" else _size_by_tags(page)
    usable = unit is not None and all(np.isfinite(side) and side > 0 for side in size)
    return (size, unit) if usable else (None, None)


def _size_by_ome(xml: str | None) -> tuple[tuple[float, float], str | None]:
    pixels = ElementTree.fromstring(xml or "<OME/>").find(".//{*}Pixels")
    if pixels is None or "PhysicalSizeX" not in pixels.attrib:
        return (0.0, 0.0), None
    width = pixels.attrib["PhysicalSizeX"]
    try:
        size = float(pixels.get("PhysicalSizeY", width)), float(width)
    except ValueError:  # no number, such as 0,25
        return (0.0, 0.0), None
    return size, pixels.get("PhysicalSizeXUnit", "µm")


def _size_by_tags(page: tifffile.TiffPage) -> tuple[tuple[float, float], str | None]:
    vertical, horizontal = page.tags.get("YResolution"), page.tags.get("XResolution")
    if vertical is None or horizontal is None or not vertical.value[0] or not horizontal.value[0]:
        return (0.0, 0.0), None
    size = vertical.value[1] / vertical.value[0], horizontal.value[1] / horizontal.value[0]
    unit = (page.parent.imagej_metadata or {}).get("unit")
    if unit is None and "ResolutionUnit" in page.tags:
        unit = {_INCH: "inch", _CENTIMETRE: "cm"}.get(int(page.tags["ResolutionUnit"].value))
    return size, None if unit is None else str(unit).replace("\\u00B5", "µ")


def _is_side_picture(series: tifffile.TiffPageSeries) -> bool:
    """Whether it only goes along with the image, as in files of slide scanners."""
    return str(series.name).lower() in _SIDE_PICTURES or bool(series.keyframe.is_reduced)
