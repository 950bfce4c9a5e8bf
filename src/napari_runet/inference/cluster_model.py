"""A model that each worker of a cluster loads once."""

import os
import uuid

import dask.config
import torch
from distributed import Worker, WorkerPlugin

from napari_runet.inference.devices import choose_device
from napari_runet.inference.segmenter import LoadedModel, ready
from napari_runet.networks import build
from napari_runet.settings import BackendName, DeviceName


class ModelPlugin(WorkerPlugin):  # type: ignore[misc]
    """Travels to each worker of a cluster once, and builds the network there.

    Parameters
    ----------
    model
        Whose card and weights travel.
    device
        What workers compute on.
    threads
        Of torch, for whole files.

    Attributes
    ----------
    name
        By which tasks find it: of this plugin alone, for batches of several people may share a cluster.
    model
        The model, on a worker.
    """

    def __init__(self, model: LoadedModel, device: DeviceName, threads: int) -> None:
        self._card, self._device = model.card, device
        self._backend: BackendName = model.asked
        if model.asked == "auto" and getattr(model.backend, "dtype", None) == torch.float32:
            self._backend = "float32"  # as here, whatever the workers' processors are faster in
        self._weights = {name: tensor.cpu().numpy() for name, tensor in model.network.state_dict().items()}
        self.threads = threads
        self.name = f"napari-runet-{uuid.uuid4().hex}"
        self.model: LoadedModel

    def setup(self, worker: Worker) -> None:
        """On a worker, before its first task."""
        _forget_what_dask_says_of_memory()
        choice = choose_device(self._device)
        network = build(self._card.network)
        network.load_state_dict({name: torch.from_numpy(array.copy()) for name, array in self._weights.items()})
        self.model = ready(self._card, network, choice, self._backend)


def _forget_what_dask_says_of_memory() -> None:
    """Let `keep_memory` decide, unless a person did.

    Dask has its workers give memory back at once by an option in their environment; the pages of each layer's output
    are then faulted in again, which makes a block take a quarter longer.
    """
    for name, value in dask.config.get("distributed.nanny.pre-spawn-environ", {}).items():
        if name.startswith("MALLOC_") and os.environ.get(name) == str(value):
            del os.environ[name]
