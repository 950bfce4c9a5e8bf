"""Fine-tuning beside the user's work: corrections out, reports and a candidate in, and what becomes of it."""

from pathlib import Path
from typing import TYPE_CHECKING

from napari_runet.engine.messages import (
    Cancelled,
    CandidateReady,
    Event,
    Failed,
    FineTuneReport,
    Finished,
    IterationDone,
    PreviewReady,
    WorkerLost,
)
from napari_runet.images.image_input import ImageError
from napari_runet.images.thresholding import labels_from
from napari_runet.models.store import ModelError, ModelStore, read_card
from napari_runet.plugin.comparing import Comparison
from napari_runet.plugin.reading import why_not
from napari_runet.plugin.regions import region_of
from napari_runet.plugin.session import Notice, Tuning
from napari_runet.plugin.versions import (
    CandidateModel,
    candidates_folder,
    keep_candidate,
    next_name,
    parent_of,
    throw_away,
)
from napari_runet.settings import SegmentationSettings

if TYPE_CHECKING:
    from collections.abc import Callable

    import numpy as np
    import numpy.typing as npt
    from napari.components import ViewerModel

    from napari_runet.engine.requests import CorrectedPlane
    from napari_runet.images.image_input import Region
    from napari_runet.models.store import StoredModel
    from napari_runet.plugin.choices import Choices
    from napari_runet.plugin.correcting import Correcting
    from napari_runet.plugin.engine_bridge import EngineBridge
    from napari_runet.plugin.plane_correction import PlaneCorrection
    from napari_runet.plugin.session import NoticeKind, Session

NOTHING_YET = "Nothing is corrected yet: paint what is wrong, or take a region as right."


