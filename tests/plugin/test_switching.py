"""People turn to another image, frame, model or level, or close the panel, while something is on show or under way."""

import numpy as np
import pytest
from correcting_helpers import choose_classes, dock, predict

from napari_runet.corrections.correction import Correction
from napari_runet.plugin import commands
from napari_runet.plugin.session import Notice

SHAPE = (60, 50)


@pytest.fixture
def viewer(make_napari_viewer, own_home):
    return make_napari_viewer()


@pytest.fixture
def movie():
    return np.random.default_rng(2).integers(0, 256, (6, *SHAPE, 3), np.uint8)


def block(size):
    mask = np.zeros(SHAPE, np.uint8)
    mask[5 : 5 + size, 5 : 5 + size] = 1
    return mask


def two_images(viewer, data, card, other=None):
    first = viewer.add_image(data, name="first", rgb=True)
    second = viewer.add_image(data.copy() if other is None else other, name="second", rgb=True)
    panel = dock(viewer)
    choose_classes(panel, card)
    return panel, first, second


def test_a_movie_that_is_chosen_again_is_corrected_on_the_frame_on_show(viewer, movie, card):
    panel, first, second = two_images(viewer, movie, card)
    panel.choices.choose_image(second)
    viewer.dims.set_current_step(0, 0)
    predict(panel, second, block(10), card)
    panel.choices.choose_image(first)
    viewer.dims.set_current_step(0, 4)
    panel.choices.choose_image(second)
    assert panel.iterations_section.plane.text() == "Frame 5 has not been segmented."
    assert panel.correcting.correct() is not None
    assert panel.session.correction.source.index == (4,)


def test_each_plane_begins_as_its_own_prediction_though_another_is_on_show(viewer, movie, card):
    panel, first, _ = two_images(viewer, movie, card)
    panel.choices.choose_image(first)
    planes = []
    for frame, run in ((1, "run 1"), (2, "run 2")):
        viewer.dims.set_current_step(0, frame)
        predict(panel, first, block(10 * frame), card, run)
        panel.correcting.correct()
        planes.append(panel.session.correction)
    found = [panel.correcting.predictions.labels(plane) for plane in planes]
    assert [(int(labels.sum()), run) for labels, run in found] == [(100, "run 1"), (400, "run 2")]


def test_a_guess_that_nobody_took_is_not_what_a_correction_begins_as(viewer, movie, card):
    panel, first, _ = two_images(viewer, movie[0], card)
    panel.choices.choose_image(first)
    result = predict(panel, first, block(10), card).results.result
    viewer.layers.remove(panel.correcting.correct())
    result.follow([np.full((1, *SHAPE), 255, np.uint8)])
    assert panel.correcting.correct().data.sum() == 100


def test_a_level_that_is_chosen_after_the_run_is_the_one_that_is_corrected(viewer, photograph, card):
    image = viewer.add_image([photograph, photograph[::2, ::2]], name="eye", rgb=True)
    panel = dock(viewer)
    choose_classes(panel, card)
    mask = np.zeros(photograph.shape[:2], np.uint8)
    mask[20:40, 20:40] = 1
    predict(panel, image, mask, card)
    panel.choices.read_as(image, level=1)
    layer = panel.correcting.correct()
    assert panel.session.correction is not None and panel.session.correction.layer is layer
    assert layer.data.shape == (75, 100) and layer.data[10:20, 10:20].all() and layer.data.sum() == 100


def test_the_threshold_is_that_of_all_masks(viewer, movie, card):
    panel, first, second = two_images(viewer, movie[0], card)
    for image in (first, second):
        panel.choices.choose_image(image)
        predict(panel, image, block(10), card)
    panel.options_section.threshold.setValue(0.8)
    panel.choices.choose_image(first)
    assert panel.options_section.threshold.value() == panel.session.results.result.threshold == 0.8


