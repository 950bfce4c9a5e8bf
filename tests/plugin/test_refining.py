"""Following a stroke with further iterations: stroke, refine, step, take it, undo; by mouse and keys."""

import numpy as np
import pytest
from correcting_helpers import choose_classes, dock, paint, predict, press
from qtpy.QtCore import Qt
from qtpy.QtTest import QTest

from napari_runet.corrections.correction import UNKNOWN
from napari_runet.corrections.spreading import ITERATIONS
from napari_runet.engine.messages import ArrayFile, Failed, Finished, IterationDone
from napari_runet.models.card import ModelCard
from napari_runet.models.store import HOME_VARIABLE, StoredModel

PATIENCE = 15_000


class Engine:
    """Answers in the worker's place: with a stroke of a class, ten rows below it become that class, too."""

    def __init__(self, bridge, monkeypatch):
        self.bridge, self.starts, self.asked, self.waiting = bridge, [], 0, []
        self.holds = self.fails = False
        monkeypatch.setattr(bridge, "segment", self.segment)

    def segment(self, plane, *, folder, name, settings, region, start=None, intensities=None, chain="", keep=None):
        self.asked += 1
        request = f"request {self.asked}"
        assert plane().shape[:2] == start.foreground.shape[1:] == start.pinned.shape
        assert settings.iterations == ITERATIONS and not settings.rescale
        self.starts.append(start)
        self.waiting.append((request, start))
        return request

    def answer(self):
        while self.waiting:
            request, start = self.waiting.pop(0)
            if self.fails:
                self.bridge.told.emit(Failed(id=request, message="It broke."), None)
                continue
            for number in range(1, ITERATIONS + 1):
                found = start.foreground.copy()
                for y, x in zip(*np.nonzero(start.pinned != UNKNOWN), strict=True):
                    found[0, y : y + 5 * number, x] = 255 * (start.pinned[y, x] == 1)
                file = ArrayFile(path="", shape=found.shape, dtype="uint8")
                done = IterationDone(id=request, iteration=number, foreground=file, mean_confidence=1, changed=0)
                self.bridge.told.emit(done, found)
            self.bridge.told.emit(
                Finished(id=request, iterations=ITERATIONS, threshold=0.5, model_id="some", model_sha256="",
                         device="cpu", seconds=0.1), None,
            )  # fmt: skip


@pytest.fixture
def trained(card) -> ModelCard:
    """A model that has learned to go on from masks."""
    return card.model_copy(update={"training": {"recipe": {"start_states": 0.3}}})


@pytest.fixture
def painting(make_napari_viewer, qtbot, tmp_path, monkeypatch, trained, default_keys):
    """A panel with a correction layer on a prediction, and an engine that answers when it is told to."""
    monkeypatch.setenv(HOME_VARIABLE, str(tmp_path))  # corrections are kept there
    viewer = make_napari_viewer(show=True)
    viewer.window._qt_window.resize(1280, 800)
    image = viewer.add_image(np.zeros((120, 200, 3), np.uint8), rgb=True, scale=(2, 2), name="drawn")
    panel = dock(viewer, show=True)
    engine = Engine(panel.engine, monkeypatch)
    mask = np.zeros((2, 120, 200))
    mask[:, 90:95, 20:180] = 0.9
    choose_classes(panel, trained)
    predict(panel, image, mask, trained)
    panel.session.models = (StoredModel(trained, tmp_path, shipped=False),)
    viewer.reset_view()
    viewer.layers.selection.active = image
    qtbot.wait(200)
    panel.scroll_area.ensureWidgetVisible(panel.correct_section.correct)
    press(panel.correct_section.correct)
    qtbot.wait(100)
    assert not panel.refine_section.refine.isVisible(), "it is off until somebody wants it"
    panel.scroll_area.ensureWidgetVisible(panel.refine_section.fold.header)
    press(panel.refine_section.fold.header)
    yield viewer, panel, panel.session.correction, engine
    panel.places.close()
    panel.correcting.close()
    for bridge in (panel.engine, panel.tuning_engine):
        bridge.close()


def key(viewer, qtbot, which, modifier=Qt.KeyboardModifier.ShiftModifier):
    native = viewer.window._qt_viewer.canvas.native
    native.setFocus()
    QTest.keyClick(native, which, modifier)
    qtbot.wait(50)


def stroke(viewer, qtbot, plane, row=30):
    paint(viewer, qtbot, plane.layer, (row, 60), (row, 120))
    qtbot.waitUntil(lambda: bool(plane.known.labels[row, 90] == 1), timeout=PATIENCE)


