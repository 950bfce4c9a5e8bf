"""Fine-tuning beside the user's work: corrections out, reports and a candidate in."""

from typing import TYPE_CHECKING

from napari_runet.engine.messages import (
    Cancelled,
    CandidateReady,
    Event,
    Failed,
    FineTuneReport,
    PreviewReady,
    WorkerLost,
)
from napari_runet.plugin.session import Notice, Tuning
from napari_runet.plugin.tuning_samples import CorrectedSource, reader, usable
from napari_runet.plugin.versions import claim_folder, next_name, throw_away

if TYPE_CHECKING:
    from pathlib import Path

    import numpy as np
    import numpy.typing as npt

    from napari_runet.images.image_input import Region
    from napari_runet.models.store import StoredModel
    from napari_runet.plugin.correcting import Correcting
    from napari_runet.plugin.deciding import Deciding
    from napari_runet.plugin.engine_bridge import EngineBridge
    from napari_runet.plugin.plane_correction import PlaneCorrection
    from napari_runet.plugin.session import NoticeKind, Session

NOTHING_YET = "Nothing is corrected yet: paint what is wrong, or take a region as right."


class FineTuning:
    """Fine-tunes a model on all corrections that are open, in a worker of its own.

    Parameters
    ----------
    session, correcting
        The state, and what was corrected.
    engine
        A worker that nothing else uses.
    deciding
        What becomes of the candidate.

    Attributes
    ----------
    losses
        Seconds and loss, of each report.
    scores
        Seconds and the score of the best so far on what was held out, of each report that has it.
    """

    def __init__(
        self, session: "Session", correcting: "Correcting", engine: "EngineBridge", deciding: "Deciding"
    ) -> None:
        self._session = session
        self._correcting = correcting
        self._engine = engine
        self._request = ""
        self._output: Path | None = None
        self._shown_region: Region | None = None
        self._parent: StoredModel | None = None
        self.deciding = deciding
        self.losses: list[tuple[float, float]] = []
        self.scores: list[tuple[float, float]] = []
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
        samples, reasons = usable(self._correcting.images, model.card)
        if not samples:
            session.tuning_notice = Notice(" ".join(reasons) or NOTHING_YET, "error")
            return False
        title, model_id = next_name(model.card, session.models, session.tuning_settings.name)
        try:
            self._output, lock = claim_folder(model_id)
        except OSError as error:
            text = f"A candidate cannot be written ({error.strerror or error}); free some space or allow writing."
            session.tuning_notice = Notice(text, "error")
            return False
        self._parent = model
        self.losses, self.scores = [], []
        self.deciding.begin(self._shown(samples), model, lock)
        earlier_but = self._correcting.images.open_keys() if session.learn_from_earlier else None
        self._request = self._engine.fine_tune(
            reader(samples, model.card.class_names, earlier_but),
            folder=model.folder,
            output=self._output,
            settings=session.tuning_settings.model_copy(update={"name": title}),
            preview=self._preview(samples),
        )
        session.tuning_notice = Notice(" ".join(reasons), "warning") if reasons else Notice()
        session.tuning = Tuning("running", f"Starting to fine-tune {model.card.title}")
        return True

    def stop(self) -> None:
        """Stop: asked once, after the training step under way, with the best so far; asked again, with nothing."""
        if self._session.tuning.stage in ("running", "stopping"):
            self._session.tuning = Tuning("stopping", "Stopping; press again to stop at once and keep nothing")
            self._engine.cancel(self._request)

    def anything_corrected(self) -> bool:
        """Whether there is something to learn from."""
        return self._correcting.images.anything_corrected()

    def abandon(self) -> None:
        """Forget what is under way, because the worker ends."""
        if self._session.tuning.stage in ("running", "stopping"):
            self._rest("Fine-tuning was ended with the panel; the model is as it was.")
        self.deciding.leave()

    # What the engine says

    def on_event(self, event: Event, foreground: "npt.NDArray[np.uint8] | None" = None) -> None:
        """Take an event of the worker; those of requests that are no longer current are dropped."""
        if self.deciding.on_event(event, foreground):
            return
        if isinstance(event, WorkerLost):
            self._on_lost(event)
        elif self._request and event.id == self._request:
            self._on_tuning_event(event, foreground)

    def _on_tuning_event(self, event: Event, foreground: "npt.NDArray[np.uint8] | None") -> None:
        comparison = self.deciding.comparison
        if isinstance(event, FineTuneReport):
            self._on_report(event)
        elif isinstance(event, PreviewReady) and foreground is not None and comparison is not None:
            comparison.show(foreground, self._shown_region, "preview of the candidate")
        elif isinstance(event, CandidateReady) and self._parent is not None:
            self._engine.release(self._request)
            self._request = ""
            self.deciding.propose(event, self._parent)
        elif isinstance(event, Cancelled):
            self._rest("Stopped; there is no candidate, and the model is as it was.")
        elif isinstance(event, Failed):
            self._rest(f"{event.message} The model is as it was.", "error")

    def _on_report(self, event: FineTuneReport) -> None:
        if event.loss is not None:
            self.losses.append((event.seconds, event.loss))
        if event.after is not None:
            self.scores.append((event.seconds, event.after))
        if self._session.tuning.stage == "running":
            text = f"{event.phase}: training step {event.training_step}"
            self._session.tuning = Tuning("running", text, event.seconds_left, event.before, event.after)

    def _on_lost(self, event: WorkerLost) -> None:
        if not self._request:
            return
        if self._session.tuning.stage == "stopping":
            self._rest("Stopped; there is no candidate, and the model is as it was.")
        else:
            text = f"{event.message} The model and your corrections are as they were; press Fine-tune to try again."
            self._rest(text, "error")

    # How it is done

    def _shown(self, samples: list[CorrectedSource]) -> "PlaneCorrection | None":
        """The corrected plane on which the candidate is shown: the one on show, where it is learned from."""
        shown = self._session.correction
        learned = {id(sample.source) for sample in samples}
        if shown is not None and id(shown.source) in learned:
            return shown
        planes = self._correcting.images.corrected_planes()
        return next((plane for plane in planes if id(plane.source) in learned), None)

    def _preview(self, samples: list[CorrectedSource]) -> "tuple[int, Region] | None":
        """What is in view, as the number of its sample and a box; None where it cannot be told."""
        self._shown_region = None
        comparison = self.deciding.comparison
        if comparison is None:
            return None
        self._shown_region = comparison.in_view()
        number = next(i for i, sample in enumerate(samples) if sample.source is comparison.plane.source)
        return (number, self._shown_region) if self._shown_region is not None else None

    def _rest(self, text: str, kind: "NoticeKind" = "info") -> None:
        """Nothing is being fine-tuned any more, and there is no candidate."""
        if self._request:
            self._engine.release(self._request)
        output, self._request, self._output = self._output, "", None
        if output is not None:
            try:
                throw_away(output)
            except OSError as error:
                text = f"{text} The folder {output} stays: {error.strerror}."
        self.deciding.rest(text, kind)
