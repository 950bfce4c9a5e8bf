"""Bridging a gap by mouse: one stroke, a correction, and an undo."""

import numpy as np
import pytest
from correcting_helpers import LEFT, NONE, choose_classes, dock, predict, press, to_canvas
from qtpy.QtCore import Qt
from qtpy.QtTest import QTest

from napari_runet.models.store import HOME_VARIABLE


@pytest.fixture
def broken(make_napari_viewer, qtbot, tmp_path, monkeypatch, card):
    """A panel with a correction layer on a line that has a gap in its middle."""
    monkeypatch.setenv(HOME_VARIABLE, str(tmp_path))  # corrections are kept there
    viewer = make_napari_viewer(show=True)
    image = viewer.add_image(np.zeros((120, 200, 3), np.uint8), rgb=True, scale=(2, 2), name="line")
    panel = dock(viewer, show=True)
    choose_classes(panel, card)
    mask = np.zeros((120, 200))
    mask[58:63, 20:180] = 1
    mask[:, 85:115] = 0
    predict(panel, image, mask, card)
    viewer.reset_view()
    viewer.layers.selection.active = image
    qtbot.wait(200)
    panel.scroll_area.ensureWidgetVisible(panel.correct_section.correct)
    press(panel.correct_section.correct)
    qtbot.wait(100)
    yield viewer, panel, panel.session.correction
    panel.correcting.close()
    for engine in (panel.engine, panel.tuning_engine):
        engine.close()


def click_at(viewer, qtbot, layer, y, x):
    native = viewer.window._qt_viewer.canvas.native
    point = to_canvas(viewer, layer, y, x)
    QTest.mouseMove(native, point)
    qtbot.wait(30)
    QTest.mouseClick(native, LEFT, NONE, point)
    qtbot.wait(60)


def test_a_click_in_the_gap_is_one_stroke_that_can_be_undone(broken, qtbot):
    viewer, panel, plane = broken
    before = plane.layer.data.copy()
    panel.scroll_area.ensureWidgetVisible(panel.correct_section.bridge)
    press(panel.correct_section.bridge)
    assert panel.session.bridging and plane.layer.mode == "pan_zoom"
    click_at(viewer, qtbot, plane.layer, 60, 100)
    joined = plane.layer.data.copy()
    assert joined[60, 85:115].all() and not joined[50].any() and 4 <= joined[:, 100].sum() <= 6
    painted = joined != before
    np.testing.assert_array_equal(plane.known.labels[painted], 1)
    assert plane.known.counts.added == painted.sum() and plane.known.counts.removed == 0
    assert "undo takes it back" in panel.session.correction_notice.text
    native = viewer.window._qt_viewer.canvas.native
    native.setFocus()
    QTest.keyClick(native, Qt.Key.Key_Z, Qt.KeyboardModifier.ControlModifier)
    qtbot.waitUntil(lambda: not plane.known.flags.any(), timeout=15_000)
    np.testing.assert_array_equal(plane.layer.data, before)


def test_the_key_bridges_at_the_mouse_and_keeps_the_brush(broken, qtbot, default_keys):
    viewer, panel, plane = broken
    native = viewer.window._qt_viewer.canvas.native
    QTest.mouseMove(native, to_canvas(viewer, plane.layer, 60, 98))
    qtbot.wait(50)
    native.setFocus()
    QTest.keyClick(native, Qt.Key.Key_B, Qt.KeyboardModifier.ShiftModifier)
    qtbot.waitUntil(lambda: plane.layer.data[60, 100] == 1, timeout=15_000)
    assert plane.layer.mode == "paint" and not panel.session.bridging


def test_a_click_where_nothing_can_be_joined_changes_nothing_and_says_so(broken, qtbot):
    viewer, panel, plane = broken
    before = plane.layer.data.copy()
    assert panel.bridging.start()
    click_at(viewer, qtbot, plane.layer, 60, 40)
    assert panel.session.correction_notice.kind == "error"
    assert "There is no gap here" in panel.session.correction_notice.text
    np.testing.assert_array_equal(plane.layer.data, before)
    assert not plane.known.flags.any()


def test_a_brush_or_a_second_press_ends_it(broken, qtbot):
    _, panel, plane = broken
    assert panel.bridging.start()
    callbacks = len(plane.layer.mouse_drag_callbacks)
    panel.correcting.brush(1)
    assert not panel.session.bridging and plane.layer.mode == "paint"
    assert not panel.correct_section.bridge.isChecked()
    panel.bridging.toggle()
    assert panel.session.bridging and len(plane.layer.mouse_drag_callbacks) == callbacks
    panel.bridging.toggle()
    assert not panel.session.bridging and plane.layer.mode == "paint"
