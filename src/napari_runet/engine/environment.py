"""What the worker process needs in its environment before it starts: allocator and threads."""

import os
from collections.abc import Mapping

from napari_runet.limits import available_cores

_KEEP = str(1 << 30)


def worker_environment(changes: Mapping[str, str] | None = None) -> dict[str, str]:
    """The environment of a worker: this process's own, our defaults where it says nothing, then `changes`."""
    threads = str(worker_threads(available_cores()))
    defaults = {
        # glibc gives large blocks back at once and faults every page in again, at each layer of the network;
        # keeping them doubles the speed of a 1024 x 1024 image. Other allocators ignore these.
        "MALLOC_MMAP_THRESHOLD_": _KEEP,
        "MALLOC_TRIM_THRESHOLD_": _KEEP,
        # torch then asks Linux for huge pages, on which an image of 1024 x 1024 takes some 5 % less.
        "THP_MEM_ALLOC_ENABLE": "1",
        "OMP_NUM_THREADS": threads,
        "MKL_NUM_THREADS": threads,
        # Threads that have nothing to do soon sleep, so that they do not take a core from the window; not at once,
        # for the next layer of a small image comes before they would have fallen asleep.
        "KMP_BLOCKTIME": "0",
        "GOMP_SPINCOUNT": "20000",
        # An operation that Apple's GPU lacks runs on the CPU instead of failing.
        "PYTORCH_ENABLE_MPS_FALLBACK": "1",
    }
    always = {"PYTHONUNBUFFERED": "1", "PYTHONFAULTHANDLER": "1", "PYTHONIOENCODING": "utf-8"}
    return {**defaults, **os.environ, **always, **(changes or {})}


def worker_threads(cores: int) -> int:
    """How many threads compute: one core is left to the window where there are more than two.

    With two cores the niced worker takes both: a loop that wakes every 5 ms then waits at most 16-25 ms longer
    (99 % under 15 ms, as with one thread), while one thread takes up to twice as long. Measured on two busy
    cores with a 1024 x 1024 image; without the niceness the longest wait is 17-31 ms.
    """
    return cores if cores <= 2 else cores - 1
