"""Asks which masks to save, where and as what."""

from pathlib import Path
from typing import TYPE_CHECKING

from qtpy.QtWidgets import (
    QButtonGroup,
    QComboBox,
    QDialog,
    QDialogButtonBox,
    QFileDialog,
    QFormLayout,
    QHBoxLayout,
    QLineEdit,
    QPushButton,
    QRadioButton,
    QVBoxLayout,
    QWidget,
)

from napari_runet.plugin.saving import MaskFile, StackFile, plan, written_over
from napari_runet.plugin.widgets import text_label

if TYPE_CHECKING:
    from napari_runet.plugin.result_layers import ResultLayers

_NAMES = 4
FORMATS = {"tif": "TIFF, compressed, with pixel size", "png": "PNG"}


class SaveDialog(QDialog):
    """Choices for saving, and the names of the files they lead to.

    Parameters
    ----------
    results, all_results
        The masks on show, and those of every image.
    shown
        The iteration on show.
    folder
        Proposed.
    parent
        Over which it opens.
    """

    def __init__(
        self,
        results: "ResultLayers",
        all_results: "list[ResultLayers]",
        shown: int,
        folder: Path,
        parent: QWidget | None = None,
    ) -> None:
        super().__init__(parent)
        self.setWindowTitle("Save masks")
        self._results, self._all, self._number = results, all_results, shown
        self.shown_only, self.every = QRadioButton(f"Iteration {shown}"), QRadioButton("All iterations")
        self.this_image = QRadioButton(f"This image ({results.result.image_name})")
        self.all_images = QRadioButton(f"All images ({len(all_results)})")
        self.all_images.setEnabled(len(all_results) > 1)
        self.file_format = QComboBox()
        for value, text in FORMATS.items():
            self.file_format.addItem(text, value)
        self.folder = QLineEdit(str(folder))
        self.browse = QPushButton("Browse…")
        self.browse.setAutoDefault(False)  # Return saves
        self.browse.clicked.connect(self._browse)
        self.preview = text_label("preview")
        self.buttons = QDialogButtonBox()
        self.save = QPushButton("Save")
        self.save.setDefault(True)
        self.buttons.addButton(self.save, QDialogButtonBox.ButtonRole.AcceptRole)
        self.buttons.addButton(QPushButton("Cancel"), QDialogButtonBox.ButtonRole.RejectRole)
        self.buttons.accepted.connect(self.accept)
        self.buttons.rejected.connect(self.reject)
        self._lay_out()
        self.shown_only.setChecked(True)
        self.this_image.setChecked(True)
        for radio in (self.shown_only, self.every, self.this_image, self.all_images):
            radio.toggled.connect(self._refresh)
        self.file_format.currentIndexChanged.connect(self._refresh)
        self.folder.textChanged.connect(self._refresh)
        self._refresh()

    def _lay_out(self) -> None:
        form = QFormLayout()
        for title, radios in (("Which", (self.shown_only, self.every)), ("Of", (self.this_image, self.all_images))):
            group = QButtonGroup(self)
            column = QVBoxLayout()
            for radio in radios:
                group.addButton(radio)
                column.addWidget(radio)
            form.addRow(title, column)
        form.addRow("Format", self.file_format)
        row = QHBoxLayout()
        row.addWidget(self.folder, 1)
        row.addWidget(self.browse)
        form.addRow("Folder", row)
        form.addRow("Files", self.preview)
        layout = QVBoxLayout(self)
        layout.addLayout(form)
        layout.addWidget(self.buttons)
        self.setMinimumWidth(460)

    def files(self) -> list[MaskFile | StackFile]:
        """The files that were asked for."""
        chosen = self._all if self.all_images.isChecked() else [self._results]
        shown = None if self.every.isChecked() else self._number
        return plan(chosen, Path(self.folder.text()).expanduser(), self.file_format.currentData(), shown)

    def _browse(self) -> None:
        folder = QFileDialog.getExistingDirectory(self, "Folder for the masks", self.folder.text())
        if folder:
            self.folder.setText(folder)

    def _refresh(self) -> None:
        files = self.files()
        names = [file.path.name for file in files]
        text = "\n".join(names[:_NAMES]) + (f"\nand {len(names) - _NAMES} more" if len(names) > _NAMES else "")
        existing = sum(file.path.exists() for file in files)
        if existing:
            text += f"\n{existing} of them {'is' if existing == 1 else 'are'} there already and will be replaced."
        image = written_over(files, (results.image for results in self._all))
        if image is not None:
            text = f"{image} is an image that is open; choose another folder."
        self.preview.setText(text)
        self.adjustSize()
        ready = bool(files) and bool(self.folder.text().strip()) and image is None
        self.save.setEnabled(ready)
