"""Small widgets that the panel's sections share."""

from collections.abc import Callable
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from qtpy.QtCore import QCoreApplication, QEvent, QObject, QPoint, QPointF, QSize, Qt
from qtpy.QtGui import QColor, QIcon, QPainter, QPixmap, QPolygonF
from qtpy.QtWidgets import (
    QComboBox,
    QDockWidget,
    QFrame,
    QLabel,
    QListView,
    QPushButton,
    QScrollArea,
    QSizePolicy,
    QToolButton,
    QVBoxLayout,
    QWidget,
)

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from qtpy.QtWidgets import QLayout

SPACING = 6
_ICON_SIZE = 16
_MINIMUM_WIDTH = 340
_FAINT = 70
_TIP = "tip"
"""The property in which a widget keeps what its tooltip says while it is enabled."""
LAYER_LIST = "layer list"
"""What napari calls the dock widget with its list of layers."""
_DEPTH = 8
"""Widgets between a label of the panel and napari's window, at most."""
NO_MASK = "Segment first: there is no mask of what is on show yet."
"""Why what needs a mask cannot be done."""
Shape = tuple[tuple[float, float], ...]
_BAR_LEFT: Shape = ((2, 3), (4, 3), (4, 13), (2, 13))
_BAR_RIGHT: Shape = ((12, 3), (14, 3), (14, 13), (12, 13))
_BACK: Shape = ((12, 3), (12, 13), (5, 8))
_ON: Shape = ((4, 3), (4, 13), (11, 8))
ICONS: dict[str, tuple[Shape, ...]] = {
    "first": (_BAR_LEFT, _BACK),
    "previous": (_BACK,),
    "play": (((4, 2), (4, 14), (14, 8)),),
    "pause": (((4, 3), (7, 3), (7, 13), (4, 13)), ((10, 3), (13, 3), (13, 13), (10, 13))),
    "next": (_ON,),
    "last": (_ON, _BAR_RIGHT),
}
"""Polygons in a square of 16 x 16."""


def icon(name: str, color: str) -> QIcon:
    """One of `ICONS` in a colour, so that it is seen in every theme; fainter where it is disabled."""
    drawn = QIcon(_drawing(name, QColor(color)))
    faint = QColor(color)
    faint.setAlpha(_FAINT)
    drawn.addPixmap(_drawing(name, faint), QIcon.Mode.Disabled)
    return drawn


def _drawing(name: str, color: QColor) -> QPixmap:
    scale = 4
    pixmap = QPixmap(_ICON_SIZE * scale, _ICON_SIZE * scale)
    pixmap.fill(Qt.GlobalColor.transparent)
    painter = QPainter(pixmap)
    painter.setRenderHint(QPainter.RenderHint.Antialiasing)
    painter.setPen(Qt.PenStyle.NoPen)
    painter.setBrush(color)
    painter.scale(scale, scale)
    for shape in ICONS[name]:
        painter.drawPolygon(QPolygonF([QPointF(x, y) for x, y in shape]))
    painter.end()
    return pixmap


def icon_button(tip: str, pressed: Callable[[], object]) -> QToolButton:
    """A small square button; its icon is set with the theme."""
    button = QToolButton()
    button.setToolTip(tip)
    button.setAccessibleName(tip)
    button.setIconSize(QSize(_ICON_SIZE, _ICON_SIZE))
    button.setFixedSize(32, 28)
    button.clicked.connect(lambda: pressed())
    return button


def text_button(text: str, tip: str, pressed: Callable[[], object]) -> QPushButton:
    """A button that does something when it is pressed."""
    button = QPushButton(text)
    button.setToolTip(tip)
    button.clicked.connect(lambda: pressed())
    return button


def small_button(text: str, tip: str) -> QPushButton:
    """A button as wide as its text, beside something wider."""
    button = QPushButton(text)
    button.setToolTip(tip)
    button.setSizePolicy(QSizePolicy.Policy.Fixed, QSizePolicy.Policy.Fixed)
    return button


def allow(widget: QWidget, allowed: bool, why_not: str) -> None:
    """Enable a widget, or disable it and say why, below what its tooltip says that it does."""
    tip = widget.property(_TIP)
    if tip is None:
        tip = widget.toolTip()
        widget.setProperty(_TIP, tip)
    widget.setEnabled(allowed)
    widget.setToolTip(tip if allowed else "\n".join(filter(None, (tip, why_not))))


def text_label(name: str = "") -> QLabel:
    """A label for sentences: wraps, and can be copied from."""
    label = QLabel()
    label.setObjectName(name)
    label.setWordWrap(True)
    label.setTextFormat(Qt.TextFormat.PlainText)
    label.setTextInteractionFlags(Qt.TextInteractionFlag.TextSelectableByMouse)
    policy = QSizePolicy(QSizePolicy.Policy.Ignored, QSizePolicy.Policy.Preferred)
    policy.setHeightForWidth(True)
    label.setSizePolicy(policy)
    return label


def say(label: QLabel, text: str) -> None:
    """Show a sentence; with none, the label takes no room."""
    label.setText(text)
    label.setVisible(bool(text))