def test_stroke_refine_step_take_it_undo(painting, qtbot):
    viewer, panel, plane, engine = painting
    section, session = panel.refine_section, panel.session
    stroke(viewer, qtbot, plane)
    painted = plane.layer.data.copy()
    assert not section.take.isEnabled()
    panel.scroll_area.ensureWidgetVisible(section.refine)
    press(section.refine)
    assert len(engine.starts) == 2 and "Refining" in section.notice.text()
    with_stroke, without = engine.starts
    np.testing.assert_array_equal(with_stroke.foreground, without.foreground)
    assert (with_stroke.pinned == 1).sum() == plane.known.counts.added and (without.pinned == UNKNOWN).all()
    engine.answer()

    result = session.results.result
    assert (result.own, len(result), session.results.count) == (2, 3, 3)
    np.testing.assert_array_equal(plane.layer.data, painted)
    changes = session.results.of_plane.changes
    assert changes.visible and set(np.unique(changes.data)) == {0, 1}
    assert changes.data[36:40, 90].all() and not changes.data[painted == 1].any(), "elsewhere, not what was painted"
    offered = int((changes.data > 0).sum())
    assert section.notice.text().endswith(f"{offered} pixels around your corrections would change.")
    assert section.take.isEnabled()

    viewer.layers.selection.active = session.results.iterations[2]
    key(viewer, qtbot, Qt.Key.Key_K, Qt.KeyboardModifier.NoModifier)
    layer = session.results.iterations[3]
    assert session.shown == 3 and layer.visible and layer.name.endswith("iteration 3, from your correction")
    assert session.results.iterations[2].name.endswith("iteration 2")
    assert layer.data[38, 90] == 1 and not section.other.isEnabled()

    viewer.layers.selection.active = plane.layer
    panel.scroll_area.ensureWidgetVisible(section.take)
    press(section.take)
    taken = plane.layer.data.copy()
    assert int((taken != painted).sum()) == offered and taken[38, 90] == 1
    assert plane.known.counts.added == (painted[:80] == 1).sum(), "what was taken is nothing that a person said"
    assert not section.take.isEnabled()
    key(viewer, qtbot, Qt.Key.Key_T)  # there is nothing left to take, and so nothing that undo would take back
    assert section.notice.text() == "Nothing else would change."
    key(viewer, qtbot, Qt.Key.Key_Z, Qt.KeyboardModifier.ControlModifier)
    qtbot.waitUntil(lambda: session.refined_pixels == offered, timeout=PATIENCE)
    np.testing.assert_array_equal(plane.layer.data, painted)
    assert plane.known.counts.added == (painted[:80] == 1).sum() and section.take.isEnabled()


def test_another_guess_is_drawn_and_taken(painting, qtbot):
    viewer, panel, plane, engine = painting
    section, session = panel.refine_section, panel.session
    image = session.image
    image.data[30, 20:180] = 200  # a line of which the network sees nothing
    stroke(viewer, qtbot, plane)
    painted = plane.layer.data.copy()
    key(viewer, qtbot, Qt.Key.Key_R)
    engine.answer()
    result, changes = session.results.result, session.results.of_plane.changes
    assert result.from_correction == 2 and "Guess 1 of 2" in section.notice.text()
    careful = changes.data.copy()
    assert not careful[30].any()
    panel.scroll_area.ensureWidgetVisible(section.other)
    press(section.other)
    assert "Guess 2 of 2" in section.notice.text() and changes.data[30, 30:55].all() and session.shown == 2
    panel.stepping.show(3)
    assert "Guess 1 of 2" in section.notice.text() and (changes.data == careful).all()
    key(viewer, qtbot, Qt.Key.Key_G)
    assert session.shown == 4, "what is on show is what is drawn"
    key(viewer, qtbot, Qt.Key.Key_T)
    assert plane.layer.data[30, 30:55].all() and not section.take.isEnabled()
    key(viewer, qtbot, Qt.Key.Key_Z, Qt.KeyboardModifier.ControlModifier)
    qtbot.waitUntil(lambda: session.refined_pixels > 0, timeout=PATIENCE)
    np.testing.assert_array_equal(plane.layer.data, painted)

    panel.refining.offers.take()
    stroke(viewer, qtbot, plane, row=60)
    key(viewer, qtbot, Qt.Key.Key_R)
    engine.answer()
    assert result.labels(3)[30, 30:55].all(), "the next stroke goes on from what was taken"


