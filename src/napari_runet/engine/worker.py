"""The worker process: ``python -m napari_runet.engine.worker FOLDER``, frames on standard input and output.

It answers one request after the other on the main thread; a second thread reads, so that a cancellation is
seen during a computation, and so that the process ends at once when its client is gone.
"""

import os
import queue
import signal
import sys
import threading
import traceback
from collections.abc import Callable, Mapping
from contextlib import suppress
from pathlib import Path
from typing import IO, Any

from napari_runet.batch.output import is_out_of_room
from napari_runet.engine.failures import OWN_ERRORS, describe_failure
from napari_runet.engine.framing import read_frame, write_frame
from napari_runet.engine.messages import (
    Cancelled,
    CancelRequest,
    Event,
    Failed,
    FineTuneRequest,
    LoadModelRequest,
    ModelMade,
    NewModelRequest,
    PixelsRequest,
    PixelsWanted,
    Ready,
    Request,
    SegmentFileRequest,
    SegmentRequest,
    request_adapter,
)

NICENESS = 5
LOOK_SECONDS = 0.2
"""How often it is looked, while pixels are waited for, whether the request was cancelled."""

Handler = Callable[[Any], None]
"""Carries out requests of one type; sends its events itself, the last one included, and may raise."""


class StoppedError(Exception):
    """The client asked to stop the request that is being computed."""


class RequestChannel:
    """Requests in, events out.

    Parameters
    ----------
    source, sink
        Streams of frames from and to the client.
    folder
        The client's private folder.
    """

    def __init__(self, source: IO[bytes], sink: IO[bytes], folder: Path) -> None:
        self.folder = folder
        self._source, self._sink = source, sink
        self._requests: queue.SimpleQueue[Request] = queue.SimpleQueue()
        self._send_lock = threading.Lock()
        self._cancelled: set[str] = set()
        self._wanted: dict[tuple[str, int], queue.SimpleQueue[PixelsRequest]] = {}
        threading.Thread(target=self._listen, name="requests", daemon=True).start()

    def send(self, event: Event) -> None:
        """Send an event; from any thread."""
        with self._send_lock:
            write_frame(self._sink, event.model_dump_json().encode())

    def next_request(self) -> Request:
        """Wait for the next request, which is never a `CancelRequest` or a `PixelsRequest`."""
        return self._requests.get()

    def is_cancelled(self, request_id: str) -> bool:
        """Whether the client asked to stop this request."""
        return request_id in self._cancelled

    def stop_if_cancelled(self, request_id: str) -> None:
        """Raise `StoppedError` when the client asked to stop this request."""
        if self.is_cancelled(request_id):
            raise StoppedError(request_id)

    def ask(self, wanted: PixelsWanted) -> PixelsRequest:
        """Have the client read pixels, and wait for them; from any thread.

        Raises
        ------
        StoppedError
            When the client asked to stop meanwhile.
        """
        key, answer = (wanted.id, wanted.number), queue.SimpleQueue[PixelsRequest]()
        self._wanted[key] = answer
        try:
            self.send(wanted)
            while True:
                self.stop_if_cancelled(wanted.id)
                with suppress(queue.Empty):
                    return answer.get(timeout=LOOK_SECONDS)
        finally:
            del self._wanted[key]

    def _listen(self) -> None:
        """Read requests until the client closes the stream or dies; then end, whatever is being computed."""
        status = 1
        try:
            while (frame := read_frame(self._source)) is not None:
                request = request_adapter.validate_json(frame)
                if isinstance(request, CancelRequest):
                    self._cancelled.add(request.target)
                elif isinstance(request, PixelsRequest):
                    if (answer := self._wanted.get((request.target, request.number))) is not None:
                        answer.put(request)
                else:
                    self._requests.put(request)
            status = 0
        finally:
            if status:
                traceback.print_exc()
            os._exit(status)


