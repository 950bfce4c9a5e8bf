"""Large arrays on disk while they are needed, so that memory does not grow with the image."""

import tempfile
from typing import Any

import numpy as np
import numpy.typing as npt

KEPT_IN_MEMORY = 16 << 20
"""Bytes up to which a scratch array stays in memory: a mask of sixteen megapixels."""


class RowStore:
    """An array (K, Y, X) that is filled by rows: in memory, or in an unnamed temporary file where it is large.

    The file is written through, not through a mapping of it: a full disk is then an OSError and not a signal
    that ends the process. It is gone when the last array over it is.

    Parameters
    ----------
    shape, dtype
        Of the whole.
    """

    def __init__(self, shape: tuple[int, int, int], dtype: npt.DTypeLike) -> None:
        self._shape, self._dtype = shape, np.dtype(dtype)
        size = int(np.prod(shape, dtype=np.int64)) * self._dtype.itemsize
        self._array = np.empty(shape, self._dtype) if size <= KEPT_IN_MEMORY else None
        self._file = tempfile.TemporaryFile(prefix="napari-runet-") if self._array is None else None
        if self._file is not None:
            self._file.truncate(size)

    def write(self, start: int, rows: npt.NDArray[Any]) -> None:
        """Write `rows` (K, n, X) as the rows from `start` on.

        Raises
        ------
        OSError
            When the disk is full.
        """
        if self._file is None:
            assert self._array is not None
            self._array[:, start : start + rows.shape[1]] = rows
            return
        for number, part in enumerate(rows):
            self._file.seek((number * self._shape[1] + start) * self._shape[2] * self._dtype.itemsize)
            self._file.write(np.ascontiguousarray(part, self._dtype).data)

    def finish(self) -> npt.NDArray[Any]:
        """The array, read-only; nothing may be written any more."""
        if self._file is None:
            assert self._array is not None
            self._array.flags.writeable = False
            return self._array
        self._file.flush()
        mapped = np.memmap(self._file, self._dtype, "r", shape=self._shape)
        self._file.close()
        return mapped
