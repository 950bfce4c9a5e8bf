"""What an image is known by, so that its corrections are found again."""

import hashlib
from dataclasses import dataclass
from typing import Any

import numpy as np

WHOLE_BYTES = 1 << 22
"""Arrays of up to this many bytes are digested whole, larger ones by blocks."""
BLOCKS = 24
BLOCK_SIDE = 64


@dataclass(frozen=True, slots=True)
class ImageKey:
    """Path and content of an image.

    Parameters
    ----------
    path
        Where it was opened from; empty for one that came from no file.
    content
        Digest of shape, dtype and (a part of) the values.
    """

    path: str
    content: str

    @property
    def name(self) -> str:
        """The start of a file name for what belongs to this image."""
        path = self.path.encode("utf-8", "surrogatepass")  # on Linux, any bytes may be the name of a file
        return f"{hashlib.sha256(path).hexdigest()[:16]}-{self.content[:32]}"

    @classmethod
    def of(cls, array: Any, path: str = "") -> "ImageKey":
        """The key of an array: numpy, dask, zarr or a memory map; of a large one, some blocks are read."""
        return cls(path, content_digest(array))


def content_digest(array: Any) -> str:
    """sha256 of shape, dtype, and all values or, of large arrays, those of evenly scattered blocks."""
    shape, dtype = tuple(int(n) for n in array.shape), np.dtype(array.dtype)
    digest = hashlib.sha256(f"{shape} {dtype.str}".encode())
    if int(np.prod(shape, dtype=np.int64)) * dtype.itemsize <= WHOLE_BYTES:
        digest.update(np.ascontiguousarray(array).tobytes())
        return digest.hexdigest()
    for block in range(BLOCKS):
        key = tuple(_span(length, axis, block) for axis, length in enumerate(shape))
        digest.update(np.ascontiguousarray(array[key]).tobytes())
    return digest.hexdigest()


def _span(length: int, axis: int, block: int) -> slice:
    """Where block number `block` lies along an axis: multiples of an irrational step fill it evenly."""
    side = min(length, BLOCK_SIDE)
    fraction = ((block + 1) * (0.6180339887498949, 0.7548776662466927, 0.5698402909980532)[axis % 3]) % 1
    start = round(fraction * (length - side))
    return slice(start, start + side)
