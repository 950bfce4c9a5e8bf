import queue
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from napari_runet.engine.client import EngineClient
from napari_runet.engine.messages import Event

PATIENCE = 240.0
"""Seconds that any one event may take: importing torch on a busy machine included."""


class Listener:
    """A client and the events it has told so far."""

    def __init__(self, environment: dict[str, str] | None = None) -> None:
        self.events: queue.SimpleQueue[Event] = queue.SimpleQueue()
        self.seen: list[Event] = []
        self.client = EngineClient(self.events.put, environment)

    def wait_for(self, *kinds: type, request_id: str | None = None) -> Any:
        """The next event of one of these types (and this request); fails when another request-ending one is first."""
        limit = time.monotonic() + PATIENCE
        while True:
            try:
                event = self.events.get(timeout=max(0.0, limit - time.monotonic()))
            except queue.Empty:
                pytest.fail(f"no {kinds} within {PATIENCE} s; seen: {self.seen[-5:]}")
            self.seen.append(event)
            if isinstance(event, kinds) and request_id in (None, event.id):
                return event
            if event.kind in ("failed", "worker_lost"):
                pytest.fail(f"waited for {kinds}, but: {event.message}\n{event.detail}")

    def quiet_for(self, seconds: float) -> list[Event]:
        """The events of the next `seconds`."""
        time.sleep(seconds)
        came = []
        while not self.events.empty():
            came.append(self.events.get())
        self.seen += came
        return came


def wait_until(condition: Callable[[], object], what: str) -> None:
    limit = time.monotonic() + PATIENCE
    while not condition():
        if time.monotonic() > limit:
            pytest.fail(f"not within {PATIENCE} s: {what}")
        time.sleep(0.02)


def save_tiny_model(folder: Path, classes: int = 2, seed: int = 0) -> Path:
    import torch

    from napari_runet.models.card import ClassInfo, ModelCard
    from napari_runet.models.weights import save_network
    from napari_runet.networks import build

    torch.manual_seed(seed)
    network = build("dru-4", in_channels=3, classes=classes, base_channels=2, hidden_channels=4)
    card = ModelCard(
        id="tiny",
        title="Tiny",
        sentence="For tests.",
        network=network.config,
        classes=tuple(ClassInfo(name=f"class {k}", color="#ffffff") for k in range(classes)),
        tile_size=128,
        tile_overlap=32,
    )
    save_network(folder, card, network)
    return folder
