"""Making a model of one's own: from nothing, or with the layers of another one."""

from dataclasses import dataclass
from typing import TYPE_CHECKING

from napari_runet.engine.messages import Event, Failed, ModelMade, WorkerLost
from napari_runet.models.managing import free_folder
from napari_runet.models.store import ModelError, ModelStore
from napari_runet.plugin.session import Notice
from napari_runet.plugin.versions import id_of

if TYPE_CHECKING:
    from pathlib import Path

    from napari_runet.models.card import ClassInfo
    from napari_runet.models.store import StoredModel
    from napari_runet.plugin.choices import Choices
    from napari_runet.plugin.engine_bridge import EngineBridge
    from napari_runet.plugin.session import Session


@dataclass(frozen=True, slots=True)
class NewModel:
    """What a person wants: its name, its classes (the background first), and where its layers come from."""

    title: str
    classes: "tuple[ClassInfo, ...]"
    channels: int
    start_with: "StoredModel | None" = None


class Making:
    """Has new models made by the worker, and chooses them when they are there.

    Parameters
    ----------
    session, choices
        The state, and where a model is chosen.
    engine
        The worker that segments.
    """

    def __init__(self, session: "Session", choices: "Choices", engine: "EngineBridge") -> None:
        self._session = session
        self._choices = choices
        self._engine = engine
        self._request = ""
        self._folder: Path | None = None
        engine.told.connect(self.on_event)

    def folder_for(self, title: str) -> "Path":
        """Where a model of this name goes.

        Raises
        ------
        ModelError
            When there is no name, or it is taken.
        """
        if not title.strip():
            raise ModelError("Give the model a name.")
        titles = {model.card.title.lower() for model in self._session.models}
        if title.strip().lower() in titles:
            raise ModelError(f"There is a model called {title.strip()!r} already; choose another name.")
        return free_folder(ModelStore(), id_of(title))

    def make(self, wanted: NewModel) -> bool:
        """Have a model made; False, with a notice, when its name is taken or another one is being made."""
        if self._request:
            return False
        try:
            self._folder = self.folder_for(wanted.title)
        except ModelError as error:
            self._session.notice = Notice(str(error), "error")
            return False
        start_with = wanted.start_with
        self._request = self._engine.new_model(
            self._folder,
            model_id=self._folder.name,
            title=wanted.title.strip(),
            classes=wanted.classes,
            channels=wanted.channels,
            parent=start_with.folder if start_with is not None else None,
        )
        self._session.notice = Notice(f"Making {wanted.title.strip()}…")
        return True

    def on_event(self, event: Event, foreground: object = None) -> None:
        """Take an event of the worker; those of other requests are not looked at."""
        if not self._request or (event.id != self._request and not isinstance(event, WorkerLost)):
            return
        if isinstance(event, ModelMade):
            self._choose()
        elif isinstance(event, Failed | WorkerLost):
            self._session.notice = Notice(f"The model was not made. {event.message}", "error")
        self._request = ""

    def _choose(self) -> None:
        self._choices.list_models()
        made = next((model for model in self._session.models if model.folder == self._folder), None)
        if made is None:
            self._session.notice = Notice(f"The model in {self._folder} cannot be found again.", "error")
            return
        self._choices.choose_model(made)
        names = ", ".join(made.card.class_names[1:])
        self._session.notice = Notice(
            f"{made.card.title} is made. Press Correct and paint some {names}, say where all is right, and fine-tune."
        )
