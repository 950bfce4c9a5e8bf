"""What to do where memory does not suffice or a GPU is gone: smaller tiles, then the CPU, and a sentence about it."""

from collections.abc import Callable, Iterator
from dataclasses import replace

import torch

from napari_runet.inference.iterations import Iteration
from napari_runet.limits import free_memory
from napari_runet.models.card import NetworkConfig

SMALLEST_TILE = 256
_CHANNELS_ALIVE = 12
"""So many full-size feature maps of the first unit's channels are in memory at a time; 300 bytes a pixel measured."""
_HEAVY = 8

Run = Callable[[int], Iterator[Iteration]]
"""The iterations with a tile size."""


def bytes_a_pixel(config: NetworkConfig) -> int:
    """Bytes that a CPU takes for each pixel of a tile, roughly: where the recurrence is at full size, several times."""
    light = config.name.endswith(("-1", "-2", "-3", "-4")) or config.name.startswith(("unet-g", "unet-b"))
    return 4 * _CHANNELS_ALIVE * config.base_channels * (1 if light else _HEAVY)


def tiles_at_once(config: NetworkConfig, tile_size: int) -> int:
    """How many tiles half of the free memory holds; at least 1."""
    free = free_memory()
    return 1 << 16 if free is None else max(1, int(free / 2 / (bytes_a_pixel(config) * tile_size**2)))


def fitting_tile(config: NetworkConfig, tile_size: int) -> int:
    """The largest tile, up to `tile_size` and not below `SMALLEST_TILE`, that half of the free memory holds."""
    free = free_memory()
    if free is None:
        return tile_size
    side = int((free / 2 / bytes_a_pixel(config)) ** 0.5) // 16 * 16
    return min(tile_size, max(SMALLEST_TILE, side))


def fitted(
    run: Run, tile_size: int, longest: int, *, config: NetworkConfig, device: str, on_cpu: Callable[[str], Run]
) -> Iterator[Iteration]:
    """Yield the iterations of a run, which begins anew in a smaller way where it does not fit.

    Iterations that were told are not told again. The further ones say what was changed, in `notice`.

    Parameters
    ----------
    run
        What to do with a tile size; it is called again after a failure.
    tile_size
        How to begin.
    longest
        Rows or columns of what is segmented; larger tiles are no larger than that.
    config, device
        What runs, and where.
    on_cpu
        The same run on the CPU, given a sentence that says why.

    Raises
    ------
    Exception
        What the run raises, where nothing smaller is left.
    """
    told, notice = 0, ""
    tile_size = min(tile_size, max(longest, SMALLEST_TILE))
    if device == "cpu":
        fitting = fitting_tile(config, tile_size)
        if fitting < tile_size:
            tile_size, notice = fitting, f"Little memory is free, so tiles of {fitting} pixels were computed."
    while True:
        try:
            for step in run(tile_size):
                if step.number > told:
                    told = step.number
                    yield replace(step, device=device, notice=notice)
            return
        except (RuntimeError, MemoryError) as error:
            why = _why_smaller(error, device)
            if why is None or (device == "cpu" and tile_size <= SMALLEST_TILE):
                raise
            lost = is_lost(error)
        if not lost and tile_size > SMALLEST_TILE:
            tile_size = max(SMALLEST_TILE, tile_size // 2 // 16 * 16)
            notice = f"{why}, so tiles of {tile_size} pixels were computed."
        else:
            notice = f"{why}, so the CPU computed this."
            run, device = on_cpu(notice), "cpu"
        if torch.cuda.is_available() and not lost:
            torch.cuda.empty_cache()


def _why_smaller(error: Exception, device: str) -> str | None:
    """Why to go on in another way; None for an error that has nothing to do with it."""
    if is_out_of_memory(error):
        return f"The {'computer' if device == 'cpu' else 'graphics card'} has too little free memory"
    if device != "cpu" and is_lost(error):
        return "The graphics card stopped answering"
    return None


def is_out_of_memory(error: Exception) -> bool:
    """Whether memory did not suffice, of a device or of the computer."""
    if isinstance(error, MemoryError | torch.OutOfMemoryError):
        return True
    text = str(error)
    return any(part in text for part in ("DefaultCPUAllocator", "not enough memory", "MPS backend out of memory"))


def is_lost(error: Exception) -> bool:
    """Whether a GPU has gone, or can be used no more by this process."""
    return not is_out_of_memory(error) and ("CUDA error" in str(error) or type(error).__name__ == "AcceleratorError")
