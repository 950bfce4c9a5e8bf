"""Asks what a new model is called, what it shall find, and what it starts with."""

from itertools import pairwise
from typing import TYPE_CHECKING

from qtpy.QtCore import QSize
from qtpy.QtGui import QColor, QIcon, QPixmap
from qtpy.QtWidgets import (
    QColorDialog,
    QComboBox,
    QDialog,
    QDialogButtonBox,
    QFormLayout,
    QHBoxLayout,
    QLineEdit,
    QPushButton,
    QToolButton,
    QVBoxLayout,
    QWidget,
)

from napari_runet.models.classes import COLOURS, named_classes
from napari_runet.models.store import ModelError
from napari_runet.plugin.making import NewModel
from napari_runet.plugin.widgets import SPACING, boxed, combo_box, fill, text_label

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from napari_runet.models.store import StoredModel
    from napari_runet.plugin.making import Making

CHANNELS = {"Colour (3 channels)": 3, "Grey (1 channel)": 1}


class ClassRow(QWidget):
    """A class: its name and colour, and a button that takes it away."""

    def __init__(self, color: str, changed: "Callable[[], None]", removed: "Callable[[ClassRow], None]") -> None:
        super().__init__()
        self.color = color
        self.name = QLineEdit()
        self.name.setPlaceholderText("Name of the class")
        self.name.setMaxLength(64)
        self.name.textChanged.connect(changed)
        self.pick = QToolButton()
        self.pick.setToolTip("Colour of the class")
        self.pick.setIconSize(QSize(16, 16))
        self.pick.clicked.connect(self._ask_color)
        self.remove = QToolButton()
        self.remove.setText("−")
        self.remove.setToolTip("Take this class away")
        self.remove.clicked.connect(lambda: removed(self))
        row = QHBoxLayout(self)
        row.setContentsMargins(0, 0, 0, 0)
        row.setSpacing(SPACING)
        row.addWidget(self.name, 1)
        row.addWidget(self.pick)
        row.addWidget(self.remove)
        self.set_color(color)

    def set_color(self, color: str) -> None:
        """Give the class a colour, ``#rrggbb``."""
        self.color = color
        pixmap = QPixmap(16, 16)
        pixmap.fill(QColor(color))
        self.pick.setIcon(QIcon(pixmap))

    def _ask_color(self) -> None:
        chosen = QColorDialog.getColor(QColor(self.color), self, "Colour of the class")
        if chosen.isValid():
            self.set_color(chosen.name())


class NewModelDialog(QDialog):
    """Choices for a new model; `wanted` holds them.

    Parameters
    ----------
    making
        Knows which names are free.
    models
        Those whose layers it may start with.
    channels
        Of the images at hand: proposed.
    parent
        Over which it opens.
    """

    def __init__(
        self, making: "Making", models: "Sequence[StoredModel]", channels: int, parent: QWidget | None = None
    ) -> None:
        super().__init__(parent)
        self.setWindowTitle("New model")
        self._making = making
        self.rows: list[ClassRow] = []
        self.name = QLineEdit()
        self.name.setMaxLength(56)
        self.name.textChanged.connect(self._refresh)
        self.add = QPushButton("Add a class")
        self.add.setAutoDefault(False)  # Return makes the model
        self.add.clicked.connect(self._add_row)
        self.channels = QComboBox()
        for text, count in CHANNELS.items():
            self.channels.addItem(text, count)
        self.channels.setCurrentIndex(list(CHANNELS.values()).index(1 if channels == 1 else 3))
        self.start_with = combo_box("start-with")
        entries = [("nothing: it learns everything from you", None)]
        fill(self.start_with, [*entries, *((f"the layers of {model.card.title}", model) for model in models)], None)
        self.problem = text_label("new-model-problem")
        self.buttons = QDialogButtonBox()
        self.make = QPushButton("Make")
        self.make.setDefault(True)
        self.buttons.addButton(self.make, QDialogButtonBox.ButtonRole.AcceptRole)
        self.buttons.addButton(QPushButton("Cancel"), QDialogButtonBox.ButtonRole.RejectRole)
        self.buttons.accepted.connect(self.accept)
        self.buttons.rejected.connect(self.reject)
        self._lay_out()
        self._add_row()

    def _lay_out(self) -> None:
        self._rows = QVBoxLayout()
        self._rows.setContentsMargins(0, 0, 0, 0)
        self._rows.setSpacing(SPACING)
        self._rows.addWidget(self.add)
        form = QFormLayout()
        form.addRow("Name", self.name)
        form.addRow("It finds", boxed(self._rows))
        form.addRow("Images", self.channels)
        form.addRow("Start with", self.start_with)
        layout = QVBoxLayout(self)
        layout.addLayout(form)
        layout.addWidget(self.problem)
        layout.addWidget(self.buttons)
        self.setMinimumWidth(420)

    def wanted(self) -> NewModel:
        """What was chosen.

        Raises
        ------
        ValueError
            When the classes are not named as they must be.
        """
        names, colors = [row.name.text() for row in self.rows], [row.color for row in self.rows]
        return NewModel(
            self.name.text().strip(),
            named_classes(names, colors),
            self.channels.currentData(),
            self.start_with.currentData(),
        )

    def _add_row(self) -> None:
        row = ClassRow(COLOURS[len(self.rows) % len(COLOURS)], self._refresh, self._remove_row)
        self._rows.insertWidget(self._rows.count() - 1, row)
        above = self.rows[-1].remove if self.rows else self.name
        for before, after in pairwise((above, row.name, row.pick, row.remove, self.add)):
            QWidget.setTabOrder(before, after)
        self.rows.append(row)
        if len(self.rows) > 1:
            row.name.setFocus()
        self._refresh()

    def _remove_row(self, row: ClassRow) -> None:
        self.rows.remove(row)
        row.setParent(None)
        row.deleteLater()
        self._refresh()

    def _refresh(self) -> None:
        """Say what is still missing; nothing can be made before that."""
        text = ""
        try:
            self._making.folder_for(self.name.text())
            self.wanted()
        except (ModelError, ValueError) as error:
            text = str(error)
        self.problem.setText(text)
        self.make.setEnabled(not text)
        layout = self.layout()
        if layout is not None:  # a sentence of two lines does not make it higher by itself
            self.resize(self.width(), max(self.height(), layout.totalHeightForWidth(self.width())))
        for row in self.rows:
            row.remove.setEnabled(len(self.rows) > 1)
