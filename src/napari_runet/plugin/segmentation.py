"""What happens between pressing Segment and the last mask: requests out, events in, one image after the other."""

from collections import deque
from dataclasses import dataclass
from typing import TYPE_CHECKING
from weakref import WeakSet

from napari.layers import Image

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
from napari_runet.plugin.layers import ResultLayers, results_of
from napari_runet.plugin.plane_correction import correction_of
from napari_runet.plugin.reading import why_not
from napari_runet.plugin.regions import region_of
from napari_runet.plugin.results import IterationResult, Result
from napari_runet.plugin.session import Activity, Notice

if TYPE_CHECKING:
    from collections.abc import Sequence

    import numpy as np
    import numpy.typing as npt
    from napari.components import ViewerModel

    from napari_runet.plugin.choices import Choices
    from napari_runet.plugin.engine_bridge import EngineBridge
    from napari_runet.plugin.results import RunState
    from napari_runet.plugin.session import NoticeKind, Session
    from napari_runet.plugin.stepping import Stepping


@dataclass(slots=True, eq=False)
class _Run:
    """A request that is under way."""

    request_id: str
    image: "Image"
    result: Result
    layers: ResultLayers | None = None


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
        self._viewer = viewer
        self._session = session
        self._choices = choices
        self._stepping = stepping
        self._engine = engine
        self._run: _Run | None = None
        self._waiting: deque[Image] = deque()
        self._problems: list[str] = []
        self._batch = 0
        self._done = 0
        self._alpha_told: WeakSet[Image] = WeakSet()
        self._loading: dict[str, str] = {}
        engine.told.connect(self.on_event)

    # What people do

    def segment(self, images: "Sequence[Image]", left_out: "Sequence[str]" = ()) -> bool:
        """Segment images one after the other; False when a run is under way or there is nothing to do.

        `left_out` are sentences about images that cannot be segmented, told at the end.
        """
        if self._run is not None or not images or self._session.model is None:
            return False
        self._problems = list(left_out)
        self._done = 0
        self._batch = len(images)
        self._waiting.extend(images)
        self._session.notice = Notice()
        self._next()
        return True

    def cancel(self) -> None:
        """Stop: asked once, at the next tile; asked again, at once, by ending the worker process."""
        self._waiting.clear()
        if self._run is not None:
            text = "Stopping at the next tile; press again to stop at once"
            self._session.activity = Activity("cancelling", text)
            self._engine.cancel(self._run.request_id)

    def warm_up(self) -> None:
        """Have the worker load the chosen model, so that the first click is quick and a damaged one is told."""
        model = self._session.model
        if model is not None and str(model.folder) not in self._loading.values():
            request = self._engine.load_model(model.folder, self._session.settings.device)
            self._loading[request] = str(model.folder)

    def forget(self, image: object) -> None:
        """Stop what is done for an image that was closed."""
        self._waiting = deque(waiting for waiting in self._waiting if waiting is not image)
        if self._run is not None and self._run.image is image:
            self._engine.release(self._run.request_id)
            self._end("stopped", f"{self._run.result.image_name} was closed before it was segmented.")

    def abandon(self) -> None:
        """Forget what is under way, because the engine ends; what was computed stays, as far as it went."""
        self._waiting.clear()
        self._loading.clear()
        if self._run is not None:
            self._run.result.state = "stopped"
            self._run = None
            self._session.activity = Activity()

    # One image

    def _next(self) -> None:
        while self._run is None and self._waiting:
            image = self._waiting.popleft()
            try:
                self._run = self._start(image)
            except ImageError as error:
                self._problems.append(str(error))
        if self._run is None:
            self._rest()

    def _start(self, image: "Image") -> _Run:
        """Send the request for an image; an `ImageError` when it cannot be segmented."""
        model, settings = self._session.model, self._session.settings
        if model is None:
            raise ImageError("No model is chosen.")
        source = self._choices.source(image)
        if reason := why_not(source, model.card):
            raise ImageError(reason)
        region = region_of(self._session.region, self._viewer, image, source, self._session.shapes)
        plane, index = source.input, source.index
        request_id = self._engine.segment(
            lambda: plane.plane(index), folder=model.folder, name=image.name, settings=settings, region=region
        )
        if source.has_alpha and image not in self._alpha_told:
            self._alpha_told.add(image)
            self._problems.append(f"The transparency (alpha channel) of {image.name} is left out.")
        first = "Reading" if self._session.device else "Starting the network, and reading"
        self._session.activity = Activity("running", f"{self._place_in_batch()}{first} {image.name}")
        threshold = settings.threshold or model.card.threshold
        result = Result(image.name, model.card, request_id, source, region, threshold)
        return _Run(request_id, image, result)

    def _place_in_batch(self) -> str:
        done = self._batch - len(self._waiting)
        return f"Image {done} of {self._batch}: " if self._batch > 1 else ""

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
        elif self._run is not None and event.id == self._run.request_id:
            self._on_run_event(self._run, event, foreground)

    def _on_run_event(self, run: _Run, event: Event, foreground: "npt.NDArray[np.uint8] | None") -> None:
        if isinstance(event, Progress) and self._session.activity.stage == "running":
            text = self._place_in_batch() + _what_is_next(event)
            fraction = (event.iteration - 1 + event.done / max(1, event.total)) / event.iterations
            self._session.activity = Activity("running", text, fraction, event.seconds_left)
        elif isinstance(event, IterationDone) and foreground is not None:
            run.result.iterations.append(IterationResult(foreground, event.mean_confidence))
            self._show_iteration(run, event.iteration)
        elif isinstance(event, Finished):
            run.result.device = event.device
            self._end("complete", _done_text(run, event))
        elif isinstance(event, Cancelled):
            self._end("stopped", _stopped_text(run))
        elif isinstance(event, Failed):
            self._problems.append(event.message)
            self._end("failed", "")

    def _on_lost(self, event: WorkerLost) -> None:
        self._loading.clear()
        self._session.device = ""
        if self._run is not None and self._session.activity.stage == "cancelling":
            self._end("stopped", _stopped_text(self._run))
        elif self._run is not None:
            self._waiting.clear()
            self._problems.append(event.message)
            self._end("failed", "")
        else:
            self._session.notice = Notice(event.message, "error")

    def _show_iteration(self, run: _Run, iteration: int) -> None:
        """Put an iteration on show, and select it unless somebody is at work on a layer of another kind."""
        if run.layers is None:
            run.layers = results_of(self._viewer, run.image, run.result.card.id)
            if run.layers is None:
                run.layers = ResultLayers(self._viewer, run.image, run.result)
            else:
                run.layers.begin(run.result)
        active = self._viewer.layers.selection.active
        follow = active is None or isinstance(active, Image) or active in run.layers
        follow = follow and correction_of(active) is None  # whoever paints is not taken away from it
        self._session.results = run.layers
        layer = run.layers.update(iteration)
        self._stepping.show(iteration, select=False)
        if follow:
            self._viewer.layers.selection.active = layer
        self._session.revision += 1

    def _end(self, state: "RunState", text: str) -> None:
        run, self._run = self._run, None
        if run is None:
            return
        run.result.state = state
        self._engine.release(run.request_id)
        if state == "complete":
            self._done += 1
            if run.layers is not None:
                run.layers.finish()
        self._session.revision += 1
        if self._waiting:
            self._next()
        else:
            self._rest(text)

    def _rest(self, text: str = "") -> None:
        """Nothing is under way any more: say how it went."""
        if self._batch > 1 and self._done:
            text = f"{self._done} of {self._batch} images segmented."
        kind: NoticeKind = "info" if not self._problems else "warning" if text else "error"
        self._session.activity = Activity()
        self._session.notice = Notice(" ".join([text, *self._problems]).strip(), kind)


def _what_is_next(event: Progress) -> str:
    """The iteration and tile that are being computed, given what was done last."""
    turn = event.done >= event.total and event.iteration < event.iterations
    iteration, tile = (event.iteration + 1, 1) if turn else (event.iteration, min(event.done + 1, event.total))
    tiles = f", tile {tile} of {event.total}" if event.total > 1 else ""
    return f"Iteration {iteration} of {event.iterations}{tiles}"


def _done_text(run: _Run, event: Finished) -> str:
    count = f"{event.iterations} iteration{'s' if event.iterations != 1 else ''}"
    return f"{run.result.image_name}: {count} in {event.seconds:.1f} s on {event.device.upper()}."


def _stopped_text(run: _Run) -> str:
    done = len(run.result)
    if done == 0:
        return "Stopped; nothing was changed."
    return f"Stopped after iteration {done}; later iterations were not computed."
