"""A batch whose images are segmented by a worker process, so that whoever starts it needs no torch."""

import queue
import threading
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from napari_runet.batch.record import Job, Outcome
from napari_runet.batch.run import BatchRun, Plan, Tally
from napari_runet.engine.client import EngineClient
from napari_runet.engine.messages import (
    Cancelled,
    Event,
    Failed,
    FileDone,
    FileEstimate,
    FileProgress,
    PixelsWanted,
    WorkerLost,
)

Told = Callable[[int, float | Outcome | str], None]
"""Called with the number of a job and the share of it that is done, or what it gave, or why it failed."""


class WorkerBatch:
    """One batch: `run` does it on the thread that calls it, `stop` may be called from another.

    A worker that crashes costs the image that it was at; the next one is given to a new worker.

    Parameters
    ----------
    planned
        What is to be done.
    folder
        Of the model.
    told
        Called on the thread of `run`.
    environment
        Variables for the worker.
    estimated
        Called with the number of a large image's job and a sentence on what it takes, before it is begun.
    arrays
        The levels of the layer that is segmented, where it lies in this process.
    """

    def __init__(
        self,
        planned: Plan,
        folder: Path,
        told: Told,
        environment: Mapping[str, str] | None = None,
        estimated: Callable[[int, str], None] = lambda number, sentence: None,
        arrays: Sequence[Any] = (),
    ) -> None:
        self._arrays = arrays
        self._estimated = estimated
        self._planned, self._folder, self._told = planned, folder, told
        self._events: queue.SimpleQueue[Event] = queue.SimpleQueue()
        self._client = EngineClient(self._events.put, environment)
        self._lock = threading.Lock()
        self._request = ""
        self._stopped = False

    @property
    def worker_pid(self) -> int | None:
        """The worker's process number, None when there is none."""
        return self._client.worker_pid

    def run(self) -> Tally:
        """Do all jobs, or those before `stop`.

        Raises
        ------
        FileError
            As `BatchRun` does; what was finished stays.
        """
        try:
            with BatchRun(self._planned) as run:
                for number, job in enumerate(run.jobs):
                    if not self._begin(job):
                        break
                    self._follow(run, number, job)
                return run.tally
        finally:
            self._client.close()

    def stop(self) -> None:
        """Stop: asked once, at the next tile; asked again, at once."""
        with self._lock:
            self._stopped = True
            if self._request:
                self._client.cancel(self._request)

    def _begin(self, job: Job) -> bool:
        with self._lock:
            if not self._stopped:
                self._request = self._client.segment_file(job, folder=self._folder)
            return not self._stopped

    def _follow(self, run: BatchRun, number: int, job: Job) -> None:
        """Wait for the end of a job."""
        while True:
            event = self._events.get()
            if event.id != self._request:
                continue
            if isinstance(event, WorkerLost):
                if not self._stopped:
                    self._fail(run, number, job, f"{job.image}: {event.message}")
                return
            if isinstance(event, FileProgress):
                self._told(number, event.share)
            elif isinstance(event, FileEstimate):
                self._estimated(number, event.sentence)
            elif isinstance(event, PixelsWanted):
                self._client.give_pixels(event, self._arrays)
            elif isinstance(event, FileDone):
                run.finish(event.outcome)
                self._told(number, event.outcome)
                return
            elif isinstance(event, Failed):
                self._fail(run, number, job, event.message, no_room=event.no_room)
                return
            elif isinstance(event, Cancelled):
                return

    def _fail(self, run: BatchRun, number: int, job: Job, sentence: str, *, no_room: bool = False) -> None:
        self._told(number, sentence)
        run.fail(job, sentence, no_room=no_room)
