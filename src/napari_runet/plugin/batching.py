"""Runs a batch for its window: lists images, has a worker segment them, and follows what becomes of each."""

import glob
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from qtpy.QtCore import QObject, Qt, QTimer, Signal  # type: ignore[attr-defined]

from napari_runet.batch.output import Output
from napari_runet.batch.record import FinishedImage, Outcome
from napari_runet.batch.record_file import read_entries
from napari_runet.batch.run import Plan, Tally, plan, plan_layer
from napari_runet.engine.batching import WorkerBatch
from napari_runet.engine.failures import describe_failure
from napari_runet.io.images import FileError
from napari_runet.plugin.batch_state import Row
from napari_runet.plugin.session import Notice

if TYPE_CHECKING:
    from napari_runet.models.store import StoredModel
    from napari_runet.plugin.batch_state import BatchState
    from napari_runet.plugin.session import Session

LIST_AFTER_MS = 400
"""Images are listed anew this long after the last key was pressed in a field."""


class Batching(QObject):
    """Keeps the state of a batch window up to date; all that waits for disks or the worker is done on a thread.

    Parameters
    ----------
    session
        Whose model and options are taken.
    state
        What is chosen, and what is kept up to date.
    """

    _listed = Signal(int, object)
    _told = Signal(int, int, object)
    _estimated = Signal(int, int, str)
    _ended = Signal(int, object)

    def __init__(self, session: "Session", state: "BatchState", parent: QObject | None = None) -> None:
        super().__init__(parent)
        self._session, self._state = session, state
        self._turn = 0
        self._batch: WorkerBatch | None = None
        self._begun = self._row_begun = 0.0
        self._soon = QTimer(self)
        self._soon.setSingleShot(True)
        self._soon.setInterval(LIST_AFTER_MS)
        self._soon.timeout.connect(self.list_images)
        queued = Qt.ConnectionType.QueuedConnection
        self._listed.connect(self._on_listed, queued)
        self._told.connect(self._on_told, queued)
        self._estimated.connect(self._on_estimated, queued)
        self._ended.connect(self._on_ended, queued)
        events = state.events
        events.folder.connect(self._on_folder)
        for event in (events.folder, events.pattern, events.output, events.axes, events.model, events.file_format,
                      events.all_iterations, events.probabilities):  # fmt: skip
            event.connect(self._list_soon)

    # What people do

    @property
    def model(self) -> "StoredModel | None":
        """The model that segments."""
        return self._state.model or self._session.model

    @property
    def worker_pid(self) -> int | None:
        """Process number of the batch's worker, None when none runs."""
        return self._batch.worker_pid if self._batch is not None else None

    def list_images(self) -> bool:
        """Show what would be segmented; False when that cannot be told now."""
        return self._plan(self._look, "listing")

    def start(self) -> bool:
        """Segment all images that are not finished; False when that cannot be done now."""
        self._soon.stop()
        return self._plan(self._work, "running")

    def stop(self) -> None:
        """Stop: asked once, at the next tile; asked again, at once, by ending the worker."""
        if self._state.stage in ("running", "stopping"):
            self._state.stage = "stopping"
            if self._batch is not None:
                self._batch.stop()

    def close(self) -> None:
        """End what is under way; what was finished stays, and the record knows it."""
        self._turn += 1
        self._soon.stop()
        if self._batch is not None:
            self._batch.stop()
            self._batch.stop()
            self._batch = None

    # On a thread

    def _plan(self, then: "Callable[[int, Callable[[], Plan], StoredModel], None]", stage: str) -> bool:
        state, model = self._state, self.model
        if state.stage not in ("idle", "listing"):
            return False
        if model is None or not state.folder.strip() or not state.output.strip():
            if stage == "running":
                missing = "a model" if model is None else "a folder of images, and one for the masks"
                state.notice = Notice(f"Choose {missing} first.", "error")
            return False
        output = Output(
            folder=state.output_folder,
            format=state.file_format,
            all_iterations=state.all_iterations,
            probabilities=state.probabilities,
            level=state.level,
        )
        make: Callable[[], Plan] = partial(
            _plan_images, Path(state.folder.strip()).expanduser(), output, model.card, self._session.settings,
            pattern=state.pattern.strip(), axes=state.axes.strip(), overwrite=state.overwrite,
        )  # fmt: skip
        layer = state.layer
        if layer is not None and layer.path is None:
            make = partial(plan_layer, layer.name, layer.describe, output, model.card, self._session.settings)
        self._turn += 1
        state.stage = "listing" if stage == "listing" else "running"
        state.notice, state.estimate = Notice(), ""
        threading.Thread(target=then, args=(self._turn, make, model), name="batch", daemon=True).start()
        return True

    def _look(self, turn: int, make: Callable[[], Plan], _model: "StoredModel") -> None:
        with self._ending(turn):
            planned = make()
            self._listed.emit(turn, (planned, _recorded(planned)))
            self._ended.emit(turn, None)

    def _work(self, turn: int, make: Callable[[], Plan], model: "StoredModel") -> None:
        with self._ending(turn):
            planned = make()
            self._listed.emit(turn, (planned, _recorded(planned)))
            layer = self._state.layer
            batch = WorkerBatch(
                planned,
                model.folder,
                partial(self._told.emit, turn),
                estimated=partial(self._estimated.emit, turn),
                arrays=layer.arrays if layer is not None else (),
            )
            if turn != self._turn:  # closed meanwhile
                return
            self._batch = batch
            if self._state.stage == "stopping":
                batch.stop()
            self._ended.emit(turn, batch.run())

    @contextmanager
    def _ending(self, turn: int) -> Iterator[None]:
        """Tell why something was not done."""
        try:
            yield
        except Exception as error:  # noqa: BLE001 (a layer may be anybody's code; told)
            self._ended.emit(turn, describe_failure(error, "The images could not be segmented", (ValueError, OSError)))

    # On the GUI's thread

    def _on_folder(self) -> None:
        """What became of one folder's images says nothing of another's."""
        self._state.rows, self._state.notice = (), Notice()
        self._state.revision += 1

    def _list_soon(self) -> None:
        if self._state.stage in ("idle", "listing"):
            self._soon.start()

    def _on_listed(self, turn: int, what: tuple[Plan, dict[str, FinishedImage]]) -> None:
        if turn != self._turn:
            return
        planned, known = what
        self._state.rows = tuple(
            Row(image.path, image.name, "recorded" if image.name in known else "waiting", record=known.get(image.name))
            for image in planned.found.images
        )
        self._state.revision += 1
        if planned.found.notes:
            self._state.notice = Notice(" ".join(planned.found.notes))
        self._begun = self._row_begun = time.monotonic()

    def _on_told(self, turn: int, number: int, what: "float | Outcome | str") -> None:
        if turn != self._turn:
            return
        row = self._state.rows[number]
        if isinstance(what, float):
            row.state, row.share = "running", what
        elif isinstance(what, Outcome):
            row.state = "corrected" if what.corrected else "skipped" if what.skipped else "done"
            row.record = what.record
            if what.skipped:  # took no time that would tell how long the others take
                self._begun += time.monotonic() - self._row_begun
            self._row_begun = time.monotonic()
        else:
            row.state, row.error, row.record = "failed", what, None
            self._row_begun = time.monotonic()
        self._state.seconds_left = self._seconds_left()
        self._state.revision += 1

    def _on_estimated(self, turn: int, _number: int, sentence: str) -> None:
        if turn == self._turn:
            self._state.estimate = sentence
            self._begun = time.monotonic()
            self._state.revision += 1

    def _seconds_left(self) -> float | None:
        rows = self._state.rows
        shares = {"done": 1.0, "failed": 1.0}
        done = sum(row.share if row.state == "running" else shares.get(row.state, 0.0) for row in rows)
        left = sum(row.state in ("waiting", "recorded") for row in rows)
        left_of_running = sum(1 - row.share for row in rows if row.state == "running")
        return (time.monotonic() - self._begun) / done * (left + left_of_running) if done > 0.02 else None

    def _on_ended(self, turn: int, what: "Tally | str | None") -> None:
        if turn != self._turn:
            return
        state, self._batch = self._state, None
        stopped = state.stage == "stopping"
        for row in state.rows:
            if row.state == "running":
                row.state, row.share = "waiting", 0.0
        if isinstance(what, str):
            if state.stage == "listing":
                state.rows = ()
            state.notice = Notice(what, "error")
        elif what is not None:
            state.notice = _said(what, len(state.rows), stopped, state.overwrite)
        state.seconds_left = None
        state.stage = "idle"
        state.revision += 1


