"""Correcting a prediction: what a stroke, an undo, a redo, a review and a new prediction do."""

import shutil
import threading

import numpy as np
import pytest
import tifffile
from correcting_helpers import PATIENCE, choose_classes, dock, paint, predict
from qtpy.QtGui import QCloseEvent
from qtpy.QtWidgets import QMessageBox

from napari_runet.corrections.correction import PAINTED, REVIEWED, UNKNOWN
from napari_runet.corrections.image_key import ImageKey
from napari_runet.corrections.journal import recover
from napari_runet.models.card import ClassInfo
from napari_runet.models.store import HOME_VARIABLE
from napari_runet.plugin import keeping
from napari_runet.plugin.asking import AskBeforeClosing


@pytest.fixture
def mask():
    mask = np.zeros((150, 200), np.uint8)
    mask[40:80, 50:120] = 1
    return mask


@pytest.fixture
def corrected(make_napari_viewer, own_home, photograph, mask, card):
    viewer = make_napari_viewer()
    image = viewer.add_image(photograph, name="eye", rgb=True, scale=(0.5, 0.5), translate=(3, 4))
    panel = dock(viewer)
    choose_classes(panel, card)
    shown = predict(panel, image, mask, card)
    layer = panel.correcting.correct()
    assert layer is not None
    yield viewer, panel, image, layer, shown
    panel.correcting.close()


def stroke(layer, y, x, label, size=5):
    """A dab of the brush, and what the event loop would do after it."""
    layer.brush_size = size
    layer.paint((y, x), label)


def test_the_layer_starts_as_the_prediction_and_lies_on_the_image(corrected, mask):
    viewer, panel, image, layer, shown = corrected
    assert np.array_equal(layer.data, mask)
    assert layer.editable and layer.mode == "paint" and viewer.layers.selection.active is layer
    assert np.allclose(layer.data_to_world((7, 9)), image.data_to_world((7, 9)))
    assert not shown.layer.visible and layer.name == "eye · correction"
    assert not panel.session.correction.known.flags.any()  # what nobody touched is unknown
    assert panel.correcting.correct() is layer and len(viewer.layers) == 3


def test_stroke_undo_and_redo_are_told_apart(corrected, mask):
    _, panel, _, layer, _ = corrected
    plane = panel.session.correction
    stroke(layer, 20, 20, 1)
    plane.compare()
    painted = layer.data != mask
    assert painted.any() and np.array_equal(plane.known.flags == PAINTED, painted)
    assert np.array_equal(plane.known.labels, np.where(painted, 1, UNKNOWN))
    stroke(layer, 60, 60, 0)
    plane.compare()
    assert str(plane.known.counts) == f"{painted.sum()} px added, {(mask & ~layer.data & 1).sum()} removed, " + (
        "0 regions reviewed"
    )
    layer.undo()
    plane.compare()
    assert np.array_equal(plane.known.flags == PAINTED, painted)
    layer.undo()
    plane.compare()
    assert not plane.known.flags.any()
    layer.redo()
    plane.compare()
    assert np.array_equal(plane.known.flags == PAINTED, painted)


def test_the_event_loop_alone_records_strokes(corrected, qtbot):
    _, panel, _, layer, _ = corrected
    before = panel.session.corrected
    stroke(layer, 20, 20, 1)
    qtbot.waitUntil(lambda: panel.session.correction.known.flags.any(), timeout=PATIENCE)
    assert panel.session.corrected > before
    assert "px added" in panel.correct_section.counts.text()
    layer.undo()
    qtbot.waitUntil(lambda: not panel.session.correction.known.flags.any(), timeout=PATIENCE)


def test_a_new_prediction_changes_no_pixel_of_the_layer(corrected, mask, card):
    _, panel, image, layer, _ = corrected
    stroke(layer, 20, 20, 1)
    held = layer.data.copy()
    predict(panel, image, 1 - mask, card, "run 2")
    assert np.array_equal(layer.data, held)


