"""From one doubtful place to the next, by mouse and keys."""

import numpy as np
import pytest
from correcting_helpers import dock, paint, predict, press
from napari.layers import Image
from qtpy.QtCore import Qt
from qtpy.QtTest import QTest

from napari_runet.models.store import HOME_VARIABLE
from napari_runet.plugin.scoring import PlaneDoubts, Unscored

PATIENCE = 15_000
SPOTS = ((40, 60), (120, 250), (200, 90))
"""Corners of the squares that the iterations disagree about, the most doubtful first."""


def iterations(shape=(240, 320), spots=SPOTS) -> np.ndarray:
    """(2, Y, X) probabilities that differ on squares of 12 x 12, from one to the next by less."""
    masks = np.zeros((2, *shape))
    masks[:, 100:106, 20:] = 1
    for number, (y, x) in enumerate(spots):
        masks[1, y : y + 12, x : x + 12] = 0.5 - 0.12 * number
    return masks


@pytest.fixture
def panel(make_napari_viewer, qtbot, tmp_path, monkeypatch, card, default_keys):
    """A panel beside a prediction of two iterations."""
    monkeypatch.setenv(HOME_VARIABLE, str(tmp_path))  # corrections are kept there
    viewer = make_napari_viewer(show=True)
    viewer.window._qt_window.resize(1280, 800)
    image = viewer.add_image(np.zeros((240, 320, 3), np.uint8), rgb=True, scale=(2, 2), translate=(7, 5), name="drawn")
    panel = dock(viewer, show=True)
    panel.test_layer = predict(panel, image, iterations(), card).layer
    viewer.reset_view()
    viewer.layers.selection.active = panel.test_layer
    qtbot.wait(200)
    yield panel
    end(panel)


def end(panel):
    panel.places.close()
    panel.correcting.close()
    for engine in (panel.engine, panel.tuning_engine):
        engine.close()


def key(panel, qtbot, which=Qt.Key.Key_Q, modifier=Qt.KeyboardModifier.NoModifier):
    native = panel._viewer.window._qt_viewer.canvas.native
    native.setFocus()
    QTest.keyClick(native, which, modifier)
    qtbot.wait(20)


def arrived(panel, qtbot):
    """Wait until the view rests on a place."""
    qtbot.waitUntil(lambda: panel.session.place is not None and not panel.places.flight.is_flying, timeout=PATIENCE)
    return panel.session.place


def holds(place, spot) -> bool:
    return place.y <= spot[0] + 6 < place.y + place.height and place.x <= spot[1] + 6 < place.x + place.width


def test_next_correct_next_until_the_queue_is_empty(panel, qtbot):
    viewer, session, section = panel._viewer, panel.session, panel.next_section
    wide = panel.places.flight.view
    assert session.places_left is None and not section.out.isEnabled()
    panel.scroll_area.ensureWidgetVisible(section.next)
    press(section.next)
    place = arrived(panel, qtbot)
    assert holds(place, SPOTS[0]) and viewer.scene.camera.zoom > 2 * wide.zoom
    total = session.places_left
    assert total >= 3 and section.left.text() == f"{total} left"
    y, x = place.centre
    world = np.array([y * 2 + 7, x * 2 + 5])
    assert np.abs(np.array(viewer.scene.camera.center[-2:]) - world).max() < 4
    frame = panel.places.marker.layer
    assert frame.visible and frame.data.shape == (place.height, place.width)
    np.testing.assert_allclose(frame.translate, (place.y * 2 + 7, place.x * 2 + 5))

    panel.scroll_area.ensureWidgetVisible(panel.correct_section.correct)
    press(panel.correct_section.correct)
    qtbot.wait(100)
    layer = session.correction.layer
    paint(viewer, qtbot, layer, (y - 2, x - 5), (y + 2, x + 5))
    qtbot.waitUntil(lambda: session.places_left == total - 1, timeout=PATIENCE)
    assert session.place == place, "one stays where one paints"
    assert viewer.layers[-1] is layer
    key(panel, qtbot)
    assert holds(arrived(panel, qtbot), SPOTS[1])
    assert viewer.layers.selection.active is layer and viewer.layers[-1] is frame

    been = 1
    while session.place is not None:
        been += 1
        assert been <= total
        arrived(panel, qtbot)
        key(panel, qtbot)
    assert been == total and session.places_left == 0 and section.left.text() == "0 left"
    assert "No doubtful place is left" in section.notice.text()
    qtbot.waitUntil(lambda: not panel.places.flight.is_flying, timeout=PATIENCE)
    assert panel.places.flight.view == wide and not frame.visible


def test_back_out_keeps_the_place_and_another_prediction_does_not_bring_back_the_seen(panel, qtbot, card):
    wide, session = panel.places.flight.view, panel.session
    key(panel, qtbot)
    first = arrived(panel, qtbot)
    total = session.places_left
    key(panel, qtbot, modifier=Qt.KeyboardModifier.ShiftModifier)
    assert session.place is None
    qtbot.waitUntil(lambda: not panel.places.flight.is_flying, timeout=PATIENCE)
    assert panel.places.flight.view == wide
    key(panel, qtbot)
    assert arrived(panel, qtbot) == first and session.places_left == total
    key(panel, qtbot)
    assert holds(arrived(panel, qtbot), SPOTS[1]) and session.places_left == total - 1
    predict(panel, session.results.image, iterations(), card, run="run 2")
    qtbot.waitUntil(lambda: session.place is None and session.places_left == total - 1, timeout=PATIENCE)
    key(panel, qtbot)
    assert holds(arrived(panel, qtbot), SPOTS[1]), "it was not passed by"