def _plan_images(images: Path, *what: Any, **options: Any) -> Plan:
    """As `plan`; of a folder that is not there, nothing comes."""
    if not images.exists() and not glob.has_magic(str(images)):
        raise FileError(f"There is no folder, and no file, {images}.")
    return plan([images.as_posix()], *what, **options)


def _recorded(planned: Plan) -> dict[str, FinishedImage]:
    """What an earlier run finished with the same model and settings, by name; its content is checked later."""
    entries = read_entries(planned.output.folder)
    hows = [planned.how_of(image) for image in planned.found.images]
    return {
        name: entry
        for name, entry in entries.items()
        if isinstance(entry, FinishedImage)
        and entry.how in hows
        and entry.is_whole(planned.output.folder)
        and not planned.overwrite
    }


def _said(tally: Tally, total: int, stopped: bool, overwrite: bool) -> Notice:
    parts = [f"{tally.done} of {total} images segmented"]
    if tally.skipped:
        parts.append(f"{tally.skipped} had been finished before")
    if tally.problems:
        parts.append(f"{len(tally.problems)} could not be: see the table")
    text = "; ".join(parts) + "."
    if stopped:
        text = f"Stopped. {text}"
        if (tally.done or tally.skipped) and not overwrite:  # as the button says then
            text += " Press Go on to do the rest."
    return Notice(text, "warning" if tally.problems else "info")