def test_taking_the_new_prediction_is_one_step_and_leaves_corrections(corrected, mask, card):
    _, panel, image, layer, _ = corrected
    plane = panel.session.correction
    stroke(layer, 20, 20, 1)
    stroke(layer, 60, 60, 0)
    plane.compare()
    held, known = layer.data.copy(), plane.known.labels.copy()
    assert not panel.correcting.predictions.has_newer(plane)
    predict(panel, image, 1 - mask, card, "run 2")
    assert panel.correcting.predictions.has_newer(plane)
    layer.mode = "erase"
    assert panel.correcting.take_prediction() > 0
    assert layer.mode == "erase"  # whoever is at work goes on
    expected = np.where(known != UNKNOWN, known, 1 - mask)
    assert np.array_equal(layer.data, expected)
    for act, state in ((layer.undo, held), (layer.redo, expected), (layer.undo, held)):
        act()
        plane.compare()
        assert np.array_equal(layer.data, state)
        assert np.array_equal(plane.known.labels, known)  # nobody said anything about those pixels
    layer.undo()
    plane.compare()
    assert plane.known.counts.removed == 0 and plane.known.counts.added > 0


def test_a_reviewed_region_is_known_drawn_and_taken_back(corrected, mask):
    viewer, panel, _, _layer, _ = corrected
    plane = panel.session.correction
    panel.correct_section.review_shapes.click()
    assert "Shapes layer" in panel.session.correction_notice.text
    assert "segment" not in panel.session.correction_notice.text, "that is not what was asked for"
    shapes = viewer.add_shapes([np.array([[30, 40], [30, 90], [70, 90], [70, 40]])], scale=(0.5, 0.5), translate=(3, 4))
    assert panel.correcting.reviewing.review("shapes", shapes)
    inside = (plane.known.flags & REVIEWED) != 0
    assert inside[35:65, 45:85].all() and not inside[:29].any() and not inside[:, 92:].any()
    assert np.array_equal(plane.known.labels[inside], mask[inside])
    assert plane.outline in viewer.layers and np.array_equal(plane.outline.data == 1, inside)
    assert plane.known.counts.reviewed_regions == 1
    panel.correcting.reviewing.take_back()
    assert not plane.known.flags.any() and not plane.outline.data.any()


def test_a_lasso_reviews_what_it_encloses_and_is_gone(make_napari_viewer, qtbot, own_home, photograph, mask, card):
    viewer = make_napari_viewer(show=True)
    image = viewer.add_image(photograph, name="eye", rgb=True, scale=(0.5, 0.5))
    panel = dock(viewer, show=True)
    choose_classes(panel, card)
    predict(panel, image, mask, card)
    viewer.window._qt_window.resize(1280, 720)
    layer = panel.correcting.correct()
    qtbot.wait(300)
    panel.correct_section.lasso.click()
    lasso = viewer.layers.selection.active
    assert lasso is not layer and lasso.mode == "add_polygon_lasso"
    qtbot.wait(300)  # other controls make napari lay out its window again
    corners = [(30, 40), (30, 70), (30, 100), (50, 100), (70, 100), (70, 70), (70, 40), (50, 40), (32, 40)]
    paint(viewer, qtbot, layer, *corners)  # where they lie on the canvas
    known = panel.session.correction.known
    qtbot.waitUntil(lambda: known.counts.reviewed_regions == 1, timeout=PATIENCE)
    inside = (known.flags & REVIEWED) != 0
    assert inside[38:62, 48:92].all() and not inside[:26].any() and not inside[:, 106:].any()
    qtbot.waitUntil(lambda: lasso not in viewer.layers, timeout=PATIENCE)
    assert viewer.layers.selection.active is layer and layer.mode == "paint"
    panel.correct_section.lasso.click()
    panel.correct_section.lasso.click()  # again: not now
    assert viewer.layers.selection.active is layer and known.counts.reviewed_regions == 1
    panel.correcting.close()


def test_a_label_that_is_no_class_is_said_and_255_is_refused(corrected, mask):
    _, panel, _, layer, _ = corrected
    plane = panel.session.correction
    stroke(layer, 20, 20, 7)
    plane.compare()
    assert "Label 7 is no class" in panel.session.correction_notice.text
    held = layer.data.copy()
    stroke(layer, 100, 100, 255)
    plane.compare()
    assert "255" in panel.session.correction_notice.text
    assert np.array_equal(layer.data, held)