class FineTuning:
    """Fine-tunes a model on all corrections that are open, in a worker of its own.

    Parameters
    ----------
    viewer, session, choices, correcting
        Where layers go, the state, what is chosen, and what was corrected.
    engine
        A worker that nothing else uses.
    """

    def __init__(
        self,
        viewer: "ViewerModel",
        session: "Session",
        choices: "Choices",
        correcting: "Correcting",
        engine: "EngineBridge",
    ) -> None:
        self._viewer = viewer
        self._session = session
        self._choices = choices
        self._correcting = correcting
        self._engine = engine
        self._request = ""
        self._comparing = ""
        self._output: Path | None = None
        self._shown_region: Region | None = None
        self._parent: StoredModel | None = None
        self.comparison: Comparison | None = None
        self.losses: list[tuple[float, float]] = []
        """Seconds and loss, of each report."""
        self.scores: list[tuple[float, float]] = []
        """Seconds and Dice of the best so far on what was held out, of each report that has it."""
        engine.told.connect(self.on_event)

    # What people do

    def start(self) -> bool:
        """Fine-tune the chosen model on what is corrected; False, with a notice, when that cannot be done."""
        session = self._session
        if session.tuning.stage != "idle":
            return False
        model = session.start_from or session.model
        if model is None:
            session.tuning_notice = Notice("There is no model to start from.", "error")
            return False
        planes, reasons = self._usable(model)
        if not planes:
            session.tuning_notice = Notice(" ".join(reasons) or NOTHING_YET, "error")
            return False
        title, model_id = next_name(model.card, session.models, session.tuning_settings.name)
        self._parent, self._output = model, candidates_folder() / model_id
        try:
            throw_away(self._output)
        except OSError as error:
            session.tuning_notice = Notice(f"{self._output} cannot be written: {error.strerror}.", "error")
            return False
        self.losses, self.scores = [], []
        shown = session.correction if session.correction in planes else planes[0]
        self._close_comparison()
        self.comparison = Comparison(self._viewer, shown, model.card)
        self._request = self._engine.fine_tune(
            _reader(planes),
            folder=model.folder,
            output=self._output,
            settings=session.tuning_settings.model_copy(update={"name": title}),
            preview=self._preview(planes, shown),
        )
        session.tuning_notice = Notice(" ".join(reasons), "warning") if reasons else Notice()
        session.tuning = Tuning("running", f"Starting to fine-tune {model.card.title}")
        return True

    def stop(self) -> None:
        """Stop: asked once, after the training step under way, with the best so far; asked again, with nothing."""
        if self._session.tuning.stage in ("running", "stopping"):
            self._session.tuning = Tuning("stopping", "Stopping; press again to stop at once and keep nothing")
            self._engine.cancel(self._request)

    def accept(self, name: str = "") -> bool:
        """Keep the candidate, and segment with it from now on."""
        kept = self._keep(name)
        if kept is None:
            return False
        self._choices.choose_model(kept)
        self._session.start_from = None
        text = f"{kept.card.title} segments from now on; Go back returns to the model before it."
        self._session.tuning_notice = Notice(text)
        return True

    def keep(self, name: str = "") -> bool:
        """Keep the candidate among the models, perhaps under another name, and go on with the present model."""
        kept = self._keep(name)
        if kept is not None:
            self._session.tuning_notice = Notice(f"{kept.card.title} is among your models; nothing else has changed.")
        return kept is not None

    def reject(self) -> None:
        """Throw the candidate away."""
        candidate = self._session.candidate
        if candidate is None:
            return
        try:
            throw_away(candidate.folder)
        except OSError as error:
            text = f"The candidate is not used, but its folder {candidate.folder} stays: {error.strerror}."
            self._rest(text, "warning")
        else:
            self._rest("The candidate was thrown away; the model is as it was.")

    def flip(self) -> None:
        """Show the candidate's mask instead of the current one, or the other way round."""
        if self.comparison is not None:
            self.comparison.flip()

    def anything_corrected(self) -> bool:
        """Whether there is something to learn from."""
        return self._correcting.anything_corrected()

    def can_go_back(self) -> "StoredModel | None":
        """The model that the chosen one was tuned from."""
        return parent_of(self._session.model, self._session.models)

    def go_back(self) -> bool:
        """Segment with the model that the chosen one was tuned from."""
        parent = self.can_go_back()
        if parent is None:
            return False
        self._choices.choose_model(parent)
        text = f"{parent.card.title} segments again; the later version stays in the list."
        self._session.tuning_notice = Notice(text)
        return True

    def abandon(self) -> None:
        """Forget what is under way, because the worker ends."""
        if self._session.tuning.stage in ("running", "stopping"):
            self._rest("Fine-tuning was ended with the panel; the model is as it was.")
        self._close_comparison()

    # What the engine says

    def on_event(self, event: Event, foreground: "npt.NDArray[np.uint8] | None" = None) -> None:
        """Take an event of the worker; those of requests that are no longer current are dropped."""
        if isinstance(event, WorkerLost):
            self._on_lost(event)
        elif self._comparing and event.id == self._comparing:
            self._on_compared(event, foreground)
        elif self._request and event.id == self._request:
            self._on_tuning_event(event, foreground)

    def _on_tuning_event(self, event: Event, foreground: "npt.NDArray[np.uint8] | None") -> None:
        if isinstance(event, FineTuneReport):
            self._on_report(event)
        elif isinstance(event, PreviewReady) and foreground is not None and self.comparison is not None:
            self.comparison.show(foreground, self._shown_region, "preview of the candidate")
        elif isinstance(event, CandidateReady):
            self._on_candidate(event)
        elif isinstance(event, Cancelled):
            self._clean_up()
            self._rest("Stopped; there is no candidate, and the model is as it was.")
        elif isinstance(event, Failed):
            self._clean_up()
            self._rest(f"{event.message} The model is as it was.", "error")

    def _on_report(self, event: FineTuneReport) -> None:
        if event.loss is not None:
            self.losses.append((event.seconds, event.loss))
        if event.after is not None:
            self.scores.append((event.seconds, event.after))
        if self._session.tuning.stage == "running":
            text = f"{event.phase}: training step {event.training_step}"
            self._session.tuning = Tuning("running", text, event.seconds_left, event.before, event.after)

    def _on_candidate(self, event: CandidateReady) -> None:
        self._engine.release(self._request)
        self._request = ""
        folder = Path(event.folder)
        try:
            card = read_card(folder)
        except ModelError as error:
            self._rest(f"{error} The model is as it was.", "error")
            return
        if self._parent is None:
            return
        self._session.candidate = CandidateModel(folder, card, dict(event.figures), self._parent)
        figures = event.figures
        before, after = figures.get("before"), figures.get("after")
        self._session.tuning = Tuning(
            "deciding",
            str(figures.get("reason", "")),
            None,
            before if isinstance(before, float) else None,
            after if isinstance(after, float) else None,
        )
        self._compare(folder)

    def _on_lost(self, event: WorkerLost) -> None:
        self._comparing = ""
        if not self._request:
            return
        stopping = self._session.tuning.stage == "stopping"
        self._clean_up()
        if stopping:
            self._rest("Stopped; there is no candidate, and the model is as it was.")
        else:
            text = f"{event.message} The model and your corrections are as they were; press Fine-tune to try again."
            self._rest(text, "error")

    # The candidate beside the current model

    def _compare(self, folder: Path) -> None:
        """Have the candidate segment the plane that is shown."""
        if self.comparison is None:
            return
        plane = self.comparison.plane
        source = plane.source
        self._comparing = self._engine.segment(
            lambda: source.input.plane(source.index),
            folder=folder,
            name=plane.image.name,
            settings=SegmentationSettings(device=self._session.tuning_settings.device),
            region=None,
        )

    def _on_compared(self, event: Event, foreground: "npt.NDArray[np.uint8] | None") -> None:
        comparison, candidate = self.comparison, self._session.candidate
        if isinstance(event, IterationDone) and foreground is not None and comparison is not None:
            comparison.show(foreground, None, "candidate")
            if candidate is not None:
                before = self._correcting.prediction(comparison.plane)
                after = labels_from(foreground, candidate.card.threshold)
                changed = comparison.show_changes(before, after)
                text = f"{changed} pixels of {comparison.plane.image.name} differ from the mask before."
                self._session.tuning_notice = Notice(text)
        elif isinstance(event, Finished | Failed | Cancelled):
            self._engine.release(self._comparing)
            self._comparing = ""
            if isinstance(event, Failed):
                self._session.tuning_notice = Notice(f"The two masks cannot be compared: {event.message}", "warning")

    def _close_comparison(self) -> None:
        if self._comparing:
            self._engine.release(self._comparing)
            self._comparing = ""
        if self.comparison is not None:
            self.comparison.close()
            self.comparison = None

    # How it is done

    def _keep(self, name: str) -> "StoredModel | None":
        candidate, session = self._session.candidate, self._session
        if candidate is None:
            return None
        title, model_id = candidate.card.title, candidate.card.id
        taken = {model.card.id for model in session.models}
        if name.strip() or model_id in taken:
            title, model_id = next_name(candidate.parent.card, session.models, name)
        try:
            folder = keep_candidate(candidate, title, model_id, ModelStore().user)
        except OSError as error:
            text = f"The candidate cannot be kept ({error.strerror or error}); free some space and try again."
            session.tuning_notice = Notice(text, "error")
            return None
        self._rest("")
        self._choices.list_models()
        return next((model for model in session.models if model.folder == folder), None)

    def _usable(self, model: "StoredModel") -> "tuple[list[PlaneCorrection], list[str]]":
        """The corrected planes that the model can learn from, and a sentence for each that it cannot."""
        planes, reasons = [], []
        for plane in self._correcting.corrected_planes():
            reason = why_not(plane.source, model.card)
            known = plane.known.labels[plane.known.flags != 0]
            if not reason and int(known.max()) >= len(model.card.classes):
                reason = (
                    f"{plane.image.name} has pixels labelled {int(known.max())}, which is no class of "
                    f"{model.card.title}; undo them, or paint them over."
                )
            if reason:
                reasons.append(reason)
            else:
                planes.append(plane)
        return planes, reasons

    def _preview(self, planes: "list[PlaneCorrection]", shown: "PlaneCorrection") -> "tuple[int, Region] | None":
        """What is in view, as the number of its plane and a box; None where it cannot be told."""
        self._shown_region = None
        try:
            self._shown_region = region_of("view", self._viewer, shown.image, shown.source, None)
        except ImageError:
            return None
        return (planes.index(shown), self._shown_region) if self._shown_region is not None else None

    def _clean_up(self) -> None:
        """Remove what a fine-tuning that was ended may have left."""
        if self._output is not None:
            try:
                throw_away(self._output)
            except OSError as error:
                self._session.tuning_notice = Notice(f"{self._output} stays: {error.strerror}.", "warning")

    def _rest(self, text: str, kind: "NoticeKind" = "info") -> None:
        if self._request:
            self._engine.release(self._request)
        self._request, self._output = "", None
        self._close_comparison()
        self._session.candidate = None
        self._session.tuning = Tuning()
        self._session.tuning_notice = Notice(text, kind)


def _reader(planes: "list[PlaneCorrection]") -> "Callable[[], list[CorrectedPlane]]":
    """Reads planes and labels on the client's thread; the labels are those of now."""
    labels = [plane.known.correction.labels for plane in planes]
    names = [" ".join([plane.image.name, *map(str, plane.known.index)]) for plane in planes]
    sources = [plane.source for plane in planes]

    def read() -> "list[CorrectedPlane]":
        pixels = [source.input.plane(source.index) for source in sources]
        return list(zip(names, pixels, labels, strict=True))

    return read