def answer(channel: RequestChannel, handlers: Mapping[type, Handler], request: Request, own: Any) -> None:
    """Carry out one request; whatever it raises becomes an event, and the worker goes on."""
    try:
        channel.stop_if_cancelled(request.id)
        handlers[type(request)](request)
    except StoppedError:
        channel.send(Cancelled(id=request.id))
    except Exception as error:  # noqa: BLE001 (told as an event)
        message = describe_failure(error, f"{request.kind.capitalize().replace('_', ' ')} failed", own)
        detail = traceback.format_exc()
        channel.send(Failed(id=request.id, message=message, detail=detail, no_room=is_out_of_room(error)))


def make_handlers(channel: RequestChannel) -> dict[type, Handler]:
    """What the worker can do, by type of request; imports torch's side."""
    from napari_runet.engine import fine_tuning, segmenting, segmenting_files
    from napari_runet.inference.following import Movies
    from napari_runet.inference.known_planes import KnownPlanes

    models, movies, planes = segmenting.ModelCache(), Movies(), KnownPlanes()
    return {
        LoadModelRequest: lambda request: segmenting.load_model(channel, models, request),
        SegmentFileRequest: lambda request: segmenting_files.segment_file(channel, models, request),
        SegmentRequest: lambda request: segmenting.segment(channel, models, movies, planes, request),
        FineTuneRequest: lambda request: fine_tuning.fine_tune(channel, models, request),
        NewModelRequest: lambda request: make_model(channel, request),
    }


def make_model(channel: RequestChannel, request: NewModelRequest) -> None:
    """Write an untrained model, and tell where it is."""
    from napari_runet.training.new_model import new_model

    parent = None if request.parent is None else Path(request.parent)
    folder, classes, channels = Path(request.output), request.classes, request.channels
    card = new_model(folder, request.model_id, classes, channels=channels, parent=parent, title=request.title)
    channel.send(ModelMade(id=request.id, folder=request.output, sha256=card.sha256))


def import_torch() -> Ready:
    """Import torch and say what it found; deterministic on each device."""
    import torch

    from napari_runet.inference.devices import choose_device

    torch.backends.cudnn.deterministic = True
    torch.backends.cudnn.benchmark = False
    choice = choose_device("auto")
    return Ready(
        torch=str(torch.__version__),
        threads=torch.get_num_threads(),
        device=choice.name,
        device_reason=choice.reason,
    )


def why_no_torch(error: Exception) -> str:
    """A sentence for a torch that cannot be imported."""
    if isinstance(error, ModuleNotFoundError) and error.name == "torch":
        return (
            "torch is not installed in this environment, so nothing can be segmented; install it "
            "(pip install torch) and press the button again."
        )
    reason = (str(error).strip().splitlines() or [type(error).__name__])[0]
    return (
        f"torch is not usable in this environment ({reason}); install it again (pip install --force-reinstall torch) "
        "and press the button again."
    )


def claim_streams() -> tuple[IO[bytes], IO[bytes]]:
    """Take standard input and output for frames; what anybody else prints goes to standard error."""
    source, sink = os.fdopen(os.dup(0), "rb"), os.fdopen(os.dup(1), "wb")
    nothing = os.open(os.devnull, os.O_RDONLY)
    os.dup2(nothing, 0)
    os.close(nothing)
    os.dup2(2, 1)
    return source, sink


def main(folder: Path) -> None:
    """Serve requests until the client closes the stream."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C in napari's terminal is meant for napari
    source, sink = claim_streams()
    if hasattr(os, "nice"):
        os.nice(NICENESS)
    channel = RequestChannel(source, sink, folder)
    try:
        ready = import_torch()
        handlers = make_handlers(channel)
        from napari_runet.inference.backends.choosing import BackendError
        from napari_runet.inference.devices import DeviceError
        from napari_runet.training.pairs import DataError
        from napari_runet.training.trainer import TrainingError
    except Exception as error:  # noqa: BLE001 (an import of a broken torch can raise anything; told as an event)
        channel.send(Failed(id="", message=why_no_torch(error), detail=traceback.format_exc()))
        return
    channel.send(ready)
    own = (*OWN_ERRORS, BackendError, DeviceError, DataError, TrainingError)
    while True:
        answer(channel, handlers, channel.next_request(), own)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