def test_what_was_offered_after_an_earlier_run_is_not_offered_after_the_next(painting, qtbot, trained):
    viewer, panel, plane, engine = painting
    section, session = panel.refine_section, panel.session
    image = session.image
    stroke(viewer, qtbot, plane)
    key(viewer, qtbot, Qt.Key.Key_R)
    engine.answer()
    assert section.take.isEnabled() and section.notice.text()
    predict(panel, image, np.zeros((2, 120, 200)), trained)
    panel.session.revision += 1
    assert not section.take.isEnabled() and not section.notice.text()


def test_never_over_what_a_person_set_and_only_around_the_new_stroke(painting, qtbot):
    viewer, panel, plane, engine = painting
    stroke(viewer, qtbot, plane)
    key(viewer, qtbot, Qt.Key.Key_R)
    engine.answer()
    panel.refining.offers.take()
    panel.correcting.brush(0)
    paint(viewer, qtbot, plane.layer, (37, 60), (37, 120))
    qtbot.waitUntil(lambda: bool(plane.known.labels[37, 90] == 0), timeout=PATIENCE)
    key(viewer, qtbot, Qt.Key.Key_R)
    with_stroke, without = engine.starts[2:]
    assert (without.pinned == 1).any() and not (without.pinned == 0).any() and (with_stroke.pinned == 0).any()
    engine.answer()
    key(viewer, qtbot, Qt.Key.Key_T)
    known = plane.known
    where = known.flags != 0
    np.testing.assert_array_equal(plane.layer.data[where], known.labels[where])
    assert plane.layer.data[30, 90] == 1 and plane.layer.data[37, 90] == 0


def test_after_each_stroke_where_that_is_wanted(painting, qtbot):
    viewer, panel, plane, engine = painting
    panel.refine_section.always.setChecked(True)
    stroke(viewer, qtbot, plane)
    qtbot.waitUntil(lambda: engine.asked == 2, timeout=PATIENCE)
    stroke(viewer, qtbot, plane, row=60)
    qtbot.wait(300)
    assert engine.asked == 2, "one at a time"
    engine.answer()
    qtbot.waitUntil(lambda: engine.asked == 4, timeout=PATIENCE)
    engine.answer()
    qtbot.wait(300)
    assert engine.asked == 4, "and not for nothing"
    changes = panel.session.results.of_plane.changes.data
    assert changes[38, 90] and changes[68, 90], "what the first stroke brought about is still offered"


def test_a_stroke_that_is_undone_takes_what_it_brought_about_with_it(painting, qtbot):
    viewer, panel, plane, engine = painting
    stroke(viewer, qtbot, plane)
    key(viewer, qtbot, Qt.Key.Key_R)
    engine.answer()
    panel.stepping.show(3)
    assert panel.session.refined_pixels
    key(viewer, qtbot, Qt.Key.Key_Z, Qt.KeyboardModifier.ControlModifier)
    qtbot.waitUntil(lambda: panel.session.refined_pixels == 0, timeout=PATIENCE)
    results = panel.session.results
    assert results.count == 2 and not results.of_plane.changes.visible
    assert "earlier" in results.iterations[3].name and panel.session.shown <= 2
    assert "is gone" in panel.refine_section.notice.text()


def test_what_cannot_be_refined_is_told(painting, qtbot, trained):
    viewer, panel, plane, engine = painting
    assert not panel.refining.refine() and "paint a stroke first" in panel.refine_section.notice.text()
    stroke(viewer, qtbot, plane)
    panel.session.results.result.state = "running"
    assert not panel.refining.refine() and "is being segmented" in panel.refine_section.notice.text()
    panel.session.results.result.state = "complete"
    engine.fails = True
    assert panel.refining.refine()
    engine.answer()
    assert "It broke." in panel.refine_section.notice.text() and panel.session.results.count == 2
    engine.fails = False
    models, panel.session.models = panel.session.models, ()
    assert not panel.refining.refine() and "not there any more" in panel.refine_section.notice.text()
    panel.session.models = models
    assert panel.refining.refine()
    predict(panel, panel.session.image, np.zeros((2, 120, 200)), trained, run="run 2")
    engine.answer()
    assert "another one by now" in panel.refine_section.notice.text()


def test_a_model_that_was_not_trained_for_it_works_and_says_so(painting, qtbot, card):
    viewer, panel, plane, engine = painting
    panel.session.results.latest.card = panel.session.results.result.card = card
    panel.session.models = (StoredModel(card, panel.session.models[0].folder, shipped=False),)
    stroke(viewer, qtbot, plane)
    assert panel.refining.refine()
    engine.answer()
    assert panel.session.refined_pixels and "was not trained to go on" in panel.refine_section.notice.text()
