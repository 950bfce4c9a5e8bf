"""Planes too large to be held are corrected square by square, at full resolution."""

import copy
import tracemalloc

import dask.array as da
import numpy as np
import pytest
import zarr
from correcting_helpers import dock, paint, predict
from napari.layers import Image, Labels

from napari_runet.corrections import replay
from napari_runet.images.axes import Axes
from napari_runet.models.store import HOME_VARIABLE
from napari_runet.plugin import large_layers, plane_correction, reading, squares
from napari_runet.plugin.layers import LARGE_LABELS, LabelsOf
from napari_runet.plugin.results import IterationResult, Result
from napari_runet.plugin.tuning_samples import CorrectedSource, reader, usable

PIXELS = np.random.default_rng(0).integers(0, 255, (300, 260, 3), np.uint8)


@pytest.fixture
def small(monkeypatch):
    """What has more than 150 x 150 pixels is large, and is corrected in squares of 64."""
    for module in (large_layers, reading):
        monkeypatch.setattr(module, "COMFORTABLE_PIXELS", 150 * 150)
    for module in (plane_correction, squares):
        monkeypatch.setattr(module, "SIDE", 64)


@pytest.fixture
def journal(tmp_path, monkeypatch):
    """A data folder of its own, with the shipped models alone."""
    monkeypatch.setenv(HOME_VARIABLE, str(tmp_path / "home"))


def add_image(viewer):
    levels = [da.from_array(array, chunks=(50, 50, 3)) for array in (PIXELS, PIXELS[::2, ::2])]
    return viewer.add_image(levels, rgb=True, name="slide", scale=(2, 3), translate=(5, 6))


def look_at(viewer, image, y, x, qtbot):
    """Have a pixel of the image in the middle of the view."""
    viewer.scene.camera.center = tuple(image.data_to_world([y, x]))
    viewer.scene.camera.zoom = 3
    qtbot.wait(250)


def test_squares_are_painted_where_one_looks_learned_from_and_found_again(
    journal, small, make_napari_viewer, qtbot, default_keys
):
    viewer = make_napari_viewer(show=True)
    viewer.window._qt_window.resize(1280, 720)
    image, panel = add_image(viewer), dock(viewer)
    look_at(viewer, image, 100, 150, qtbot)
    layer = panel.correcting.correct()
    assert layer.data.shape == (64, 64) and not layer.multiscale
    np.testing.assert_allclose(layer.data_to_world([0, 0]), image.data_to_world([64, 128]))
    np.testing.assert_allclose(layer.data_to_world([9, 7]), image.data_to_world([73, 135]))
    assert layer.name == "slide · from row 64 and column 128 · correction"
    paint(viewer, qtbot, layer, (30, 20), (30, 40))
    first = panel.session.correction
    assert first.known.counts.added > 20 and first.known.flags[30, 30]

    look_at(viewer, image, 200, 20, qtbot)
    assert panel.session.correction is None, "another square is in view"
    digest = first.known.digest
    paint(viewer, qtbot, layer, (140, -100), (140, -90))
    assert "outside the framed square" in panel.session.correction_notice.text and first.known.digest == digest
    other = panel.correcting.correct()
    assert other is not layer and panel.session.correction.source.corner == (192, 0)
    paint(viewer, qtbot, other, (10, 10), (20, 20))
    look_at(viewer, image, 100, 150, qtbot)
    assert panel.session.correction is first and panel.correcting.correct() is layer
    edge = squares.square(whole(panel, image), 4, 4, image.data)
    assert edge.input.plane_shape == (44, 4)

    samples, reasons = usable(panel.correcting.images, first.card)
    assert len(samples) == 2 and not reasons
    names, pixels, labels, measured = zip(*reader(samples, (), None)(), strict=True)
    assert names == ("slide · from row 64 and column 128", "slide · from row 192 and column 0")
    np.testing.assert_array_equal(pixels[0], PIXELS[64:128, 128:192])
    np.testing.assert_array_equal(pixels[1], PIXELS[192:256, :64])
    np.testing.assert_array_equal(labels[0], first.known.labels)
    assert measured[0] is measured[1], "the plane is read once for both"
    np.testing.assert_array_equal(measured[0], PIXELS)
    assert panel.correcting.reviewing.review("view") and first.known.counts.reviewed_regions == 1
    assert panel.correcting.flush()
    kept = first.known.labels.copy()
    panel.close()
    viewer.window.remove_dock_widget(panel.parent())
    viewer.layers.clear()

    again, panel = add_image(viewer), dock(viewer)
    qtbot.waitUntil(lambda: "2 planes" in panel.session.recovered, timeout=10_000)
    assert panel.correcting.restore()
    restored = {plane.source.corner: plane for plane in panel.correcting.images.corrected_planes()}
    assert set(restored) == {(64, 128), (192, 0)}
    np.testing.assert_array_equal(restored[(64, 128)].known.labels, kept)
    assert all(plane.image is again for plane in restored.values())