def lay_out_now(window: QWidget) -> None:
    """Lay out what has changed in napari's window, before its next frame.

    Qt hands a change up one widget at a time and lays lists out when nothing else is to be done, often with a frame
    in between, and each frame draws all of napari.
    """
    direct = Qt.FindChildOption.FindDirectChildrenOnly  # looking through all of napari takes milliseconds
    layers = window.findChild(QDockWidget, LAYER_LIST, direct)
    for view in layers.findChildren(QListView) if layers is not None else ():
        view.indexAt(QPoint())  # what it answers depends on the layout, so this is done first
    for _ in range(_DEPTH):
        QCoreApplication.sendPostedEvents(None, QEvent.Type.LayoutRequest.value)


def title_label(text: str) -> QLabel:
    """A section's title."""
    label = QLabel(text)
    font = label.font()
    font.setBold(True)
    label.setFont(font)
    return label


class _AskingComboBox(QComboBox):
    """Has its entries brought up to date before it opens."""

    def __init__(self, before_opening: Callable[[], object]) -> None:
        super().__init__()
        self._before_opening = before_opening

    def showPopup(self) -> None:  # noqa: N802
        """Open the list."""
        self._before_opening()
        super().showPopup()


def combo_box(name: str, before_opening: Callable[[], object] = lambda: None) -> QComboBox:
    """A combo box that long entries do not widen; `before_opening` may bring its entries up to date."""
    box = _AskingComboBox(before_opening)
    box.setObjectName(name)
    box.setSizeAdjustPolicy(QComboBox.SizeAdjustPolicy.AdjustToMinimumContentsLengthWithIcon)
    box.setMinimumContentsLength(8)
    box.setSizePolicy(QSizePolicy.Policy.Expanding, QSizePolicy.Policy.Fixed)
    return box


def fill(box: QComboBox, entries: "Sequence[tuple[str, Any]]", chosen: object) -> None:
    """Show entries (text, value) in a combo box, and which of them is chosen, without telling anyone."""
    with quiet(box):
        box.clear()
        for position, (text, value) in enumerate(entries):
            box.addItem(text, value)
            box.setItemData(position, text, Qt.ItemDataRole.ToolTipRole)
        values = [value for _, value in entries]
        box.setCurrentIndex(values.index(chosen) if chosen in values else -1)


@contextmanager
def quiet(*widgets: QWidget) -> "Iterator[None]":
    """Set widgets without their signals."""
    before = [widget.blockSignals(True) for widget in widgets]
    try:
        yield
    finally:
        for widget, blocked in zip(widgets, before, strict=True):
            widget.blockSignals(blocked)


class Column(QScrollArea):
    """Scrolls its content up and down, and is never narrower than it."""

    def __init__(self, content: QWidget) -> None:
        super().__init__()
        self.setWidgetResizable(True)
        self.setFrameShape(QFrame.Shape.NoFrame)
        self.setHorizontalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
        self.setWidget(content)
        self._width = self.minimumSizeHint().width()

    def minimumSizeHint(self) -> QSize:  # noqa: N802
        """Wide enough for the content and the scroll bar, whatever the theme and its fonts."""
        content, bar = self.widget(), self.verticalScrollBar()
        width = (content.minimumSizeHint().width() if content else 0) + (bar.sizeHint().width() if bar else 0)
        return QSize(max(width, _MINIMUM_WIDTH), super().minimumSizeHint().height())

    def eventFilter(self, watched: QObject | None, event: QEvent | None) -> bool:  # noqa: N802
        """Notice that the content needs another width; of all else, napari's window need not be laid out anew."""
        if event is not None and event.type() == QEvent.Type.LayoutRequest:
            width = self.minimumSizeHint().width()
            if width != self._width:
                self._width = width
                self.updateGeometry()
        return bool(super().eventFilter(watched, event))


class Fold(QWidget):
    """Content that is folded away until its title is pressed."""

    def __init__(self, title: str, content: QWidget) -> None:
        super().__init__()
        self._title, self.content = title, content
        self.header = QPushButton()
        self.header.setObjectName(f"fold-{title.lower()}")
        self.header.setFlat(True)
        self.header.clicked.connect(lambda: self.set_open(not self.is_open()))
        layout = column()
        layout.addWidget(self.header)
        layout.addWidget(content)
        self.setLayout(layout)
        self.set_open(False)

    def is_open(self) -> bool:
        """Whether the content is to be seen."""
        return not self.content.isHidden()

    def set_open(self, is_open: bool) -> None:
        """Show the content, or fold it away."""
        self.content.setVisible(is_open)
        self.header.setText(f"{'▾' if is_open else '▸'}  {self._title}")


def column(*, margins: int = 0) -> QVBoxLayout:
    """A vertical layout with the panel's spacing."""
    layout = QVBoxLayout()
    layout.setContentsMargins(margins, margins, margins, margins)
    layout.setSpacing(SPACING)
    return layout


def boxed(layout: "QLayout") -> QWidget:
    """A widget that holds a layout."""
    widget = QWidget()
    widget.setLayout(layout)
    return widget
