"""What numbers a network is trained in."""

from napari_runet.inference.backends.choosing import has_fast_bfloat16
from napari_runet.settings import Precision


def trains_in_bfloat16(device: str, precision: Precision) -> bool:
    """Whether features and their gradients are bfloat16: always on a GPU, on a CPU that is fast in it when asked to.

    Weights, their updates, the statistics of normalisation and the loss are float32 in any case.
    """
    return device == "cuda" or (device == "cpu" and precision != "float32" and has_fast_bfloat16())
