"""Real mouse and keys on napari's canvas; the one place that needs what napari keeps private."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from qtpy.QtCore import QPoint, Qt
from qtpy.QtGui import QAction
from qtpy.QtTest import QTest
from qtpy.QtWidgets import QComboBox, QWidget

_PAUSE_MS = 25
"""vispy drops moves that come less than 10 ms apart."""


def window(viewer: Any) -> QWidget:
    return viewer.window._qt_window


def canvas(viewer: Any) -> QWidget:
    return viewer.window._qt_viewer.canvas.native


def to_canvas(viewer: Any, layer: Any, y: float, x: float) -> QPoint:
    """Where the middle of a layer's pixel is on the canvas."""
    node = viewer.window._qt_viewer.canvas.layer_to_visual[layer].node
    point = node.get_transform("visual", "canvas").map([x + 0.5, y + 0.5, 0, 1])
    return QPoint(*(round(float(value)) for value in (point / point[3])[:2]))


def drag(viewer: Any, layer: Any, pixels: Sequence[tuple[float, float]]) -> None:
    """Press the left button at the first pixel, move over the others, and release it."""
    native = canvas(viewer)
    points = [to_canvas(viewer, layer, y, x) for y, x in pixels]
    QTest.mouseMove(native, points[0])
    QTest.qWait(_PAUSE_MS)
    QTest.mousePress(native, Qt.MouseButton.LeftButton, Qt.KeyboardModifier.NoModifier, points[0])
    for point in points[1:]:
        QTest.mouseMove(native, point)
        QTest.qWait(_PAUSE_MS)
    QTest.mouseRelease(native, Qt.MouseButton.LeftButton, Qt.KeyboardModifier.NoModifier, points[-1])
    QTest.qWait(2 * _PAUSE_MS)


def press(viewer: Any, key: Qt.Key, modifier: Qt.KeyboardModifier = Qt.KeyboardModifier.NoModifier) -> None:
    """Press a key while the canvas has the focus."""
    native = canvas(viewer)
    native.setFocus()
    QTest.qWait(_PAUSE_MS)
    QTest.keyClick(native, key, modifier)
    QTest.qWait(_PAUSE_MS)


def menu_action(viewer: Any, *titles: str) -> QAction:
    """The menu entry under these titles."""
    menu: Any = window(viewer).menuBar()
    action = None
    for title in titles:
        found = [entry for entry in menu.actions() if entry.text().replace("&", "").startswith(title)]
        assert found, (title, [entry.text() for entry in menu.actions()])
        action, menu = found[0], found[0].menu()
        if menu is not None:
            menu.aboutToShow.emit()
    assert action is not None
    return action


def click(widget: QWidget) -> None:
    QTest.mouseClick(widget, Qt.MouseButton.LeftButton)


def choose(box: QComboBox, text: str) -> None:
    """Take the entry of this text, as a person does."""
    assert box.findText(text) >= 0, [box.itemText(k) for k in range(box.count())]
    box.setCurrentIndex(box.findText(text))
    box.activated.emit(box.currentIndex())


def dock_of(widget: QWidget) -> QWidget:
    return widget.parentWidget()


def picture(viewer: Any, path: str) -> np.ndarray:
    QTest.qWait(150)
    return viewer.screenshot(path, canvas_only=False, flash=False)
