"""What happens between pressing Segment and the last mask: requests out, events in, one plane after the other."""

import time
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING
from weakref import WeakKeyDictionary

from napari.layers import Image

from napari_runet.engine.failures import describe_failure
from napari_runet.engine.messages import (
    Cancelled,
    Event,
    Failed,
    Finished,
    IterationDone,
    ModelLoaded,
    Progress,
    Ready,
    WorkerLost,
)
from napari_runet.images.image_input import ImageError
from napari_runet.io.plane_store import PlaneArchive
from napari_runet.plugin.plane_queue import PlaneQueue
from napari_runet.plugin.reading import plane_intensities
from napari_runet.plugin.results import IterationResult, Result, keep
from napari_runet.plugin.run_texts import done_text, next_text, stopped_text
from napari_runet.plugin.session import Activity, Notice
from napari_runet.plugin.showing import Showing

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt
    from napari.components import ViewerModel

    from napari_runet.models.store import StoredModel
    from napari_runet.plugin.choices import Choices
    from napari_runet.plugin.engine_bridge import EngineBridge
    from napari_runet.plugin.plane_queue import PlaneJob
    from napari_runet.plugin.result_layers import ResultLayers
    from napari_runet.plugin.results import RunState
    from napari_runet.plugin.session import NoticeKind, Session
    from napari_runet.plugin.stepping import Stepping

SOON_OVER = 0.5
"""Seconds for which no progress is told: each word makes all of napari be drawn, where the network needs the cores."""
_AT_A_TIME = 2
"""Planes of a stack that are with the engine: one is computed while the next is read and sent."""


@dataclass(slots=True, eq=False)
class _Run:
    """A request that is under way: the one that was begun as number `number`."""

    request_id: str
    job: "PlaneJob"
    result: Result
    number: int
    layers: "ResultLayers | None" = None
    let_go: bool = False


