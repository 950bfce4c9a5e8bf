"""The batch window: what to segment into what, a table of what became of it, and what to do with each image."""

from typing import TYPE_CHECKING

from qtpy.QtWidgets import QGridLayout, QHBoxLayout, QProgressBar, QPushButton, QWidget

from napari_runet.plugin.batch_form import BatchForm
from napari_runet.plugin.batch_state import FINISHED
from napari_runet.plugin.batch_table import BatchTable, BatchView, describe
from napari_runet.plugin.segment_section import NOTICE_MARKS, time_left
from napari_runet.plugin.widgets import SPACING, Column, allow, column, text_button, text_label
from napari_runet.wording import counted

if TYPE_CHECKING:
    from collections.abc import Callable

    from qtpy.QtCore import QModelIndex

    from napari_runet.plugin.batch_opening import BatchOpening
    from napari_runet.plugin.batch_state import BatchState, Row
    from napari_runet.plugin.batching import Batching
    from napari_runet.plugin.session import Session

_STEPS = 1000
_TABLE_HEIGHT = 150


class BatchWindow(QWidget):
    """A form, how it goes, the table, and what can be done with the image that is selected in it.

    Parameters
    ----------
    session
        Models and options of the panel.
    state, batching, opening
        The batch's state, what runs it, and what opens its images.
    list_models
        Looks for models before they are shown.
    """

    def __init__(
        self,
        session: "Session",
        state: "BatchState",
        batching: "Batching",
        opening: "BatchOpening",
        list_models: "Callable[[], object]",
    ) -> None:
        super().__init__()
        self._state, self._batching, self._opening = state, batching, opening
        self.form = BatchForm(session, state, batching, list_models)
        self._make_run()
        self._make_table()
        self._lay_out()
        events, panel = state.events, session.events
        for event in (events.stage, events.revision, events.notice, events.folder, events.output, events.model,
                      events.overwrite, panel.model, panel.correction):  # fmt: skip
            event.connect(self.refresh)
        self.refresh()

    def _make_run(self) -> None:
        self.start = QPushButton("Start")
        self.start.setObjectName("batch-start")
        self.start.clicked.connect(lambda: self._batching.start())
        self.cancel = QPushButton("Cancel")
        self.cancel.setObjectName("batch-cancel")
        self.cancel.clicked.connect(lambda: self._batching.stop())
        self.progress = QProgressBar()
        self.progress.setTextVisible(False)
        self.progress.setFixedHeight(14)
        self.doing = text_label("batch-doing")
        self.notice = text_label("batch-notice")

    def _make_table(self) -> None:
        self.table = BatchTable(self._state, self)
        self.view = BatchView(self.table)
        self.view.setMinimumHeight(_TABLE_HEIGHT)
        self.chosen = text_label("batch-chosen")
        self.view.doubleClicked.connect(self._open_index)
        self.view.selected.connect(self.refresh)
        opening = self._opening
        self.open = text_button(
            "Open",
            "Open the image and its mask in the viewer (or double-click its line).",
            lambda: self._with_row(opening.open),
        )
        self.correct = text_button(
            "Correct", "Open it, and paint what is wrong in its mask.", lambda: self._with_row(opening.correct)
        )
        self.next = text_button(
            "Next image", "Correct the most doubtful image that you have not looked at yet.", self._correct_next
        )
        self.save = text_button(
            "Save mask", "Write the corrected mask over the file of the mask.", lambda: self._with_row(opening.save)
        )
        self.learn = text_button(
            "Use for training",
            "All of the open image is right as it is painted now: fine-tuning learns from it.",
            lambda: self._with_row(opening.use_for_training),
        )

    def _lay_out(self) -> None:
        run, actions = QHBoxLayout(), QGridLayout()
        run.addWidget(self.start, 2)
        run.addWidget(self.cancel, 1)
        for position, button in enumerate((self.open, self.correct, self.save, self.learn)):
            actions.addWidget(button, position // 2, position % 2)
        for layout in (run, actions):
            layout.setSpacing(SPACING)
        inner = column(margins=8)
        inner.addWidget(self.form)
        inner.addLayout(run)
        for part in (self.progress, self.doing, self.notice):
            inner.addWidget(part)
        inner.addWidget(self.view, 1)
        inner.addWidget(self.chosen)
        inner.addWidget(self.next)
        inner.addLayout(actions)
        content = QWidget()
        content.setLayout(inner)
        outer = column()
        outer.addWidget(Column(content))
        self.setLayout(outer)

    def selected(self) -> "Row | None":
        """The image whose line is selected."""
        lines = self.view.selectedIndexes()
        return self.table.row(lines[0]) if lines and lines[0].row() < self.table.rowCount() else None

    def _with_row(self, act: "Callable[[Row], object]") -> None:
        row = self.selected()
        if row is not None:
            act(row)
            self.refresh()

    def _correct_next(self) -> None:
        row = self._opening.correct_next()
        if row is not None:
            self.view.selectRow(self._state.rows.index(row))
        self.refresh()

    def _open_index(self, index: "QModelIndex") -> None:
        self._opening.open(self.table.row(index))
        self.refresh()

    def refresh(self) -> None:
        """Show what can be done, what is being done, and how it went."""
        state, stage, row = self._state, self._state.stage, self.selected()
        still = stage in ("idle", "listing")
        ready = bool(state.folder.strip() and state.output.strip() and self._batching.model)
        needs = "Name the folder of images, and one for the masks." if self._batching.model else "There is no model."
        allow(self.start, still and ready, needs if still else "A run is under way.")
        some = any(row.state in FINISHED for row in state.rows)
        unfinished = any(row.state == "waiting" for row in state.rows)
        self.start.setText("Go on" if some and unfinished and not state.overwrite else "Start")
        self.cancel.setEnabled(not still)
        self.cancel.setText("Stop now" if stage == "stopping" else "Cancel")
        self.form.refresh(still)
        self.progress.setVisible(not still)
        self.progress.setRange(0, _STEPS)
        self.progress.setValue(round(_STEPS * state.share))
        self.doing.setText(self._doing())
        self.notice.setText(NOTICE_MARKS[state.notice.kind] + state.notice.text if state.notice.text else "")
        self.notice.setVisible(bool(state.notice.text))
        self.chosen.setText(describe(row) if row is not None else "")
        self.chosen.setVisible(row is not None)
        left = len(self._opening.left())
        self.next.setText(f"Next image ({left} left)" if left else "Next image")
        none = "Select an image in the table first."
        looked = "You have looked at every image that was segmented." if some else "No image is segmented yet."
        allow(self.next, left > 0, looked)
        allow(self.open, row is not None, none)
        allow(self.correct, row is not None and row.has_mask, "It has no mask yet." if row is not None else none)
        painted = row is not None and self._opening.is_corrected(row)
        for button in (self.save, self.learn):
            allow(button, painted, "Correct it first." if row is not None else none)

    def _doing(self) -> str:
        state = self._state
        total = len(state.rows)
        images = counted(total, "image")
        if state.stage == "listing":
            return "Looking for images…"
        if state.stage == "stopping":
            return "Stopping at the next tile; press again to stop at once."
        if state.stage == "running":
            return f"{state.ended} of {images}" + time_left(state.seconds_left)
        if not total:
            return "Choose a folder of images." if not state.folder.strip() else ""
        return f"{images}, {state.finished} of them finished." if state.finished else f"{images}."