def test_playing_ends_where_one_corrects_and_where_there_is_nothing_to_play(viewer, movie, card, qtbot):
    panel, first, second = two_images(viewer, movie[0], card)
    panel.choices.choose_image(first)
    shown = predict(panel, first, [block(10), block(12), block(14)], card)
    panel.iterations_section.toggle_play()
    panel.correcting.correct()
    assert not panel.session.playing
    assert not any(layer.visible for layer in shown.results.iterations.values())
    panel.iterations_section.toggle_play()
    assert panel.session.playing
    panel.choices.choose_image(second)
    assert not panel.session.playing


def test_a_layer_has_its_new_name_in_the_panel(viewer, movie, card):
    panel, first, _ = two_images(viewer, movie[0], card)
    panel.choices.choose_image(first)
    shapes = viewer.add_shapes(name="around")
    first.name, shapes.name = "fundus", "fovea"
    assert panel.image_section.images.currentText() == "fundus"
    assert panel.options_section.shapes.currentText() == "fovea"


def test_the_command_segments_the_selected_image_though_another_was_kept(viewer, movie, card):
    panel, first, second = two_images(viewer, movie[0], card)
    panel.choices.choose_image(first)
    viewer.layers.selection.active = second
    assert commands.open_panel(viewer) is panel
    commands.segment_this_image(viewer)
    assert panel.session.image is second


def test_labels_without_a_level_are_taken_over_on_an_image_with_levels(viewer, photograph, card):
    viewer.add_image([photograph, photograph[::2, ::2]], name="eye", rgb=True)
    panel = dock(viewer)
    choose_classes(panel, card)
    labels = np.full(photograph.shape[:2], 255, np.uint8)
    labels[:5] = 1
    panel.exchanging._put({"eye": Correction(labels)})
    assert panel.session.correction_notice.text.startswith("Took over the corrections of 1 image")
    assert panel.session.correction.known.flags.sum() == 5 * photograph.shape[1]


def test_planes_that_were_ranked_for_one_image_move_no_other(viewer, movie, card):
    panel, first, second = two_images(viewer, movie, card, movie[0])
    panel.choices.choose_image(first)
    shown = predict(panel, first, block(10), card).results
    panel.choices.choose_image(second)
    predict(panel, second, block(10), card)
    viewer.dims.set_current_step(0, 5)
    panel.places._on_ranked(shown, shown.latest)
    panel.places._on_ranked(shown, None)
    assert viewer.dims.current_step[0] == 5 and not panel.session.next_notice.text


def test_back_out_flies_to_no_view_of_another_image(viewer, movie, card):
    panel, first, second = two_images(viewer, movie[0], card)
    panel.choices.choose_image(first)
    panel.places.flight.to(first)
    panel.choices.choose_image(second)
    viewer.scene.camera.zoom = 7.0
    panel.places.out()
    assert not panel.places.flight.is_flying and viewer.scene.camera.zoom == 7.0


def test_what_was_said_of_the_model_in_use_goes_with_it(viewer, movie, card):
    panel, *_ = two_images(viewer, movie[0], card)
    panel.session.tuning_notice = Notice("Tiny · v2 segments from now on.")
    panel.choices.choose_model(next(model for model in panel.session.models if model != panel.session.model))
    assert not panel.session.tuning_notice.text


def test_nothing_goes_on_in_the_viewer_after_the_panel_was_closed(viewer, movie, card, qtbot):
    panel, first, _ = two_images(viewer, movie, card)
    panel.choices.choose_image(first)
    viewer.dims.set_current_step(0, 0)
    shown = predict(panel, first, [block(10), block(12), block(14)], card)
    layer = panel.correcting.correct()
    panel.iterations_section.toggle_play()
    panel.session.live = panel.session.refine_always = True
    panel.bridging.start()
    lasso = panel.correcting.reviewing.start_lasso()
    clicks = list(layer.mouse_drag_callbacks)
    viewer.window.remove_dock_widget(panel.parentWidget())
    assert not panel.session.playing and not panel.session.live and lasso not in viewer.layers
    assert len(layer.mouse_drag_callbacks) == len(clicks) - 1
    assert not layer.keymap and not any(each.keymap for each in shown.results.iterations.values())
    qtbot.wait(200)
    assert panel.engine.worker_pid is None
    panel.deleteLater()
