"""Between the client and its worker process: threads, open requests, and the worker's life."""

import logging
import queue
import threading
import traceback
import uuid
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from napari_runet.engine.arrays import PrivateFolder, remove_file, sweep
from napari_runet.engine.failures import describe_failure
from napari_runet.engine.messages import (
    Cancelled,
    CancelRequest,
    CandidateReady,
    Event,
    Failed,
    FileDone,
    Finished,
    IterationDone,
    ModelLoaded,
    ModelMade,
    PixelsRequest,
    PixelsWanted,
    PreviewReady,
    Request,
    WorkerLost,
)
from napari_runet.engine.process import WorkerProcess
from napari_runet.engine.requests import ALL_FILES, INPUTS, remove_files, write_pixels

_LAST_EVENTS = (Finished, FileDone, ModelLoaded, CandidateReady, ModelMade, Cancelled, Failed)
_log = logging.getLogger(__name__)


@dataclass(slots=True)
class _Open:
    """A request whose last event has not come: what was sent (None while still being written)."""

    request: Request | None = None
    cancelling: bool = False


class Dispatcher:
    """Sends requests to a worker process, which it starts and replaces, and hands on the events of open ones.

    Three threads do the work: one writes arrays and sends, one reads (of `WorkerProcess`), one calls `on_event`.

    Parameters
    ----------
    on_event, environment
        As of `EngineClient`.
    """

    def __init__(self, on_event: Callable[[Event], None], environment: Mapping[str, str] | None) -> None:
        self._on_event = on_event
        self._environment = environment
        self._lock = threading.RLock()
        self._open: dict[str, _Open] = {}
        self._process: WorkerProcess | None = None
        self._last_words: Failed | None = None
        self._folder: PrivateFolder | None = None
        self._closed = False
        self._jobs: queue.SimpleQueue[Callable[[], object] | None] = queue.SimpleQueue()
        self._events: queue.SimpleQueue[Event | None] = queue.SimpleQueue()
        self._threads: list[threading.Thread] = []

    @property
    def running(self) -> bool:
        """Whether there is a worker process."""
        with self._lock:
            return self._process is not None and self._process.alive

    @property
    def worker_pid(self) -> int | None:
        """The worker's process number, None when there is none."""
        with self._lock:
            return self._process.pid if self._process is not None else None

    def start(self) -> None:
        """Start the worker unless it runs; `Ready` follows, or `WorkerLost` with the reason."""
        self._enqueue(self._start_or_tell)

    def send(self, request: Request) -> str:
        """Open a request that needs no arrays; returns its id."""
        return self._open_request(request.id, partial(self._send, request))

    def write_and_send(self, write: Callable[[Path, str], Request], name: str) -> str:
        """Open a request whose arrays are written first; returns its id.

        Parameters
        ----------
        write
            Writes the arrays into the folder and makes the request with the id that it is given; called on the
            sending thread.
        name
            What people call what is read there.
        """
        request_id = uuid.uuid4().hex
        return self._open_request(request_id, partial(self._write_and_send, request_id, write, name))

    def give_pixels(self, wanted: PixelsWanted, arrays: Sequence[Any]) -> None:
        """Read what a worker wants of a layer, whose levels are `arrays`, on the sending thread, and send it."""
        self._enqueue(partial(self._do_if_open, wanted.id, partial(self._read_and_give, wanted, arrays)))

    def cancel(self, request_id: str) -> None:
        """Ask the worker to stop a request; asked twice, end the worker and start another.

        `Cancelled` follows, unless the request ends before. Other open requests are sent again to a new worker.
        """
        with self._lock:
            entry = self._open.get(request_id)
            if entry is None:
                return
            process = self._process
            if process is None or entry.request is None:  # nothing computes it
                self._finish(Cancelled(id=request_id))
            elif entry.cancelling:
                self._process = None
                process.kill()
                self._finish(Cancelled(id=request_id))
                self._enqueue(self._start_or_tell)
            else:
                entry.cancelling = True
                process.send(CancelRequest(id=uuid.uuid4().hex, target=request_id))

    def release(self, request_id: str) -> None:
        """Remove the files of a request; an open one is cancelled, and its events are dropped.

        Arrays that `read` has opened stay valid.
        """
        with self._lock:
            entry = self._open.get(request_id)
            if entry is not None and not entry.cancelling:
                self.cancel(request_id)
            self._open.pop(request_id, None)
            if not self._closed:
                self._enqueue(partial(self._remove_files, request_id, ALL_FILES))

    def close(self) -> None:
        """End the worker and remove all files; no event comes after it. The client cannot be used again."""
        with self._lock:
            if self._closed:
                return
            self._closed = True
            process, self._process = self._process, None
            self._open.clear()
            self._jobs.put(None)
            self._events.put(None)
        if process is not None:
            process.close()
        for thread in self._threads:
            if thread is not threading.current_thread():
                thread.join(0.5)
        if self._folder is not None and not any(thread.is_alive() for thread in self._threads[:1]):
            self._folder.remove()  # else the sending thread does, when it has done what it is at

    # Opening and sending requests: on the sending thread.

    def _enqueue(self, job: Callable[[], object]) -> None:
        """Have a job done on the sending thread, in order."""
        with self._lock:
            if self._closed:
                raise RuntimeError("The client was closed; make another.")
            if not self._threads:
                for target in (self._run_jobs, self._run_events):
                    thread = threading.Thread(target=target, name=f"runet{target.__name__}", daemon=True)
                    self._threads.append(thread)
                    thread.start()
            self._jobs.put(job)

    def _open_request(self, request_id: str, job: Callable[[], object]) -> str:
        with self._lock:
            self._enqueue(partial(self._do_if_open, request_id, job))
            self._open[request_id] = _Open()
        return request_id

    def _do_if_open(self, request_id: str, job: Callable[[], object]) -> None:
        with self._lock:
            wanted = request_id in self._open
        if wanted:
            job()

    def _run_jobs(self) -> None:
        self._call(sweep)
        while (job := self._jobs.get()) is not None:
            self._call(job)
        if self._folder is not None:
            self._folder.remove()

    def _write_and_send(self, request_id: str, write: Callable[[Path, str], Request], name: str) -> None:
        if not self._start_or_tell() or self._folder is None:  # started first: it imports torch meanwhile
            return
        try:
            request = write(self._folder.path, request_id)
        except Exception as error:  # noqa: BLE001 (the plane may be the caller's code; told as an event)
            message = describe_failure(error, f"{name} could not be read")
            self._finish(Failed(id=request_id, message=message, detail=traceback.format_exc()))
            return
        self._send(request)

    def _read_and_give(self, wanted: PixelsWanted, arrays: Sequence[Any]) -> None:
        if self._folder is None:
            return
        try:
            answer = write_pixels(self._folder.path, wanted, arrays)
        except Exception as error:  # noqa: BLE001 (the array may be anybody's code; told as an event)
            problem = describe_failure(error, "The layer could not be read")
            answer = PixelsRequest(id=uuid.uuid4().hex, target=wanted.id, number=wanted.number, problem=problem)
        with self._lock:
            if self._process is not None:
                self._process.send(answer)

    def _send(self, request: Request) -> None:
        with self._lock:  # so that no worker ends between its start and the request
            entry = self._open.get(request.id)
            if entry is None:  # cancelled while it was being written, or lost with a worker that has ended since
                self._remove_files(request.id, ALL_FILES)
            elif self._start_or_tell() and self._process is not None:
                try:
                    self._process.send(request)
                except ValueError as error:  # a folder whose name is no text
                    message = describe_failure(error, "This could not be handed to the process that computes")
                    self._finish(Failed(id=request.id, message=message, detail=traceback.format_exc()))
                else:
                    entry.request = request

    # The worker: on the sending thread and the reading one.

    def _start_or_tell(self) -> bool:
        """Start the worker unless it runs; whether there is one. Requests that a killed one had are sent again."""
        with self._lock:
            if self._closed:
                return False
            if self._process is not None:
                return True
            self._last_words = None
            try:
                if self._folder is None:
                    self._folder = PrivateFolder()
                self._process = WorkerProcess(self._folder.path, self._environment, self._on_message, self._on_end)
            except OSError as error:
                self._lose(describe_failure(error, "The process that computes could not be started"), "")
                return False
            for request_id, entry in list(self._open.items()):
                if entry.cancelling:
                    self._finish(Cancelled(id=request_id))
                elif entry.request is not None:
                    self._process.send(entry.request)
            return True

    def _on_message(self, process: WorkerProcess, event: Event) -> None:
        with self._lock:
            if process is not self._process or (event.id and event.id not in self._open):
                if isinstance(event, IterationDone | PreviewReady):
                    remove_file(Path(event.foreground.path))
            elif isinstance(event, Failed) and not event.id:
                self._last_words = event  # it says why it cannot start, and ends
            elif isinstance(event, _LAST_EVENTS):
                self._finish(event)
            else:
                self._events.put(event)

    def _on_end(self, process: WorkerProcess) -> None:
        message, detail = process.describe_end()
        with self._lock:
            if process is not self._process:  # ended by `cancel` or `close`
                return
            self._process = None
            if self._last_words is not None:
                message, detail = self._last_words.message, self._last_words.detail or detail
            self._lose(message, detail)

    def _lose(self, message: str, detail: str) -> None:
        lost = list(self._open)
        self._open.clear()
        self._events.put(WorkerLost(id=lost[0] if lost else "", message=message, detail=detail))
        for request_id in lost:
            self._enqueue(partial(self._remove_files, request_id, INPUTS))

    def _finish(self, event: Event) -> None:
        """End a request with its last event; what was written for it is not needed any more."""
        with self._lock:
            if self._open.pop(event.id, None) is not None:
                self._events.put(event)
                self._enqueue(partial(self._remove_files, event.id, INPUTS))

    def _remove_files(self, request_id: str, which: str) -> None:
        if self._folder is not None:
            remove_files(self._folder.path, request_id, which)

    def _run_events(self) -> None:
        while (event := self._events.get()) is not None and not self._closed:
            self._call(partial(self._on_event, event))

    def _call(self, job: Callable[[], object]) -> None:
        """Do a job of a thread that must go on to the next one whatever happens; a failure is logged."""
        try:
            job()
        except Exception:  # noqa: BLE001 (logged)
            _log.exception("%s failed", job)
