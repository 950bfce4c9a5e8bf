"""Which backend runs a network."""

from napari_runet.inference.backends.allocator import keep_memory
from napari_runet.inference.backends.base import BaseBackend
from napari_runet.networks import IterativeNetwork
from napari_runet.settings import BackendName


def accelerated(network: IterativeNetwork, backend: BackendName = "auto") -> IterativeNetwork:
    """What to run instead of a network that has been placed on its device: the network itself where nothing is faster.

    A backend reads the weights once; make another one when they have changed.
    """
    if backend == "reference":
        return network
    if next(network.parameters()).device.type == "cpu":
        keep_memory()
    return BaseBackend(network) if BaseBackend.can_run(network) else network
