"""What of the panel has napari's whole window laid out or drawn anew."""

from typing import Any

import pytest
from qtpy.QtCore import QEvent, QObject, Qt
from qtpy.QtWidgets import (
    QDockWidget,
    QLabel,
    QListView,
    QListWidget,
    QMainWindow,
    QProgressBar,
    QVBoxLayout,
    QWidget,
)

from napari_runet.plugin.segment_section import SegmentSection
from napari_runet.plugin.session import Activity, Session
from napari_runet.plugin.widgets import LAYER_LIST, Column, column, lay_out_now


class Seen(QObject):
    """Counts the events of a type that widgets get."""

    def __init__(self, kind: QEvent.Type, *widgets: QWidget) -> None:
        super().__init__()
        self.kind, self.count = kind, 0
        for widget in widgets:
            widget.installEventFilter(self)

    def eventFilter(self, watched: QObject | None, event: QEvent | None) -> bool:  # noqa: N802
        self.count += event is not None and event.type() == self.kind
        return False


@pytest.fixture
def window(qtbot: Any) -> QWidget:
    """A window like napari's: a list of layers, and a column that holds a label."""
    content = QWidget()
    content.setLayout(column())
    content.layout().addWidget(QLabel("one line"))
    window = QMainWindow()
    outer = QWidget()
    layout = QVBoxLayout(outer)
    layout.addWidget(Column(content))
    window.setCentralWidget(outer)
    dock = QDockWidget(window)
    dock.setObjectName(LAYER_LIST)
    dock.setWidget(QListWidget())
    window.addDockWidget(Qt.DockWidgetArea.LeftDockWidgetArea, dock)
    qtbot.addWidget(window)
    window.show()
    qtbot.waitExposed(window)
    qtbot.wait(50)
    return window


def test_a_sentence_does_not_have_the_window_laid_out_and_a_width_does(window: QWidget, qtbot: Any) -> None:
    (label,) = window.findChildren(QLabel)
    asked = Seen(QEvent.Type.LayoutRequest, window.centralWidget())
    label.setText("one line\nanother\nand a third")
    qtbot.wait(50)
    assert asked.count == 0 and label.height() >= label.sizeHint().height()
    label.setMinimumWidth(500)
    qtbot.waitUntil(lambda: asked.count > 0 and window.findChildren(Column)[0].width() >= 500, timeout=5000)


def test_all_is_laid_out_before_the_next_frame(window: QWidget) -> None:
    (label,), (entries,) = window.findChildren(QLabel), window.findChildren(QListWidget)
    label.setText("one line\nanother\nand a third")
    entries.addItems(["a", "b"])
    lay_out_now(window)
    later = Seen(QEvent.Type.LayoutRequest, *window.findChildren(QWidget))
    assert label.height() >= label.sizeHint().height()
    lay_out_now(window)
    assert later.count == 0


def test_napari_names_its_list_of_layers_so(make_napari_viewer: Any) -> None:
    window = make_napari_viewer().window._qt_window
    dock = window.findChild(QDockWidget, LAYER_LIST, Qt.FindChildOption.FindDirectChildrenOnly)
    assert dock is not None and len(dock.findChildren(QListView)) == 1


def test_the_bar_does_not_draw_itself_at_once(qtbot: Any) -> None:
    session = Session()
    section = SegmentSection(session, lambda: None, lambda: None, lambda: None)
    qtbot.addWidget(section)
    session.activity = Activity("running", "a", 0.0)
    section.show()
    qtbot.waitExposed(section)
    (bar,) = section.findChildren(QProgressBar)
    painted = Seen(QEvent.Type.Paint, bar)
    session.activity = Activity("running", "a", 0.5)
    assert painted.count == 0 and bar.value() == bar.maximum() // 2
    qtbot.waitUntil(lambda: painted.count > 0, timeout=2000)
