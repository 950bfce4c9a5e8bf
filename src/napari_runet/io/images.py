"""Reading image files."""

import struct
import zlib
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import tifffile
from PIL import Image, UnidentifiedImageError

TIFF_SUFFIXES = (".tif", ".tiff")
DECODING_ERRORS = (
    OSError, ValueError, RuntimeError, LookupError, TypeError, ArithmeticError, AssertionError, MemoryError,
    struct.error, zlib.error,
)  # fmt: skip
"""What decoders raise on damaged data; those of tifffile are ValueErrors."""


class FileError(ValueError):
    """A file cannot be read or written; the message says why."""


def read_image(path: Path) -> npt.NDArray[Any]:
    """Read an image file: TIFF as it is, other formats as (Y, X) or (Y, X, C), grey ones without transparency.

    Raises
    ------
    FileError
        When it is missing, unreadable, or no image.
    """
    try:
        if path.suffix.lower() in TIFF_SUFFIXES:
            return np.asarray(tifffile.imread(path))
        with Image.open(path) as image:
            if image.mode in ("P", "CMYK", "YCbCr", "LAB", "HSV"):
                return np.asarray(image.convert("RGB"))
            if image.mode in ("1", "LA"):
                return np.asarray(image.convert("L"))
            return np.asarray(image)
    except (UnidentifiedImageError, tifffile.TiffFileError) as error:
        raise FileError(f"{path} is not an image that can be read.") from error
    except Image.DecompressionBombError as error:
        raise FileError(f"{path} is too large for its kind of file; convert it to TIFF or OME-Zarr.") from error
    except DECODING_ERRORS as error:
        reason = getattr(error, "strerror", None) or str(error) or type(error).__name__
        raise FileError(f"{path} cannot be read: {reason}") from error
