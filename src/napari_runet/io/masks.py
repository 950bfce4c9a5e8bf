"""Writing masks and probabilities, with their pixel size, whole or not at all."""

import errno
import io
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import tifffile
from PIL import Image

from napari_runet.io.atomic import write_atomically, written_atomically
from napari_runet.io.images import TIFF_SUFFIXES, FileError

PixelSize = float | tuple[float, float]
_IMAGEJ_BYTES = 1 << 31
"""ImageJ's kind of TIFF ends at 4 GiB."""
MASK_SUFFIXES = (*TIFF_SUFFIXES, ".png")
_METRES = {
    "m": 1.0, "meter": 1.0, "metre": 1.0, "dm": 0.1, "cm": 1e-2, "centimeter": 1e-2, "centimetre": 1e-2,
    "mm": 1e-3, "millimeter": 1e-3, "millimetre": 1e-3, "um": 1e-6, "µm": 1e-6, "μm": 1e-6, "micron": 1e-6,
    "micrometer": 1e-6, "micrometre": 1e-6, "nm": 1e-9, "nanometer": 1e-9, "nanometre": 1e-9,
    "inch": 0.0254, "in": 0.0254,
}  # fmt: skip
_SHORT = {"micrometer": "um", "micrometre": "um", "micron": "um", "µm": "um", "μm": "um", "millimeter": "mm",
          "millimetre": "mm", "nanometer": "nm", "nanometre": "nm", "centimeter": "cm", "centimetre": "cm",
          "meter": "m", "metre": "m"}  # fmt: skip


def write_mask(
    path: Path, labels: npt.NDArray[np.uint8], *, pixel_size: PixelSize | None = None, unit: str | None = None
) -> None:
    """Write a label image as compressed TIFF or PNG, as the suffix says; a file that is there is replaced whole.

    Parameters
    ----------
    path
        Ending in .tif, .tiff or .png.
    labels
        (Y, X) uint8.
    pixel_size
        Height and width of a pixel in `unit`, or one number for both. TIFF keeps it as ImageJ does (resolution and
        unit); PNG keeps it where the unit is a length.
    unit
        Such as ``"um"`` or ``"micrometer"``.

    Raises
    ------
    FileError
        When the file cannot be written; what was there before stays.
    """
    if labels.ndim != 2 or labels.dtype != np.uint8:
        raise ValueError(f"a mask is (Y, X) uint8, not {labels.shape} {labels.dtype}")
    suffix = path.suffix.lower()
    if suffix not in MASK_SUFFIXES:
        raise FileError(f"{path}: masks are written as .tif or .png; choose one of these endings.")
    size = _checked(pixel_size)
    content = _tiff(labels, "YX", size, unit) if suffix in TIFF_SUFFIXES else _png(labels, size, unit)
    _write(path, content)


def write_stack(
    path: Path,
    planes: Iterable[npt.NDArray[Any]],
    shape: tuple[int, ...],
    axes: str,
    dtype: npt.DTypeLike = np.uint8,
    *,
    pixel_size: PixelSize | None = None,
    unit: str | None = None,
) -> None:
    """Write a stack of masks or probabilities as compressed TIFF, one plane after the other; else as `write_mask`.

    Parameters
    ----------
    path
        Ending in .tif or .tiff.
    planes
        (Y, X) of `dtype` each, in the order of the stack.
    shape, axes
        Of the stack, with a letter of "TZCYX" for each dimension.
    pixel_size, unit
        As in `write_mask`.
    """
    if path.suffix.lower() not in TIFF_SUFFIXES:
        raise FileError(f"{path}: what a stack leads to is written as .tif; choose this format.")
    options = _tiff_options(axes, _checked(pixel_size), unit)
    # tifffile reads ImageJ's stacks of single pixels wrongly
    imagej = int(np.prod(shape)) * np.dtype(dtype).itemsize < _IMAGEJ_BYTES and shape[-2:] != (1, 1)
    imagej = imagej and list(axes) == sorted(axes, key="TZCYX".index)
    try:
        with written_atomically(path) as stream:
            tifffile.imwrite(
                stream, iter(planes), shape=shape, dtype=dtype, imagej=imagej, bigtiff=not imagej, **options
            )
    except OSError as error:
        raise FileError(why_not_written(path, error)) from error


