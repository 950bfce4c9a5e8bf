"""Copying a correction to the next frame: by button, one step for undo, and a correction of its own."""

import numpy as np
import pytest
from correcting_helpers import choose_classes, dock, paint, predict, press
from qtpy.QtCore import QPoint, Qt
from qtpy.QtTest import QTest

from napari_runet.models.store import HOME_VARIABLE


@pytest.fixture
def movie(make_napari_viewer, qtbot, tmp_path, monkeypatch, card):
    """A panel with a correction layer on frame 2 of a movie of 3 frames."""
    monkeypatch.setenv(HOME_VARIABLE, str(tmp_path))  # corrections are kept there
    viewer = make_napari_viewer(show=True)
    image = viewer.add_image(np.zeros((3, 120, 160, 3), np.uint8), rgb=True, scale=(4, 2, 2), name="movie")
    viewer.dims.set_current_step(0, 1)
    panel = dock(viewer, show=True)
    choose_classes(panel, card)
    mask = np.zeros((120, 160))
    mask[10:20, 10:150] = 1
    predict(panel, image, mask, card)
    viewer.layers.selection.active = image
    qtbot.wait(100)
    panel.scroll_area.ensureWidgetVisible(panel.correct_section.correct)
    press(panel.correct_section.correct)
    qtbot.wait(100)
    yield viewer, panel, mask.astype(np.uint8)
    panel.correcting.close()
    for engine in (panel.engine, panel.tuning_engine):
        engine.close()


def test_what_was_painted_goes_along_as_one_stroke(movie, qtbot):
    viewer, panel, mask = movie
    here = panel.session.correction
    section = panel.correct_section
    panel.scroll_area.ensureWidgetVisible(section.carry)
    press(section.carry)
    assert "Nothing is painted here" in panel.session.correction_notice.text
    assert viewer.dims.current_step[0] == 1

    viewer.layers.selection.active = here.layer
    here.layer.brush_size = 6
    paint(viewer, qtbot, here.layer, (60, 40), (60, 100))
    here.compare()
    painted = here.known.flags != 0
    assert painted.sum() > 200
    panel.scroll_area.ensureWidgetVisible(section.carry)
    press(section.carry)
    assert viewer.dims.current_step[0] == 2
    there = panel.session.correction
    assert there is not here and there.source.index == (2,) and viewer.layers.selection.active is there.layer
    np.testing.assert_array_equal(there.shown, mask | painted)  # frame 3 has no prediction, so it begins as that of 2
    np.testing.assert_array_equal(there.known.labels[painted], 1)
    assert there.known.counts.added == painted.sum()
    copied = f"{painted.sum()} pixels copied to frame 3; undo takes it back."
    assert panel.session.correction_notice.text == copied
    np.testing.assert_array_equal(here.known.flags != 0, painted)
    assert not section.carry.isVisible()  # there is no frame after it
    viewer.layers.selection.active = here.layer  # of another frame, which is on show as soon as one scrolls to it
    assert panel.session.correction_notice.text == copied
    viewer.dims.set_current_step(0, 1)
    assert panel.session.correction is here and not panel.session.correction_notice.text
    viewer.dims.set_current_step(0, 2)
    viewer.layers.selection.active = there.layer

    native = viewer.window._qt_viewer.canvas.native
    native.setFocus()
    QTest.keyClick(native, Qt.Key.Key_Z, Qt.KeyboardModifier.ControlModifier)
    qtbot.waitUntil(lambda: not there.known.flags.any(), timeout=15_000)
    np.testing.assert_array_equal(there.shown, mask)


def test_the_key_copies_and_a_prediction_of_the_next_frame_is_kept_around(movie, qtbot, card, default_keys):
    viewer, panel, _ = movie
    image = panel.session.image
    here = panel.session.correction
    here.paint(np.arange(30, 40), np.full(10, 70), 1)
    here.paint(np.arange(12, 16), np.full(4, 70), 0)
    viewer.dims.set_current_step(0, 2)
    other = np.zeros((120, 160))
    other[15:25, 10:150] = 1
    predict(panel, image, other, card, run="run 2")
    viewer.dims.set_current_step(0, 1)
    qtbot.wait(100)
    viewer.layers.selection.active = here.layer
    panel.correcting.look()
    native = viewer.window._qt_viewer.canvas.native
    native.setFocus()
    QTest.keyClick(native, Qt.Key.Key_N, Qt.KeyboardModifier.ShiftModifier)
    qtbot.waitUntil(lambda: panel.session.correction not in (None, here), timeout=15_000)
    expected = other.astype(np.uint8)
    expected[30:40, 70] = 1
    expected[12:16, 70] = 0
    np.testing.assert_array_equal(panel.session.correction.shown, expected)