def whole(panel, image):
    return squares._finest(panel._viewer, image, panel.choices.source(image))


def test_a_square_begins_as_what_is_known_of_it(journal, small, make_napari_viewer, qtbot):
    viewer = make_napari_viewer(show=True)
    image, panel = add_image(viewer), dock(viewer)
    card = panel.session.model.card
    coarse = np.random.default_rng(1).integers(0, 2, (150, 130)).astype(np.uint8)
    predict(panel, image, coarse, card)
    look_at(viewer, image, 100, 150, qtbot)
    layer = panel.correcting.correct()
    np.testing.assert_array_equal(layer.data, coarse.repeat(2, 0).repeat(2, 1)[64:128, 128:192])
    part = np.random.default_rng(3).integers(0, 2, (64, 64)).astype(np.uint8)
    own = squares.square(whole(panel, image), 2, 1, image.data)
    results = panel.session.results
    run = Result(image.name, card, "of a square", own, None, 0.5, state="complete")
    run.iterations.append(IterationResult(part[np.newaxis] * 255, 0.9))
    results.begin(run)
    look_at(viewer, image, 150, 100, qtbot)
    np.testing.assert_array_equal(panel.correcting.correct().data, part)
    look_at(viewer, image, 20, 20, qtbot)
    assert not panel.correcting.correct().data.any(), "nothing is known of another square"
    look_at(viewer, image, 100, 150, qtbot)
    labels = np.random.default_rng(2).integers(0, 2, (300, 260)).astype(np.uint8)
    viewer.add_labels([labels, labels[::2, ::2]], multiscale=True, metadata={LARGE_LABELS: LabelsOf(image, card)})
    assert copy.deepcopy(viewer.layers[-1].metadata)[LARGE_LABELS].image is image, "as duplicating a layer does"
    assert panel.correcting.predictions.has_newer(panel.session.correction)
    panel.correcting.take_prediction()
    np.testing.assert_array_equal(layer.data, labels[64:128, 128:192])
    assert not panel.correcting.predictions.has_newer(panel.session.correction)
    look_at(viewer, image, 290, 250, qtbot)
    edge = panel.correcting.correct()
    np.testing.assert_array_equal(edge.data, labels[256:, 192:256])


