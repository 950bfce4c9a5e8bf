"""In what numbers, and in what order in memory, a network is trained."""

import torch

from napari_runet.inference.backends.choosing import has_fast_bfloat16
from napari_runet.settings import Precision


def trains_in_bfloat16(device: str, precision: Precision) -> bool:
    """Whether features and their gradients are bfloat16: always on a GPU, on a CPU that is fast in it when asked to.

    Weights, their updates, the statistics of normalisation and the loss are float32 in any case.
    """
    return device == "cuda" or (device == "cpu" and precision != "float32" and has_fast_bfloat16())


def training_layout(device: str) -> torch.memory_format:
    """The memory layout in which training steps are fastest: channels_last, but on a CPU with AVX2 and no AVX512.

    There the gradients of weights take as long in either, and normalisation more than the convolutions save.
    """
    narrow = device == "cpu" and torch.backends.cpu.get_cpu_capability() == "AVX2"
    return torch.contiguous_format if narrow else torch.channels_last
