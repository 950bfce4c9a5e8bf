"""The client of the worker process; no torch, no Qt."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from napari_runet.engine.messages import ArrayFile, Event, Request


class EngineClient:
    """Starts a worker process, sends it requests, and hands its events to a callback.

    Parameters
    ----------
    on_event
        Called with each event, on the client's reader thread.
    environment
        Variables for the worker, over the defaults.
    """

    def __init__(self, on_event: Callable[[Event], None], environment: Mapping[str, str] | None = None) -> None:
        raise NotImplementedError