def test_a_mask_of_other_classes_begins_no_correction_and_that_is_said(
    make_napari_viewer, own_home, photograph, mask, card
):
    viewer = make_napari_viewer()
    image = viewer.add_image(photograph, name="eye", rgb=True)
    panel = dock(viewer)
    roads = (ClassInfo(name="background", color="#000000"), ClassInfo(name="road", color="#ffb000"))
    predict(panel, image, mask, card.model_copy(update={"title": "Roads", "classes": roads}))
    choose_classes(panel, card)
    layer = panel.correcting.correct()
    assert not layer.data.any()
    notice, mine = panel.session.correction_notice, card.classes[1].name
    assert notice.kind == "warning" and notice.text.startswith(
        f"This layer is for {panel.session.model.card.title} ({mine})"
    )
    assert "the mask on show is of Roads (road); to correct that one, choose Roads as the model" in notice.text
    panel.session.refine_notice = notice
    other = viewer.add_image(photograph[::-1], name="other", rgb=True)
    assert panel.session.image is other
    assert not panel.session.correction_notice.text and not panel.session.refine_notice.text, "said of another image"
    viewer.layers.selection.active = layer
    layer.paint((10, 10), 1)
    panel.session.correction.compare()
    assert panel.correcting.correct() is layer and panel.session.correction_notice.kind == "info", "it is not empty now"
    panel.correcting.close()


def test_closing_the_layer_keeps_what_was_painted(corrected, mask):
    viewer, panel, _, layer, _ = corrected
    stroke(layer, 20, 20, 1)
    panel.session.correction.compare()
    painted = layer.data != mask
    viewer.layers.remove(layer)
    assert panel.session.correction is None
    again = panel.correcting.correct()
    assert again is not layer and np.array_equal(again.data == 1, painted | (mask == 1))


def test_a_plane_of_a_stack_is_corrected_on_its_own(make_napari_viewer, own_home, card):
    viewer = make_napari_viewer()
    stack = np.random.default_rng(0).integers(0, 255, (6, 60, 70), np.uint8)
    image = viewer.add_image(stack, name="film")
    panel = dock(viewer)
    choose_classes(panel, card)
    for frame in (1, 3):
        viewer.dims.set_current_step(0, frame)
        predict(panel, image, np.eye(60, 70), card, f"run {frame}")
        layer = panel.correcting.correct()
        assert layer.data.shape == (1, 60, 70) and layer.name == f"film · frame {frame + 1} · correction"
        layer.brush_size = 3
        layer.paint((0, 30, 10 * frame + 5), 1)
        panel.session.correction.compare()
        assert panel.session.correction.known.index == (frame,)
        assert panel.session.correction.known.labels[30, 10 * frame + 5] == 1
    viewer.dims.set_current_step(0, 0)
    assert panel.session.correction is None
    viewer.dims.set_current_step(0, 1)
    assert panel.session.correction.known.index == (1,)
    assert [plane.known.index for plane in panel.correcting.images.corrected_planes()] == [(1,), (3,)]
    panel.correcting.close()


def test_corrections_come_back_in_another_viewer(make_napari_viewer, qtbot, own_home, photograph, mask, card):
    first = make_napari_viewer()
    image = first.add_image(photograph, name="eye", rgb=True)
    panel = dock(first)
    choose_classes(panel, card)
    predict(panel, image, mask, card)
    layer = panel.correcting.correct()
    stroke(layer, 20, 20, 1)
    panel.session.correction.compare()
    stroke(layer, 60, 60, 0)
    panel.session.correction.compare()
    panel.correcting.reviewing.review("view")
    known = panel.session.correction.known
    panel.correcting.close()

    second = make_napari_viewer()
    second.add_image(photograph.copy(), name="eye", rgb=True)
    other = dock(second)
    choose_classes(other, card)
    qtbot.waitUntil(lambda: "px added" in other.session.recovered, timeout=PATIENCE)
    assert other.correcting.restore()
    plane = other.session.correction
    assert np.array_equal(plane.known.labels, known.labels) and np.array_equal(plane.known.flags, known.flags)
    assert np.array_equal(plane.layer.data, np.where(known.labels == UNKNOWN, 0, known.labels))
    assert plane.known.counts.reviewed_regions == 1 and not other.session.recovered
    other.correcting.close()


def test_two_windows_on_one_image_keep_what_is_painted_in_both(
    make_napari_viewer, qtbot, own_home, photograph, mask, card
):
    panels = []
    for place in ((20, 20), (100, 150)):
        viewer = make_napari_viewer()
        image = viewer.add_image(photograph.copy(), name="eye", rgb=True)
        panels.append(dock(viewer))
        predict(panels[-1], image, mask, card)
        stroke(panels[-1].correcting.correct(), *place, 1)
        panels[-1].session.correction.compare()
        assert panels[-1].correcting.flush()
    painted = [panel.session.correction.known for panel in panels]
    stroke(panels[0].session.correction.layer, 60, 60, 0)  # while the second one is open
    panels[0].session.correction.compare()
    for panel in panels:
        panel.correcting.close()
    third = make_napari_viewer()
    third.add_image(photograph.copy(), name="eye", rgb=True)
    last = dock(third)
    qtbot.waitUntil(lambda: "px added" in last.session.recovered, timeout=PATIENCE)
    assert last.correcting.restore()
    known = last.session.correction.known
    for one in painted:
        where = one.flags != 0
        assert where.any() and np.array_equal(known.labels[where], one.labels[where])
    last.correcting.close()


