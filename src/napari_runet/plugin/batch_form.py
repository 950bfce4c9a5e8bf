"""The form of the batch window: which images, where the masks go, with which model, and how."""

from pathlib import Path
from typing import TYPE_CHECKING

from qtpy.QtWidgets import QCheckBox, QFileDialog, QFormLayout, QHBoxLayout, QLineEdit, QPushButton, QWidget

from napari_runet.plugin.save_dialog import FORMATS
from napari_runet.plugin.widgets import SPACING, Fold, boxed, column, combo_box, fill, quiet, small_button

if TYPE_CHECKING:
    from collections.abc import Callable

    from napari_runet.plugin.batch_state import BatchState
    from napari_runet.plugin.batching import Batching
    from napari_runet.plugin.session import Session


class BatchForm(QWidget):
    """Writes what is typed and chosen into the batch's state.

    Parameters
    ----------
    session
        Models of the panel.
    state, batching
        The batch's state, and what runs it.
    list_models
        Looks for models before they are shown.
    """

    def __init__(
        self, session: "Session", state: "BatchState", batching: "Batching", list_models: "Callable[[], object]"
    ) -> None:
        super().__init__()
        self._session, self._state, self._batching = session, state, batching
        self.browse: list[QPushButton] = []
        self._make(list_models)
        self._lay_out()
        session.events.models.connect(self._list_models)
        self._list_models()

    def refresh(self, still: bool) -> None:
        """Let things be changed where nothing runs, and show the panel's model where none was chosen here."""
        for widget in (self.folder, self.pattern, self.output, self.axes, self.models, self.file_format,
                       *self.browse, *self.boxes.values()):  # fmt: skip
            widget.setEnabled(still)
        with quiet(self.models):
            if self._state.model is None:
                self.models.setCurrentIndex(max(-1, self.models.findData(self._session.model)))

    def _make(self, list_models: "Callable[[], object]") -> None:
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
        layout = column()
        layout.addLayout(form)
        layout.addWidget(Fold("More options", boxed(more)))
        self.setLayout(layout)

    def _with_browse(self, line: QLineEdit, title: str) -> QWidget:
        browse = small_button("…", f"Choose: {title.lower()}.")
        browse.setAccessibleName(title)
        self.browse.append(browse)
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


def _box(text: str, tip: str) -> QCheckBox:
    box = QCheckBox(text)
    box.setToolTip(tip)
    return box
