"""Planes of numbers that are kept while they are needed: in memory, or in unnamed files where they are many.

Files are written through, not through a mapping of them: a full disk is then an OSError and not a signal that ends
the process. A file is gone when the last array over it is.
"""

import tempfile
from typing import IO, Any

import numpy as np
import numpy.typing as npt

KEPT_IN_MEMORY = 1 << 24
"""Bytes up to which a stack of masks stays in memory: sixteen megapixels."""
_CHUNK = 1 << 28
_ALIGNMENT = 64


class MaskStack:
    """A uint8 array of any shape, all 0 at first, whose planes (the last two dimensions) are written one by one.

    Parameters
    ----------
    shape
        At least two dimensions.

    Attributes
    ----------
    array
        The whole; read-only where it is a file.

    Raises
    ------
    OSError
        When there is no room for it, as far as that can be told.
    """

    def __init__(self, shape: tuple[int, ...]) -> None:
        self._file: IO[bytes] | None = None
        size = int(np.prod(shape, dtype=np.int64))
        if size <= KEPT_IN_MEMORY:
            self.array: npt.NDArray[np.uint8] = np.zeros(shape, np.uint8)
        else:
            self._file, self.array = _mapped(size)
            self.array = self.array.reshape(shape)

    def write(self, index: tuple[int, ...], plane: npt.NDArray[np.uint8]) -> None:
        """Write a plane (Y, X) at its place on the dimensions before the last two.

        Raises
        ------
        OSError
            When the disk is full.
        """
        if self._file is None:
            self.array[index] = plane
            return
        *stack, rows, columns = self.array.shape
        number = int(np.ravel_multi_index(index, stack)) if stack else 0
        _write(self._file, number * rows * columns, plane)


class PlaneArchive:
    """Takes arrays and hands them back mapped into memory, read-only; what nobody holds any more takes no room."""

    def __init__(self, chunk: int = _CHUNK) -> None:
        self._chunk = chunk
        self._file: IO[bytes] | None = None
        self._mapped: npt.NDArray[np.uint8] = np.empty(0, np.uint8)
        self._used = 0

    def add(self, array: npt.NDArray[Any]) -> npt.NDArray[Any]:
        """Keep an array; not from two threads at a time.

        Raises
        ------
        OSError
            When the disk is full.
        """
        if self._file is None or self._used + array.nbytes > len(self._mapped):
            self._file, self._mapped = _mapped(max(self._chunk, array.nbytes))
            self._used = 0
        start, end = self._used, self._used + array.nbytes
        _write(self._file, start, array)
        self._used = -(-end // _ALIGNMENT) * _ALIGNMENT
        return self._mapped[start:end].view(array.dtype).reshape(array.shape)


def _mapped(size: int) -> tuple[IO[bytes], npt.NDArray[np.uint8]]:
    """An unnamed file of `size` zeros (which take no room where the system knows sparse files), and its mapping."""
    file = tempfile.TemporaryFile(prefix="napari-runet-", buffering=0)
    file.truncate(size)
    return file, np.memmap(file, np.uint8, "r", shape=(size,)).view(np.ndarray)


def _write(file: IO[bytes], start: int, array: npt.NDArray[Any]) -> None:
    file.seek(start)
    left = np.ascontiguousarray(array).data.cast("B")
    while left:  # an unbuffered file may take a part only
        left = left[file.write(left) :]
