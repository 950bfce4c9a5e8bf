"""An allocator that keeps the memory that it was given back."""

import ctypes
import functools
import os
import sys

_KEEP = 1 << 30
_OPTIONS = {"MALLOC_TRIM_THRESHOLD_": -1, "MALLOC_MMAP_THRESHOLD_": -3}
"""Environment variable to the number that ``malloc.h`` gives the option."""


@functools.cache
def keep_memory() -> bool:
    """Have glibc reuse large blocks, up to a gigabyte, where the environment does not say otherwise.

    It gives them back to the system at once, and every page of the next layer's output is then faulted in again. The
    worker is started with the same options in its environment; this is for a process that somebody else started.

    Returns
    -------
    Whether this process uses glibc and took the options.
    """
    if not sys.platform.startswith("linux"):
        return False
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    if mallopt is None:  # another C library
        return False
    taken = [mallopt(number, _KEEP) == 1 for name, number in _OPTIONS.items() if name not in os.environ]
    return all(taken)
