"""The table of a batch: a thumbnail, the file with its share of foreground, its state, and how long it took."""

from typing import TYPE_CHECKING, Any

from qtpy.QtCore import QAbstractTableModel, QItemSelection, QModelIndex, QSize, Qt, Signal  # type: ignore[attr-defined]
from qtpy.QtGui import QPixmap
from qtpy.QtWidgets import QAbstractItemView, QHeaderView, QTableView, QWidget

from napari_runet.batch.thumbnails import thumbnail_path

if TYPE_CHECKING:
    from napari_runet.batch.record import FinishedImage
    from napari_runet.plugin.batch_state import BatchState, Row

COLUMNS = ("", "File", "State", "Time")
_PICTURE, _FILE, _STATE, _TIME = range(len(COLUMNS))
THUMBNAIL = 48
_WORDS = {
    "waiting": ("waiting", "It is done when its turn comes."),
    "recorded": ("to check", "It was finished earlier; whether it has changed since is checked at its turn."),
    "done": ("✓ done", "Its mask is written."),
    "skipped": ("✓ before", "It had been finished before, and is as it was."),
    "corrected": ("✓ corrected", "You have corrected its mask; no later run replaces it unasked."),
    "failed": ("✗ failed", ""),
}


class BatchTable(QAbstractTableModel):
    """Shows the rows of a state; pictures are read when they come into view."""

    def __init__(self, state: "BatchState", parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._state = state
        self._rows = state.rows
        self._pictures: dict[str, tuple[FinishedImage | None, QPixmap]] = {}
        state.events.revision.connect(self.refresh)

    def refresh(self) -> None:
        """Show what has changed."""
        if self._rows is not self._state.rows:
            self.beginResetModel()
            self._rows = self._state.rows
            self._pictures.clear()
            self.endResetModel()
        elif self._rows:
            self.dataChanged.emit(self.index(0, 0), self.index(len(self._rows) - 1, len(COLUMNS) - 1))

    def row(self, index: QModelIndex) -> "Row":
        """The image of a line."""
        return self._rows[index.row()]

    def rowCount(self, parent: QModelIndex | None = None) -> int:  # noqa: N802
        """How many images there are."""
        return 0 if parent is not None and parent.isValid() else len(self._rows)

    def columnCount(self, parent: QModelIndex | None = None) -> int:  # noqa: N802
        """How many columns there are."""
        return 0 if parent is not None and parent.isValid() else len(COLUMNS)

    def headerData(  # noqa: N802
        self, section: int, orientation: Qt.Orientation, role: int = Qt.ItemDataRole.DisplayRole
    ) -> Any:
        """Names of the columns."""
        if role == Qt.ItemDataRole.DisplayRole and orientation == Qt.Orientation.Horizontal:
            return COLUMNS[section]
        return None

    def data(self, index: QModelIndex, role: int = Qt.ItemDataRole.DisplayRole) -> Any:
        """What a cell shows."""
        row, column = self._rows[index.row()], index.column()
        if role == Qt.ItemDataRole.DisplayRole:
            return _text(row, column)
        if role == Qt.ItemDataRole.DecorationRole and column == _PICTURE and row.has_mask:
            return self._picture(row)
        if role == Qt.ItemDataRole.ToolTipRole:
            return str(row.path) if column in (_PICTURE, _FILE) else describe(row)
        if role == Qt.ItemDataRole.TextAlignmentRole and column == _TIME:
            return Qt.AlignmentFlag.AlignRight | Qt.AlignmentFlag.AlignVCenter
        return None

    def _picture(self, row: "Row") -> QPixmap | None:
        record, picture = self._pictures.get(row.name, (None, None))
        if picture is None or record is not row.record:
            picture = QPixmap(str(thumbnail_path(self._state.output_folder, row.name)))
            if not picture.isNull():
                smooth = Qt.TransformationMode.SmoothTransformation
                picture = picture.scaled(THUMBNAIL, THUMBNAIL, Qt.AspectRatioMode.KeepAspectRatio, smooth)
            self._pictures[row.name] = row.record, picture
        return None if picture.isNull() else picture


def _text(row: "Row", column: int) -> str:
    record = row.record if row.has_mask else None
    if column == _FILE:
        share = f"\n{_foreground(record)}{_doubt(record)}" if record is not None else ""
        return row.path.name + share
    if column == _STATE:
        return f"{row.share * 100:.0f} %" if row.state == "running" else _WORDS[row.state][0]
    return f"{record.seconds:.1f} s" if column == _TIME and record is not None else ""


def _foreground(record: "FinishedImage") -> str:
    return f"{100 * sum(record.foreground) / record.pixels:.1f} % marked"


def _doubt(record: "FinishedImage") -> str:
    return "" if record.doubt is None else f", doubt {record.doubt:.2f}"


def describe(row: "Row") -> str:
    """A sentence or two on an image, for people."""
    if row.state == "failed":
        return row.error
    if row.state == "running":
        return f"{row.path.name}: {row.share * 100:.0f} % done."
    planes = f", {row.record.planes} planes" if row.record is not None and row.record.planes > 1 else ""
    return f"{row.path.name}{planes}: {_WORDS[row.state][1]}"


class BatchView(QTableView):
    """A view of the table: whole lines are selected.

    Signals
    -------
    selected
        Another line was selected, or none.
    """

    selected = Signal()

    def __init__(self, table: BatchTable) -> None:
        super().__init__()
        self.setObjectName("batch-table")
        self.setModel(table)
        self.setSelectionBehavior(QAbstractItemView.SelectionBehavior.SelectRows)
        self.setSelectionMode(QAbstractItemView.SelectionMode.SingleSelection)
        self.setEditTriggers(QAbstractItemView.EditTrigger.NoEditTriggers)
        self.setIconSize(QSize(THUMBNAIL, THUMBNAIL))
        self.setShowGrid(False)
        self.setTextElideMode(Qt.TextElideMode.ElideMiddle)
        self.setHorizontalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
        self.setTabKeyNavigation(False)
        vertical, header = self.verticalHeader(), self.horizontalHeader()
        assert vertical is not None and header is not None
        vertical.setVisible(False)
        vertical.setDefaultSectionSize(THUMBNAIL + 4)
        header.setHighlightSections(False)
        header.setSectionResizeMode(_FILE, QHeaderView.ResizeMode.Stretch)
        for column, width in ((_PICTURE, THUMBNAIL + 8), (_STATE, 84), (_TIME, 52)):
            header.resizeSection(column, width)

    def selectionChanged(self, selected: QItemSelection, deselected: QItemSelection) -> None:  # noqa: N802
        """Tell that another line is selected."""
        super().selectionChanged(selected, deselected)
        self.selected.emit()
