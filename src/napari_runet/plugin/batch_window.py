"""The batch window: what to segment into what, a table of what became of it, and what to do with each image."""

from pathlib import Path
from typing import TYPE_CHECKING

from qtpy.QtWidgets import (
    QCheckBox,
    QFileDialog,
    QFormLayout,
    QGridLayout,
    QHBoxLayout,
    QLineEdit,
    QProgressBar,
    QPushButton,
    QWidget,
)

from napari_runet.plugin.batch_state import FINISHED
from napari_runet.plugin.batch_table import BatchTable, BatchView, describe
from napari_runet.plugin.save_dialog import FORMATS
from napari_runet.plugin.segment_section import NOTICE_MARKS, time_left
from napari_runet.plugin.widgets import (
    SPACING,
    Column,
    Fold,
    boxed,
    column,
    combo_box,
    fill,
    quiet,
    small_button,
    text_label,
)

if TYPE_CHECKING:
    from collections.abc import Callable

    from qtpy.QtCore import QModelIndex

    from napari_runet.plugin.batch_opening import BatchOpening
    from napari_runet.plugin.batch_state import BatchState, Row
    from napari_runet.plugin.batching import Batching
    from napari_runet.plugin.session import Session

_STEPS = 1000
_TABLE_HEIGHT = 220


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
        self._session, self._state, self._batching, self._opening = session, state, batching, opening
        self._make_form(list_models)
        self._make_run()
        self._make_table()
        self._lay_out()
        events, panel = state.events, session.events
        for event in (events.stage, events.revision, events.notice, events.folder, events.output, events.model,
                      events.overwrite, panel.model, panel.correction):  # fmt: skip
            event.connect(self.refresh)
        session.events.models.connect(self._list_models)
        self._list_models()
        self.refresh()

    def _make_form(self, list_models: "Callable[[], object]") -> None:
        state = self._state
        self.folder = _field("batch-folder", "Folder of images, one file, or a pattern.", state.folder)
        self.folder.textChanged.connect(self._on_folder)
        self.pattern = _field("batch-pattern", "Which files of the folder; **/* for those below it too.", state.pattern)
        self.pattern.setPlaceholderText("all images, or such as *.png")
        self.pattern.textChanged.connect(lambda text: setattr(state, "pattern", text))
        self.output = _field("batch-output", "Folder for the masks and summary.csv.", state.output)
        self.output.textChanged.connect(lambda text: setattr(state, "output", text))
        self.axes = _field("batch-axes", "For stacks whose files do not say: T, Z, C, Y, X.", state.axes)
        self.axes.setPlaceholderText("as the files say, or such as TYX")
        self.axes.textChanged.connect(lambda text: setattr(state, "axes", text))
        self.models = combo_box("batch-model", list_models)
        self.models.activated.connect(lambda position: setattr(state, "model", self.models.itemData(position)))
        self.file_format = combo_box("batch-format")
        for value, text in FORMATS.items():
            self.file_format.addItem(text, value)
        self.file_format.activated.connect(lambda n: setattr(state, "file_format", self.file_format.itemData(n)))
        self.boxes = {
            "all_iterations": _box("All iterations", "A mask of each iteration too."),
            "probabilities": _box("Probabilities", "The last iteration's probabilities too."),
            "overwrite": _box("Overwrite", "Do finished images anew, and replace masks that were corrected since."),
        }
        for name, box in self.boxes.items():
            box.toggled.connect(lambda on, name=name: setattr(state, name, on))

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
        self.open = _button("Open", "Open the image and its mask in the viewer (or double-click its line).")
        self.open.clicked.connect(lambda: self._with_row(self._opening.open))
        self.correct = _button("Correct", "Open it, and paint what is wrong in its mask.")
        self.correct.clicked.connect(lambda: self._with_row(self._opening.correct))
        self.next = _button("Next image", "Correct the most doubtful image that you have not looked at yet.")
        self.next.clicked.connect(self._correct_next)
        self.save = _button("Save mask", "Write the corrected mask over the file of the mask.")
        self.save.clicked.connect(lambda: self._with_row(self._opening.save))
        self.learn = _button(
            "Use for training", "All of the open image is right as it is painted now: fine-tuning learns from it."
        )
        self.learn.clicked.connect(lambda: self._with_row(self._opening.use_for_training))

    def _lay_out(self) -> None:
        form, more = _form(), _form()
        form.addRow("Images", self._with_browse(self.folder, "Folder of images"))
        form.addRow("Which", self.pattern)
        form.addRow("Masks", self._with_browse(self.output, "Folder for the masks"))
        form.addRow("Model", self.models)
        more.addRow("Format", self.file_format)
        more.addRow("Dimensions", self.axes)
        for box in self.boxes.values():
            more.addRow("", box)
        self.more = Fold("More options", boxed(more))
        run, actions = QHBoxLayout(), QGridLayout()
        run.addWidget(self.start, 2)
        run.addWidget(self.cancel, 1)
        for position, button in enumerate((self.open, self.correct, self.save, self.learn)):
            actions.addWidget(button, position // 2, position % 2)
        for layout in (run, actions):
            layout.setSpacing(SPACING)
        inner = column(margins=8)
        inner.addLayout(form)
        inner.addWidget(self.more)
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

    def _with_browse(self, line: QLineEdit, title: str) -> QWidget:
        browse = small_button("…", f"Choose: {title.lower()}.")
        browse.setAccessibleName(title)
        browse.clicked.connect(lambda: self._browse(line, title))
        row = QHBoxLayout()
        row.setContentsMargins(0, 0, 0, 0)
        row.setSpacing(SPACING)
        row.addWidget(line, 1)
        row.addWidget(browse)
        return boxed(row)

    def _browse(self, line: QLineEdit, title: str) -> None:
        folder = QFileDialog.getExistingDirectory(self, title, line.text())
        if folder:
            line.setText(folder)

    def _on_folder(self, text: str) -> None:
        """Take a folder, and propose one beside it for the masks, unless somebody chose one."""
        proposed = _masks_beside(self._state.folder)
        if self.output.text() in ("", proposed):
            self.output.setText(_masks_beside(text))
        self._state.folder = text

    def _list_models(self) -> None:
        entries = [(model.card.title, model) for model in self._session.models]
        fill(self.models, entries, self._batching.model)

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
        self.start.setEnabled(still and ready)
        some = any(row.state in FINISHED for row in state.rows)
        unfinished = any(row.state == "waiting" for row in state.rows)
        self.start.setText("Go on" if some and unfinished and not state.overwrite else "Start")
        self.cancel.setEnabled(not still)
        self.cancel.setText("Stop now" if stage == "stopping" else "Cancel")
        for widget in (self.folder, self.pattern, self.output, self.axes, self.models, self.file_format,
                       *self.boxes.values()):  # fmt: skip
            widget.setEnabled(still)
        self.progress.setVisible(not still)
        self.progress.setRange(0, _STEPS)
        self.progress.setValue(round(_STEPS * _share(state)))
        self.doing.setText(self._doing())
        self.notice.setText(NOTICE_MARKS[state.notice.kind] + state.notice.text if state.notice.text else "")
        self.notice.setVisible(bool(state.notice.text))
        self.chosen.setText(describe(row) if row is not None else "")
        self.chosen.setVisible(row is not None)
        left = len(self._opening.left())
        self.next.setText(f"Next image ({left} left)" if left else "Next image")
        self.next.setEnabled(left > 0)
        self.open.setEnabled(row is not None)
        self.correct.setEnabled(row is not None and row.has_mask)
        painted = row is not None and self._opening.is_corrected(row)
        self.save.setEnabled(painted)
        self.learn.setEnabled(painted)
        with quiet(self.models):
            if state.model is None:
                self.models.setCurrentIndex(max(-1, self.models.findData(self._session.model)))

    def _doing(self) -> str:
        state = self._state
        total = len(state.rows)
        if state.stage == "listing":
            return "Looking for images…"
        if state.stage == "stopping":
            return "Stopping at the next tile; press again to stop at once."
        if state.stage == "running":
            ended = sum(row.state in ("done", "skipped", "failed") for row in state.rows)
            return f"{ended} of {total} images" + time_left(state.seconds_left)
        if not total:
            return "Choose a folder of images." if not state.folder.strip() else ""
        return f"{total} images, {state.finished} of them finished." if state.finished else f"{total} images."


def _share(state: "BatchState") -> float:
    ended = {"done": 1.0, "skipped": 1.0, "failed": 1.0}
    shares = [row.share if row.state == "running" else ended.get(row.state, 0.0) for row in state.rows]
    return sum(shares) / len(shares) if shares else 0.0


def _masks_beside(folder: str) -> str:
    text = folder.strip()
    return str(Path(text).with_name(Path(text).name + "-masks")) if Path(text).name else ""


def _field(name: str, tip: str, text: str) -> QLineEdit:
    line = QLineEdit(text)
    line.setObjectName(name)
    line.setToolTip(tip)
    return line


def _form() -> QFormLayout:
    form = QFormLayout()
    form.setContentsMargins(0, 0, 0, 0)
    form.setSpacing(SPACING)
    return form


def _button(text: str, tip: str) -> QPushButton:
    button = QPushButton(text)
    button.setToolTip(tip)
    return button


def _box(text: str, tip: str) -> QCheckBox:
    box = QCheckBox(text)
    box.setToolTip(tip)
    return box