class Segmentation:
    """Runs the engine for a session.

    Parameters
    ----------
    viewer, session, choices, stepping, engine
        The viewer with the images, the state to be kept up to date, what is chosen, what shows iterations, and
        the worker.
    """

    def __init__(
        self,
        viewer: "ViewerModel",
        session: "Session",
        choices: "Choices",
        stepping: "Stepping",
        engine: "EngineBridge",
    ) -> None:
        self._session = session
        self._choices = choices
        self._showing = Showing(viewer, session, choices, stepping)
        self._engine = engine
        self._queue = PlaneQueue([])
        self._model: StoredModel | None = None
        self._settings = session.settings
        self._runs: list[_Run] = []
        self._stopped = ""
        self._archives: WeakKeyDictionary[Image, PlaneArchive] = WeakKeyDictionary()
        self._loading: dict[str, str] = {}
        engine.told.connect(self.on_event)

    # What people do

    @property
    def queue(self) -> PlaneQueue | None:
        """What is being done; None when nothing is."""
        return self._queue if self._runs else None

    def segment(self, queue: PlaneQueue) -> bool:
        """Do what is in a queue; False when something is under way or there is nothing to do."""
        if self._runs or not (queue.waiting or queue.problems) or self._session.model is None:
            return False
        self._queue, self._stopped = queue, ""
        self._model, self._settings = self._session.model, self._session.settings
        self._session.notice = Notice()
        self._showing.begin()
        self._go_on()
        return True

    def cancel(self) -> None:
        """Stop: asked once, at the next tile; asked again, at once, by ending the worker process."""
        self._queue.waiting.clear()
        if self._runs:
            text = "Stopping at the next tile; press again to stop at once"
            self._session.activity = Activity("cancelling", text)
        for run in list(self._runs):
            self._engine.cancel(run.request_id)

    def is_doing(self, image: Image, index: tuple[int, ...]) -> bool:
        """Whether a plane is being segmented."""
        return any(run.job.image is image and run.job.source.index == index for run in self._runs)

    def let_go(self) -> None:
        """Stop what nobody waits for any more, at the next tile; asked again, nothing more happens."""
        self._queue.waiting.clear()
        for run in self._runs:
            if not run.let_go:
                run.let_go = True
                self._engine.cancel(run.request_id)

    def warm_up(self) -> None:
        """Have the worker load the chosen model, so that the first click is quick and a damaged one is told."""
        model = self._session.model
        if model is not None and str(model.folder) not in self._loading.values():
            request = self._engine.load_model(model.folder, self._session.settings)
            self._loading[request] = str(model.folder)

    def forget(self, image: object) -> None:
        """Stop what is done for an image that was closed."""
        concerned = [run for run in self._runs if run.job.image is image]
        if self._queue.drop(image) or concerned:
            name = getattr(image, "name", "The image")
            self._queue.problems.append(f"{name} was closed before it was segmented.")
        for run in concerned:
            self._end(run, "stopped", "")

    def abandon(self) -> None:
        """Forget what is under way, because the engine ends; what was computed stays, as far as it went."""
        self._queue.waiting.clear()
        self._loading.clear()
        for run in self._runs:
            run.result.state = "stopped"
        self._runs.clear()
        self._session.activity = Activity()

    # One plane after the other

    def _go_on(self) -> None:
        """Send what comes next, as long as the engine may have more; say how it went when there is nothing left."""
        while len(self._runs) < _AT_A_TIME:
            if self._runs and not (self._queue.waiting and self._queue.waiting[0].source.index):
                return  # one image at a time: each may be large
            job = self._queue.take(self._choices.plane_on_show)
            if job is None:
                break
            try:
                self._runs.append(self._start(job))
            except ImageError as error:
                self._queue.problems.append(str(error))
                self._queue.finish(job, complete=False)
        if not self._runs:
            self._rest()

    def _start(self, job: "PlaneJob") -> _Run:
        """Send the request for a plane; an `ImageError` when it cannot be segmented."""
        model, settings = self._model, self._settings
        if model is None:
            raise ImageError("No model is chosen.")
        source, region = job.source, job.region()
        plane, index, name = source.input, source.index, source.input.name
        stack = source.input.axes.plane_axes
        archive = self._archives.setdefault(job.image, PlaneArchive()) if stack else None
        request_id = self._engine.segment(
            lambda: plane.plane(index),
            folder=model.folder,
            name=job.name,
            settings=settings,
            region=region,
            chain=job.chain,
            keep=keep if archive is None else archive.add,
            intensities=None if source.whole is None else partial(plane_intensities, source, model.card),
        )
        number = self._queue.begun
        if self._session.activity.stage == "idle":
            ready = bool(self._session.device)
            first = "Reading" if ready else "Starting the network, and reading"
            # a bar that runs to and fro draws the whole window anew 30 times a second: only while the network starts
            fraction = 0.0 if ready else None
            self._session.activity = Activity("running", f"{first} {self._queue.place(number)}{job.name}", fraction)
        result = Result(name, model.card, request_id, source, region, model.card.threshold, self._queue.name)
        return _Run(request_id, job, result, number)

    # What the engine says

    def on_event(self, event: Event, foreground: "npt.NDArray[np.uint8] | None" = None) -> None:
        """Take an event of the engine; those of requests that are no longer current are dropped."""
        if isinstance(event, Ready):
            self._session.device = event.device_reason
        elif isinstance(event, ModelLoaded):
            self._loading.pop(event.id, None)
            self._session.device = event.device_reason
        elif isinstance(event, WorkerLost):
            self._on_lost(event)
        elif isinstance(event, Failed) and event.id in self._loading:
            self._choices.refuse_model(self._loading.pop(event.id), event.message)
        else:
            run = next((run for run in self._runs if run.request_id == event.id), None)
            if run is not None:
                self._on_run_event(run, event, foreground)

    def _on_run_event(self, run: _Run, event: Event, foreground: "npt.NDArray[np.uint8] | None") -> None:
        if isinstance(event, Progress) and self._session.activity.stage == "running":
            self._tell(run, event)
        elif isinstance(event, IterationDone) and foreground is not None:
            run.result.iterations.append(IterationResult(foreground, event.mean_confidence))
            try:
                run.layers = run.layers or self._showing.layers_for(run.job.image, run.result)
                self._showing.show(run.layers, run.result)
            except OSError as error:
                self._queue.waiting.clear()
                self._fail(run, describe_failure(error, "The masks could not be kept"))
            self._session.revision += 1
        elif isinstance(event, Finished):
            run.result.device, run.result.goes_on, run.result.scale = event.device, event.goes_on, event.scale
            self._end(run, "complete", done_text(run.job.name, event))
        elif isinstance(event, Cancelled):
            self._end(run, "stopped", stopped_text(len(run.result)))
        elif isinstance(event, Failed):
            self._fail(run, event.message)

    def _tell(self, run: _Run, event: Progress) -> None:
        """Say what is being done and how long it may still take, unless it may be over at once."""
        if time.monotonic() - self._queue.begin < SOON_OVER:
            return
        share = (event.iteration - 1 + event.done / max(1, event.total)) / event.iterations
        text = f"{self._queue.place(run.number)}{run.job.name}, {next_text(event)}"
        left = self._queue.seconds_left(run.job, share, event.seconds_left)
        self._session.activity = Activity("running", text, self._queue.fraction(run.job, share), left)

    def _on_lost(self, event: WorkerLost) -> None:
        self._loading.clear()
        self._session.device = ""
        cancelling = self._session.activity.stage == "cancelling"
        self._queue.waiting.clear()
        if not self._runs:
            self._session.notice = Notice(event.message, "error")
        elif not cancelling:
            self._queue.problems.append(event.message)
        for run in list(self._runs):
            self._end(run, "stopped" if cancelling else "failed", stopped_text(len(run.result)) if cancelling else "")

    def _fail(self, run: _Run, sentence: str) -> None:
        self._queue.problems.append(sentence)
        self._end(run, "failed", "")

    def _end(self, run: _Run, state: "RunState", text: str) -> None:
        self._runs.remove(run)
        run.result.state = state
        self._engine.release(run.request_id)
        self._queue.finish(run.job, complete=state == "complete")
        if run.layers is not None:
            self._showing.select(run.layers, run.result)
            if state == "complete":
                run.layers.finish()
        self._stopped = text
        self._session.revision += 1
        self._go_on()

    def _rest(self) -> None:
        """Nothing is under way any more: say how it went."""
        queue = self._queue
        text = queue.summary() or ("" if queue.total > 1 and queue.problems else self._stopped)
        if text and self._showing.covered:
            text += " The new masks are hidden while your corrections are on show."
        problems = queue.told_problems()
        kind: NoticeKind = "info" if not problems else "warning" if text else "error"
        self._session.activity = Activity()
        if not queue.live or problems:
            self._session.notice = Notice(" ".join([text, *problems]).strip(), kind)