def test_a_plane_begins_as_the_labels_of_all_of_its_image(journal, make_napari_viewer, qtbot):
    viewer = make_napari_viewer()
    image = viewer.add_image(np.stack([PIXELS] * 6)[..., 0], name="stack")
    panel = dock(viewer)
    card = panel.session.model.card
    labels = np.random.default_rng(2).integers(0, 2, (6, 300, 260)).astype(np.uint8)
    layer = viewer.add_labels(labels.copy(), metadata={LARGE_LABELS: LabelsOf(image, card)})
    viewer.layers.selection.active = image
    viewer.dims.set_current_step(0, 1)
    panel.correcting.correct()
    plane = panel.session.correction
    np.testing.assert_array_equal(plane.shown, labels[1])
    assert not layer.visible and not panel.correcting.predictions.has_newer(plane)
    plane.paint(np.array([3]), np.array([4]), 1 - labels[1, 3, 4])
    panel.carrying.to_next()
    there = labels[2].copy()
    there[3, 4] = 1 - labels[1, 3, 4]
    np.testing.assert_array_equal(panel.session.correction.shown, there)
    predict(panel, image, 1 - labels[2], card)
    panel.correcting.take_prediction()
    assert (panel.session.correction.shown == 1 - labels[2]).mean() > 0.99
    panel.correcting.close()


def test_correcting_a_gigantic_image_takes_little_memory(journal, make_napari_viewer, qtbot, tmp_path):
    side = 16384
    group = zarr.open_group(tmp_path / "huge.ome.zarr", mode="w")
    datasets = []
    for level in range(4):
        shape, chunks = (3, side >> level, side >> level), (3, 512, 512)
        group.create_array(str(level), shape=shape, chunks=chunks, dtype="u1")  # no chunk is there: all is 0
        scale = {"type": "scale", "scale": [1, 2**level, 2**level]}
        datasets.append({"path": str(level), "coordinateTransformations": [scale]})
    axes = [{"name": "c", "type": "channel"}, {"name": "y", "type": "space"}, {"name": "x", "type": "space"}]
    group.attrs["ome"] = {"version": "0.5", "multiscales": [{"axes": axes, "datasets": datasets}]}
    viewer = make_napari_viewer(show=True)
    panel = dock(viewer)
    viewer.open(str(tmp_path / "huge.ome.zarr"), plugin="napari-runet")
    viewer.scene.camera.center, viewer.scene.camera.zoom = (9000, 5000), 1
    qtbot.wait(300)
    tracemalloc.start()
    layer = panel.correcting.correct()
    paint(viewer, qtbot, layer, (800, 900), (850, 950))
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert panel.session.correction.known.counts.added and layer.data.shape == (2048, 2048)
    np.testing.assert_array_equal(layer.translate, [8192, 4096])
    assert peak < side * side / 2, "not half of a byte a pixel"
    qtbot.waitUntil(lambda: bool(panel.session.correction.owner.keeper.name), timeout=20_000)
    assert panel.correcting.flush(), "on disk"


def test_squares_of_a_stack_whose_coarser_levels_have_fewer_planes(small, monkeypatch, card):
    stack = np.random.default_rng(2).integers(0, 255, (6, 200, 180), np.uint8)
    stack[3:] //= 4
    layer = Image([da.from_array(stack), da.from_array(stack[::2, ::2, ::2])], multiscale=True)
    monkeypatch.setattr(replay, "MEASURED_ON", 150 * 150)
    finest = reading.read_layer(layer, (5, 0, 0), reading.Reading(Axes("ZYX"), 0))
    square = squares.square(finest, 1, 0, list(layer.data))
    whole = reading.read_layer(layer, (5, 0, 0), reading.Reading(Axes("ZYX"), 1))
    assert (square.index, whole.index) == ((5,), (2,))
    for found, expected in zip(*(_bounds(source, card) for source in (square, whole)), strict=True):
        np.testing.assert_array_equal(found, expected)
    [plane] = reader([CorrectedSource(layer, square, np.zeros((64, 64), np.uint8))], (), None)()
    np.testing.assert_array_equal(plane.measured[..., 0], stack[4, ::2, ::2])
    labels = Labels(stack[::2] % 3)
    np.testing.assert_array_equal(squares._of_labels(labels, square), stack[4, 64:128, :64] % 3)


def _bounds(source, card):
    measured = reading.plane_intensities(source, card)
    return measured.low, measured.high
