"""What becomes of a candidate: compared with the current model, accepted, kept, rejected, or gone back from."""

from pathlib import Path
from typing import TYPE_CHECKING

from napari_runet.engine.messages import Cancelled, CandidateReady, Event, Failed, Finished, IterationDone, WorkerLost
from napari_runet.images.thresholding import labels_from
from napari_runet.models.store import ModelError, ModelStore, read_card
from napari_runet.plugin.comparing import Comparison
from napari_runet.plugin.session import Notice, Tuning
from napari_runet.plugin.versions import CandidateModel, keep_candidate, left_over, next_name, parent_of, throw_away
from napari_runet.settings import SegmentationSettings
from napari_runet.wording import counted

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt
    from napari.components import ViewerModel

    from napari_runet.corrections.locking import FileLock
    from napari_runet.models.store import StoredModel
    from napari_runet.plugin.choices import Choices
    from napari_runet.plugin.correcting import Correcting
    from napari_runet.plugin.engine_bridge import EngineBridge
    from napari_runet.plugin.plane_correction import PlaneCorrection
    from napari_runet.plugin.session import NoticeKind, Session


class Deciding:
    """Proposes candidates, and does with them what a person decides.

    Parameters
    ----------
    viewer, session, choices, correcting
        Where layers go, the state, what is chosen, and what was corrected.
    engine
        The worker that segments with the candidate, for the comparison.
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
        self._comparing = ""
        self._changed: int | None = None
        self._lock: FileLock | None = None
        self.comparison: Comparison | None = None

    # What people do

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
            self.rest(text, "warning")
        else:
            self.rest("The candidate was thrown away; the model is as it was.")

    def flip(self) -> None:
        """Show the candidate's mask instead of the current one, or the other way round."""
        if self.comparison is not None:
            self.comparison.flip()
            self._say_what_is_shown()

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

    # Candidates come and go

    def begin(self, plane: "PlaneCorrection | None", model: "StoredModel", lock: "FileLock") -> None:
        """Get ready to show what a candidate makes of a plane; `lock` is held until it is decided on."""
        self.close_comparison()
        self._lock = lock
        if plane is not None:
            self.comparison = Comparison(self._viewer, plane, model.card)

    def propose(self, event: CandidateReady, parent: "StoredModel") -> None:
        """Ask what shall become of a candidate that was just made."""
        try:
            card = read_card(Path(event.folder))
        except ModelError as error:
            self.rest(f"{error} The model is as it was.", "error")
            return
        self._ask(CandidateModel(Path(event.folder), card, dict(event.figures), parent))
        self._compare(Path(event.folder))

    def look_for_left_over(self) -> bool:
        """Ask about a candidate on which a program that ended has left no decision; False where there is none."""
        if self._session.tuning.stage != "idle" or self._lock is not None:
            return False
        try:
            found = left_over(self._session.models)
        except OSError as error:
            self._session.tuning_notice = Notice(f"Candidates cannot be looked for: {error}.", "warning")
            return False
        if found is None:
            return False
        candidate, self._lock = found
        self._ask(candidate)
        text = f"{candidate.card.title} was fine-tuned earlier, and napari ended before you decided on it."
        self._session.tuning_notice = Notice(text)
        return True

    def rest(self, text: str, kind: "NoticeKind" = "info") -> None:
        """Nothing is to be decided any more."""
        self.close_comparison()
        if self._lock is not None:
            self._lock.release()
            self._lock = None
        self._session.candidate = None
        self._session.tuning = Tuning()
        self._session.tuning_notice = Notice(text, kind)

    def leave(self) -> None:
        """The panel goes: the candidate stays where it is, for the next one to ask about."""
        self.close_comparison()
        if self._lock is not None:
            self._lock.release()
            self._lock = None

    def _ask(self, candidate: CandidateModel) -> None:
        figures = candidate.figures
        before, after = figures.get("before"), figures.get("after")
        self._session.candidate = candidate
        self._session.tuning = Tuning(
            "deciding",
            str(figures.get("reason", "")),
            None,
            before if isinstance(before, float) else None,
            after if isinstance(after, float) else None,
        )

    def _keep(self, name: str) -> "StoredModel | None":
        candidate, session = self._session.candidate, self._session
        if candidate is None:
            return None
        title, model_id = next_name(candidate.card, session.models, name or candidate.card.title)
        try:
            folder = keep_candidate(candidate, title, model_id, ModelStore().user)
        except OSError as error:
            text = f"The candidate cannot be kept ({error.strerror or error}); free some space and try again."
            session.tuning_notice = Notice(text, "error")
            return None
        self.rest("")
        self._choices.list_models()
        return next((model for model in session.models if model.folder == folder), None)

    # The candidate beside the current model

    def on_event(self, event: Event, foreground: "npt.NDArray[np.uint8] | None") -> bool:
        """Take an event of the worker; False when it belongs to no comparison."""
        if isinstance(event, WorkerLost):
            self._comparing = ""
            return False
        if not self._comparing or event.id != self._comparing:
            return False
        comparison, candidate = self.comparison, self._session.candidate
        if isinstance(event, IterationDone) and foreground is not None and comparison is not None:
            comparison.show(foreground, None, "candidate")
            if candidate is not None:
                before = self._correcting.predictions.labels(comparison.plane)[0]
                after = labels_from(foreground, candidate.card.threshold)
                self._changed = comparison.show_changes(before, after)
        elif isinstance(event, Finished | Failed | Cancelled):
            self._engine.release(self._comparing)
            self._comparing = ""
            if isinstance(event, Failed):
                self._session.tuning_notice = Notice(f"The two masks cannot be compared: {event.message}", "warning")
            elif isinstance(event, Finished):
                self._say_what_is_shown()
        return True

    def _say_what_is_shown(self) -> None:
        """Say how much differs, once the candidate's last iteration is there, and which mask is on show alone."""
        comparison = self.comparison
        if comparison is None or self._session.candidate is None:
            return
        texts = []
        if self._changed is not None and not self._comparing:
            name = comparison.plane.image.name
            texts.append(f"{counted(self._changed, 'pixel')} of {name} changed; a hidden layer shows where.")
        if comparison.flipped:
            texts.append("You see the candidate's mask alone.")
        self._session.tuning_notice = Notice(" ".join(texts))

    def close_comparison(self) -> None:
        """Take the layers of the comparison away."""
        if self._comparing:
            self._engine.release(self._comparing)
            self._comparing = ""
        if self.comparison is not None:
            self.comparison.close()
            self.comparison = None

    def _compare(self, folder: Path) -> None:
        """Have the candidate segment the plane that is shown."""
        if self.comparison is None:
            return
        self._changed = None
        plane = self.comparison.plane
        source = plane.source
        self._comparing = self._engine.segment(
            lambda: source.input.plane(source.index),
            folder=folder,
            name=plane.image.name,
            settings=SegmentationSettings(device=self._session.tuning_settings.device),
            region=None,
        )