def test_the_view_flies_beside_an_image_of_more_dimensions(panel, qtbot):
    viewer = panel._viewer
    chosen = viewer.layers.selection.active
    viewer.add_image(np.zeros((2, 6, 30, 40), np.uint8))
    viewer.layers.selection.active = chosen
    key(panel, qtbot)
    y, x = arrived(panel, qtbot).centre
    np.testing.assert_allclose(viewer.scene.camera.center[-2:], (y * 2 + 7, x * 2 + 5), atol=4)


def test_the_view_is_not_moved_there_and_back_before_it_flies(panel):
    camera, zooms = panel._viewer.scene.camera, []
    camera.zoom = 9
    camera.events.zoom.connect(lambda event: zooms.append(event.value))
    panel.places.flight.to(panel.test_layer)
    assert not [zoom for zoom in zooms if abs(zoom - 9) > 0.1]
    panel.places.flight.stop()


def test_why_and_uncertainty_are_shown_when_asked(panel, qtbot):
    section, session = panel.next_section, panel.session
    key(panel, qtbot)
    arrived(panel, qtbot)
    assert not section.reason.isVisible()
    panel.scroll_area.ensureWidgetVisible(section.why)
    QTest.mouseClick(section.why, Qt.MouseButton.LeftButton)
    assert "the iterations disagree" in section.reason.text() and section.reason.isVisible()
    section.uncertainty.setChecked(True)
    layer = session.results.of_plane.uncertainty
    assert isinstance(layer, Image) and layer.visible and layer.data.shape == (240, 320)
    assert layer.data[46, 66] > 50 and layer.data[10, 10] == 0
    np.testing.assert_allclose(layer.scale, (2, 2))
    assert session.image is session.results.image, "it is no image to be segmented"
    section.uncertainty.setChecked(False)
    assert not layer.visible


def test_what_was_reviewed_is_over_and_the_stack_goes_on_with_its_most_doubtful_plane(
    make_napari_viewer, qtbot, tmp_path, monkeypatch, card
):
    monkeypatch.setenv(HOME_VARIABLE, str(tmp_path))
    viewer = make_napari_viewer()
    stack = viewer.add_image(np.zeros((4, 240, 320)), name="stack", axis_labels=("z", "y", "x"), scale=(3, 1, 1))
    panel = dock(viewer)
    panel.choices.follow()
    for plane, spots in ((1, SPOTS[2:]), (3, SPOTS), (0, SPOTS[:1])):
        viewer.dims.set_current_step(0, plane)
        predict(panel, stack, iterations(spots=spots), card, run=f"run {plane}")
    assert panel.places.next()
    assert arrived(panel, qtbot) is not None and panel.session.source.index == (0,)
    panel.correcting.correct()
    assert panel.correcting.reviewing.review("view")  # all of the plane is in view, in this small window
    panel.session.correction.review(whole(panel))
    assert panel.session.places_left == 0
    assert panel.places.next()
    qtbot.waitUntil(lambda: panel.session.source.index == (3,) and panel.session.place is not None, timeout=PATIENCE)
    assert holds(panel.session.place, SPOTS[0])
    end(panel)


def whole(panel):
    from napari_runet.images.image_input import Region

    return Region(0, 0, *panel.session.correction.known.shape)


def test_planes_are_ranked_by_what_is_left_in_them(make_napari_viewer, card):
    from types import SimpleNamespace

    def plane(index, spots):
        masks = (iterations(spots=spots) * 255).astype(np.uint8)[:, np.newaxis]
        steps = [SimpleNamespace(foreground=mask) for mask in masks]
        result = Result(steps)
        result.source = SimpleNamespace(index=index)
        return result

    class Result(SimpleNamespace):
        def __init__(self, steps):
            super().__init__(iterations=steps, run_id="run", threshold=0.5, own=len(steps))

        def __len__(self):
            return len(self.iterations)

    many, few = plane((0,), SPOTS), plane((1,), SPOTS[:1])
    settled = np.ones((240, 320), bool)
    doubts = PlaneDoubts()
    assert doubts.most_doubtful([Unscored(few, None, ()), Unscored(many, None, ())]) is many
    assert doubts.most_doubtful([Unscored(few, None, ()), Unscored(many, settled, ())]) is few
    assert doubts.most_doubtful([Unscored(few, settled, ()), Unscored(many, settled, ())]) is None


def test_without_masks_or_in_3d_it_says_what_to_do(panel, qtbot):
    results, panel.session.results = panel.session.results, None
    assert not panel.places.next() and "Segment first" in panel.next_section.notice.text()
    assert not panel.next_section.next.isEnabled()
    panel.session.results = results
    panel._viewer.dims.ndisplay = 3
    assert not panel.places.next() and "2D" in panel.next_section.notice.text()


def test_nothing_is_said_to_go_on_for_an_image_that_was_closed(panel, qtbot):
    image = panel.session.image
    panel.next_section.next.click()
    assert "Looking for doubtful places" in panel.next_section.notice.text()
    panel._viewer.layers.remove(image)
    assert panel.session.image is None
    qtbot.waitUntil(lambda: not panel.next_section.notice.text(), timeout=PATIENCE)