def test_a_frame_that_is_not_corrected_shows_its_mask_and_the_key_for_painting_corrects_it(
    movie, qtbot, card, default_keys
):
    viewer, panel, mask = movie
    here, image = panel.session.correction, panel.session.image
    assert not panel.session.results.iterations[1].visible
    viewer.dims.set_current_step(0, 2)
    other = 1 - mask
    shown = predict(panel, image, other, card, run="run 2").layer
    assert shown.visible
    viewer.layers.selection.active = here.layer
    for frame, visible in ((1, False), (2, True), (0, True), (1, False), (2, True)):
        viewer.dims.set_current_step(0, frame)
        assert shown.visible == visible, frame
    native = viewer.window._qt_viewer.canvas.native
    native.setFocus()
    QTest.keyClick(native, Qt.Key.Key_W)
    assert "Correct" in panel.session.correction_notice.text
    QTest.keyClick(native, Qt.Key.Key_U)  # still on the layer of the other frame
    qtbot.waitUntil(lambda: panel.session.correction not in (None, here), timeout=15_000)
    there = panel.session.correction
    np.testing.assert_array_equal(there.shown, other)
    assert viewer.layers.selection.active is there.layer and there.layer.mode == "erase" and not shown.visible
    shown.visible = True  # to compare
    qtbot.wait(100)
    assert shown.visible
    viewer.layers.remove(there.layer)
    assert shown.visible
    shown.visible = False
    for frame in (0, 2):
        viewer.dims.set_current_step(0, frame)
        assert not shown.visible, "what people hide stays hidden"


def stroke(viewer, qtbot, row):
    """A stroke by mouse with whatever is in hand, across the middle of the canvas."""
    native = viewer.window._qt_viewer.canvas.native
    places = [QPoint(native.width() * part // 12, row) for part in range(5, 8)]
    QTest.mouseMove(native, places[0])
    qtbot.wait(30)
    QTest.mousePress(native, Qt.MouseButton.LeftButton, pos=places[0])
    for place in places[1:]:
        QTest.mouseMove(native, place)
        qtbot.wait(30)
    QTest.mouseRelease(native, Qt.MouseButton.LeftButton, pos=places[-1])
    qtbot.wait(100)


def test_the_brush_goes_along_to_frames_with_and_without_corrections(movie, qtbot, card):
    viewer, panel, mask = movie
    here, image = panel.session.correction, panel.session.image
    viewer.dims.set_current_step(0, 2)
    predict(panel, image, 1 - mask, card, run="run 2")
    viewer.dims.set_current_step(0, 1)
    viewer.layers.selection.active = here.layer
    here.layer.mode, here.layer.brush_size = "erase", 9
    middle = viewer.window._qt_viewer.canvas.native.height() // 2
    stroke(viewer, qtbot, middle)
    here.compare()
    before = here.known.digest
    viewer.dims.set_current_step(0, 2)
    assert viewer.layers.selection.active is here.layer, "scrolling alone corrects nothing"

    stroke(viewer, qtbot, middle)  # napari raises where it is painted on a layer of another frame
    there = panel.session.correction
    assert there is not here and there.source.index == (2,) and viewer.layers.selection.active is there.layer
    there.compare()
    assert there.known.counts.removed > 50 and here.known.digest == before
    assert there.layer.mode == "erase" and there.layer.brush_size == 9

    there.layer.mode, there.layer.brush_size = "paint", 4
    viewer.dims.set_current_step(0, 1)
    assert viewer.layers.selection.active is here.layer
    assert here.layer.mode == "paint" and here.layer.brush_size == 4
    stroke(viewer, qtbot, middle)
    here.compare()
    assert here.known.counts.added > 20 and here.known.digest != before
    there.layer.visible = False
    viewer.dims.set_current_step(0, 2)
    assert viewer.layers.selection.active is here.layer, "what people hide stays hidden"
    stroke(viewer, qtbot, middle)
    assert there.layer.visible and viewer.layers.selection.active is there.layer


def test_a_frame_that_cannot_be_corrected_is_not_painted_on(movie, qtbot, monkeypatch):
    viewer, panel, _ = movie
    here = panel.session.correction
    before = here.known.digest
    monkeypatch.setattr(panel.correcting.predictions, "card", lambda *_: None)
    viewer.dims.set_current_step(0, 0)
    stroke(viewer, qtbot, viewer.window._qt_viewer.canvas.native.height() // 2)
    here.compare()
    assert "There is no model" in panel.session.correction_notice.text
    assert here.layer.mode == "pan_zoom" and here.known.digest == before


def test_a_brush_over_another_image_than_the_chosen_one_is_put_down(movie, qtbot):
    viewer, panel, _ = movie
    here = panel.session.correction
    before = here.known.digest
    other = viewer.add_image(np.zeros((50, 60), np.uint8), name="other")
    panel.choices.choose_image(other)
    viewer.layers.selection.active = here.layer
    here.layer.mode = "paint"
    viewer.dims.set_current_step(0, 2)
    stroke(viewer, qtbot, viewer.window._qt_viewer.canvas.native.height() // 2)
    here.compare()
    assert "another plane of movie" in panel.session.correction_notice.text
    assert here.layer.mode == "pan_zoom" and here.known.digest == before