def test_corrections_of_a_file_that_changed_since_are_offered_with_a_warning(
    make_napari_viewer, qtbot, own_home, photograph, mask, card, tmp_path
):
    path = tmp_path / "eye.tif"
    tifffile.imwrite(path, photograph)
    first = make_napari_viewer()
    (image,) = first.open(path, plugin="napari")
    panel = dock(first)
    choose_classes(panel, card)
    predict(panel, image, mask, card)
    stroke(panel.correcting.correct(), 20, 20, 1)
    panel.session.correction.compare()
    known = panel.session.correction.known
    panel.correcting.close()
    tifffile.imwrite(path, photograph // 2)
    second = make_napari_viewer()
    second.open(path, plugin="napari")
    other = dock(second)
    choose_classes(other, card)
    qtbot.waitUntil(lambda: "has changed since" in other.session.recovered, timeout=PATIENCE)
    assert other.correcting.restore() and not other.session.recovered
    assert np.array_equal(other.session.correction.known.labels, known.labels)
    assert other.correcting.flush()
    other.correcting.close()
    third = make_napari_viewer()
    third.open(path, plugin="napari")
    last = dock(third)
    choose_classes(last, card)
    qtbot.waitUntil(lambda: "were kept" in last.session.recovered, timeout=PATIENCE)  # of this content now
    assert "has changed" not in last.session.recovered
    last.correcting.close()


def test_a_folder_that_cannot_be_written_is_said_and_painting_goes_on(
    make_napari_viewer, qtbot, tiny_models, tmp_path, monkeypatch, photograph, mask, card
):
    (tmp_path / "corrections").write_text("a file where the folder should be")
    monkeypatch.setenv(HOME_VARIABLE, str(tmp_path))
    viewer = make_napari_viewer()
    image = viewer.add_image(photograph, name="eye", rgb=True)
    panel = dock(viewer)
    choose_classes(panel, card)
    predict(panel, image, mask, card)
    layer = panel.correcting.correct()
    stroke(layer, 20, 20, 1)
    qtbot.waitUntil(lambda: "cannot be saved" in panel.session.journal_problem, timeout=PATIENCE)
    assert "cannot be saved" in panel.correct_section.problem.text()
    stroke(layer, 90, 90, 1)
    panel.session.correction.compare()
    assert panel.session.correction.known.labels[90, 90] == 1
    (tmp_path / "corrections").unlink()
    qtbot.waitUntil(lambda: not panel.session.journal_problem, timeout=PATIENCE)
    assert panel.correcting.flush()
    panel.correcting.close()


def test_what_was_painted_before_the_journal_was_found_survives_closing(
    make_napari_viewer, own_home, photograph, mask, card, monkeypatch
):
    go_on, key_of = threading.Event(), ImageKey.of

    def slowly(array, path=""):
        go_on.wait(60)
        return key_of(array, path)

    monkeypatch.setattr(ImageKey, "of", slowly)
    viewer = make_napari_viewer()
    image = viewer.add_image(photograph, name="eye", rgb=True)
    panel = dock(viewer)
    choose_classes(panel, card)
    predict(panel, image, mask, card)
    stroke(panel.correcting.correct(), 20, 20, 1)
    threading.Timer(0.3, go_on.set).start()
    panel.correcting.close()
    planes, problems = recover(key_of(photograph))
    assert not problems and [plane.labels[20, 20] for plane in planes.values()] == [1]


def test_that_what_was_kept_cannot_be_taken_up_is_said(qtbot, own_home, photograph, monkeypatch):
    def fail(*_, **__):
        raise MemoryError("no room")

    monkeypatch.setattr(keeping, "Journal", fail)
    keeper = keeping.Keeper(photograph)
    with qtbot.waitSignal(keeper.problem, timeout=PATIENCE) as told:
        pass
    assert "stay in memory only" in told.args[0] and "no room" in told.args[0]


def test_closing_asks_while_corrections_are_not_on_disk(corrected, qtbot, tmp_path, monkeypatch, own_home):
    viewer, panel, image, layer, _ = corrected
    asking = AskBeforeClosing(panel.session, panel.correcting, panel)
    window, questions = viewer.window._qt_window, []
    no, yes = QMessageBox.StandardButton.No, QMessageBox.StandardButton.Yes
    monkeypatch.setattr(QMessageBox, "question", lambda _, title, text, *__: questions.append(text) or no)
    assert not asking.eventFilter(window, QCloseEvent()) and not questions
    folder = own_home / "corrections"
    shutil.rmtree(folder, ignore_errors=True)
    folder.write_text("a file where the folder should be")
    stroke(layer, 20, 20, 1)
    qtbot.waitUntil(lambda: "cannot be saved" in panel.session.journal_problem, timeout=PATIENCE)
    assert asking.eventFilter(window, QCloseEvent()) and "closing loses them" in questions[-1]
    viewer.layers.remove(image)  # nor does that lose them
    assert asking.eventFilter(window, QCloseEvent())
    monkeypatch.setattr(QMessageBox, "question", lambda *_: yes)
    assert not asking.eventFilter(window, QCloseEvent())
    folder.unlink()
    panel.correcting.look()
    qtbot.waitUntil(lambda: not panel.session.journal_problem, timeout=PATIENCE)
    viewer.add_layer(image)
    qtbot.waitUntil(lambda: "were kept" in panel.session.recovered, timeout=PATIENCE)


def test_a_try_to_paint_on_an_iteration_opens_the_correction(make_napari_viewer, own_home, photograph, mask, card):
    viewer = make_napari_viewer()
    image = viewer.add_image(photograph, name="eye", rgb=True)
    panel = dock(viewer)
    choose_classes(panel, card)
    shown = predict(panel, image, mask, card)
    viewer.layers.selection.active = shown.layer
    press_key = {str(key): action for key, action in shown.layer.keymap.items()}["2"]
    press_key(shown.layer)
    assert panel.session.correction is not None
    assert viewer.layers.selection.active is panel.session.correction.layer
    panel.correcting.close()


def test_strokes_and_keys_by_mouse_and_keyboard(make_napari_viewer, qtbot, own_home, photograph, mask, card):
    from qtpy.QtCore import Qt
    from qtpy.QtTest import QTest

    viewer = make_napari_viewer(show=True)
    image = viewer.add_image(photograph, name="eye", rgb=True)
    panel = dock(viewer, show=True)
    card = card.model_copy(update={"classes": (*card.classes, ClassInfo(name="disc", color="#ffd500"))})
    choose_classes(panel, card)
    shown = predict(panel, image, mask, card)
    native = viewer.window._qt_viewer.canvas.native
    native.setFocus()
    viewer.layers.selection.active = shown.layer
    qtbot.wait(200)
    QTest.keyClick(native, Qt.Key.Key_N)  # on an iteration layer it opens the correction
    layer = panel.session.correction.layer
    assert viewer.layers.selection.active is layer and layer.mode == "paint" and layer.selected_label == 1
    assert panel.correct_section.hint.text() == (
        "Brushes: 1 vessel, 2 disc. N paints, U erases, W says that all in view is right."
    )
    qtbot.wait(200)
    paint(viewer, qtbot, layer, (20, 30), (20, 100))
    known = panel.session.correction.known
    qtbot.waitUntil(lambda: known.labels[20, 60] == 1, timeout=PATIENCE)
    layer.selected_label = 2
    QTest.keyClick(native, Qt.Key.Key_U)
    assert layer.mode == "erase"
    paint(viewer, qtbot, layer, (60, 60), (60, 110))
    qtbot.waitUntil(lambda: known.labels[60, 90] == 0, timeout=PATIENCE)
    QTest.keyClick(native, Qt.Key.Key_Z, Qt.KeyboardModifier.ControlModifier)
    qtbot.waitUntil(lambda: known.labels[60, 90] == UNKNOWN, timeout=PATIENCE)
    QTest.keyClick(native, Qt.Key.Key_W)
    qtbot.waitUntil(lambda: known.counts.reviewed_regions == 1, timeout=PATIENCE)
    assert (known.flags[60:90, 80:120] & REVIEWED).all()  # the edges may lie outside what is in view
    QTest.keyClick(native, Qt.Key.Key_N)
    assert layer.mode == "paint" and layer.selected_label == 2  # the class that was in hand
    assert panel.correcting.flush()
