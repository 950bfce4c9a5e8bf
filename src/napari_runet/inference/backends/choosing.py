"""Which backend runs a network."""

from typing import get_args

import torch

from napari_runet.inference.backends.allocator import keep_memory
from napari_runet.inference.backends.base import BaseBackend
from napari_runet.networks import IterativeNetwork
from napari_runet.settings import BackendName


class BackendError(ValueError):
    """The backend asked for cannot run this network here; the message says why."""


def accelerated(network: IterativeNetwork, backend: BackendName = "auto") -> IterativeNetwork:
    """What to run instead of a network that has been placed on its device: the network itself where nothing is faster.

    A backend reads the weights once; make another one when they have changed.

    Raises
    ------
    BackendError
        When bfloat16 is asked for where it would not be faster, or cannot be had.
    """
    if backend not in get_args(BackendName):
        raise BackendError(f"There is no backend called {backend!r}; choose {', '.join(get_args(BackendName))}.")
    if backend == "reference":
        return network
    if next(network.parameters()).device.type == "cpu":
        keep_memory()
    if BaseBackend.can_run(network):
        if backend == "float32" or (backend == "auto" and not has_fast_bfloat16()):
            return BaseBackend(network)
        if backend == "auto" or has_fast_bfloat16():
            return BaseBackend(network, torch.bfloat16)
    if backend == "bfloat16":
        raise BackendError(
            f"bfloat16 needs a recurrent network with group normalisation on a CPU with AMX or AVX512-BF16; "
            f"{network.config.name} on this machine is none. Choose auto."
        )
    return network


def has_fast_bfloat16() -> bool:
    """Whether this CPU has AMX or AVX512-BF16; with both, bfloat16 was measured to be much faster than float32."""
    return _supports("_is_amx_tile_supported") or _supports("_is_avx512_bf16_supported")


def _supports(name: str) -> bool:
    """What torch says of the CPU; False where this torch has no word on it."""
    found = getattr(torch.cpu, name, None)
    return found is not None and bool(found())