def write_probabilities(
    path: Path,
    probabilities: npt.NDArray[np.float32],
    *,
    pixel_size: PixelSize | None = None,
    unit: str | None = None,
) -> None:
    """Write (C, Y, X) float32 class probabilities as compressed TIFF; else as `write_mask`."""
    if probabilities.ndim != 3 or probabilities.dtype != np.float32:
        raise ValueError(f"probabilities are (C, Y, X) float32, not {probabilities.shape} {probabilities.dtype}")
    if path.suffix.lower() not in TIFF_SUFFIXES:
        raise FileError(f"{path}: probabilities are written as .tif; choose this ending.")
    _write(path, _tiff(probabilities, "CYX", _checked(pixel_size), unit))


def _checked(pixel_size: PixelSize | None) -> tuple[float, float] | None:
    """(height, width), or None where the size is not known or is no positive number."""
    if pixel_size is None:
        return None
    height, width = pixel_size if isinstance(pixel_size, tuple) else (pixel_size, pixel_size)
    usable = all(np.isfinite(side) and side > 0 for side in (height, width))
    return (float(height), float(width)) if usable else None


def _tiff(array: npt.NDArray[Any], axes: str, size: tuple[float, float] | None, unit: str | None) -> bytes:
    buffer = io.BytesIO()
    # tifffile reads ImageJ's stacks of single pixels wrongly
    imagej = array.ndim == 2 and array.nbytes < _IMAGEJ_BYTES
    tifffile.imwrite(buffer, array, imagej=imagej, **_tiff_options(axes, size, unit))
    return buffer.getvalue()


def _tiff_options(axes: str, size: tuple[float, float] | None, unit: str | None) -> dict[str, Any]:
    options: dict[str, Any] = {"metadata": {"axes": axes}, "photometric": "minisblack", "compression": "zlib"}
    if size is not None:
        name = _SHORT.get(unit or "", unit or "pixel")
        # ImageJ's header is ASCII, with other letters escaped as Java does
        options["metadata"]["unit"] = "".join(c if c.isascii() else f"\\u{ord(c):04x}" for c in name)
        options["resolution"] = (1 / size[1], 1 / size[0])
        options["resolutionunit"] = 1
    return options


def _png(labels: npt.NDArray[np.uint8], size: tuple[float, float] | None, unit: str | None) -> bytes:
    buffer = io.BytesIO()
    metres = _METRES.get(unit or "")
    options: dict[str, Any] = {}
    if size is not None and metres is not None:
        dots = tuple(0.0254 / (side * metres) for side in reversed(size))
        # PNG keeps whole pixels a metre in 32 bits
        if all(0.5 < dot / 0.0254 < 2**31 - 1 for dot in dots):
            options["dpi"] = dots
    Image.fromarray(labels).save(buffer, format="PNG", **options)
    return buffer.getvalue()


def _write(path: Path, content: bytes) -> None:
    try:
        write_atomically(path, content)
    except OSError as error:
        raise FileError(why_not_written(path, error)) from error


def why_not_written(path: Path, error: OSError) -> str:
    """A sentence that says why a file could not be written and what to do."""
    advice = {
        errno.EACCES: "there is no permission to write there; choose another folder",
        errno.EPERM: "there is no permission to write there; choose another folder",
        errno.EROFS: "the disk is read-only; choose another folder",
        errno.ENOSPC: "the disk is full; make room or choose another folder",
        errno.EDQUOT: "your disk quota is used up; make room or choose another folder",
        errno.ENOENT: "its folder does not exist; make it first",
        errno.EEXIST: "there is a file of that name; choose another name",
        errno.ENOTDIR: "what should be its folder is a file; choose another folder",
        errno.ENAMETOOLONG: "its name is too long; choose a shorter one",
    }
    return f"{path} cannot be written: {advice.get(error.errno or 0, error.strerror or error)}."
