"""Arrays in files that are mapped into memory."""

import mmap
from typing import Any

import numpy as np


def forget_pages(array: Any) -> None:
    """Give back the memory that reading a mapped file has taken; it is read again where it is needed.

    Does nothing for an array that is no mapped file, or whose mapping holds changes that the file lacks.
    """
    if not isinstance(array, np.memmap) or array.mode not in ("r", "r+"):
        return
    base: Any = array
    while base is not None and not isinstance(base, mmap.mmap):
        base = getattr(base, "base", None)
    if base is not None and hasattr(base, "madvise"):
        base.madvise(mmap.MADV_DONTNEED)
