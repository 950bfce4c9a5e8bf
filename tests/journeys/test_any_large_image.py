"""A person segments large images, in view and whole, cancels, goes on, corrects what came of it, and has it learned."""

import os
from pathlib import Path
from typing import Any

import dask.array
import numpy as np
import pytest
import tifffile
import zarr
from _canvas import click, drag, picture, press
from qtpy.QtCore import Qt
from qtpy.QtTest import QTest

from napari_runet import load_model, segment_files
from napari_runet.images.axes import Axes
from napari_runet.images.image_input import ImageInput
from napari_runet.inference.segmenter import iterate
from napari_runet.inference.viewing import plane_intensities
from napari_runet.plugin import growing, large_layers, plane_correction, reading, squares
from napari_runet.settings import SegmentationSettings
from ome_zarr_images import write_image

PATIENCE_MS = 180_000
PIXELS = np.random.default_rng(0).integers(0, 255, (3, 500, 450), np.uint8)
BLOCKS = 64


@pytest.fixture
def opened(opened: tuple[Any, Any], monkeypatch: pytest.MonkeyPatch) -> tuple[Any, Any]:
    """What has more than 300 x 300 pixels is large."""
    monkeypatch.setattr(growing, "COARSE_PIXELS", 300 * 300)
    for module in (large_layers, reading):
        monkeypatch.setattr(module, "COMFORTABLE_PIXELS", 300 * 300)
    for module in (plane_correction, squares):
        monkeypatch.setattr(module, "SIDE", 128)
    _, panel = opened
    panel.session.settings = SegmentationSettings(iterations=2)
    return opened


def all_of_it(panel: Any, qtbot: Any, folder: Path) -> Any:
    """The layer of labels, after a click on *All of the image* and its end."""
    section = panel.large_section
    panel.scroll_area.ensureWidgetVisible(section)
    section.output.setFocus()
    QTest.keyClicks(section.output, str(folder))
    panel.scroll_area.ensureWidgetVisible(section.button)
    click(section.button)
    qtbot.waitUntil(lambda: section.state.stage == "running", timeout=PATIENCE_MS)
    qtbot.waitUntil(lambda: section.state.stage == "idle", timeout=PATIENCE_MS)
    assert section.growing.is_finished, section.status.text()
    return section.growing.layer


@pytest.mark.parametrize("kind", ["memory-mapped TIFF", "dask graph"])
def test_a_layer_of_any_kind_is_segmented_corrected_and_learned_from(
    opened: tuple[Any, Any], qtbot: Any, tmp_path: Path, kind: str
) -> None:
    viewer, panel = opened
    pixels = np.ascontiguousarray(PIXELS.transpose(1, 2, 0))
    if kind == "dask graph":
        data = dask.array.from_array(pixels, chunks=(100, 100, 3))[::-1][::-1]
    else:
        tifffile.imwrite(tmp_path / "slide.tif", pixels)
        data = tifffile.memmap(tmp_path / "slide.tif", mode="r")
    image = viewer.add_image(data, rgb=True, name="slide")
    viewer.layers.selection = {image}
    finished = all_of_it(panel, qtbot, tmp_path / "masks")
    labels = np.asarray(finished.data[0] if finished.multiscale else finished.data)
    np.testing.assert_array_equal(finished.data_to_world([10, 20]), image.data_to_world([10, 20]))
    assert labels.shape == (500, 450) and labels.any()

    viewer.scene.camera.center, viewer.scene.camera.zoom = image.data_to_world([200, 300]), 12
    panel.scroll_area.ensureWidgetVisible(panel.correct_section.correct)
    click(panel.correct_section.correct)
    correction = panel.session.correction
    np.testing.assert_array_equal(correction.layer.data, labels[128:256, 256:384])
    QTest.qWait(200)
    drag(viewer, correction.layer, [(70, 30), (70, 40), (72, 60)])
    assert correction.known.counts.added > 20
    tuning = panel.fine_tune_section
    session = panel.session
    session.tuning_settings = session.tuning_settings.model_copy(update={"training_steps": 2, "device": "cpu"})
    panel.scroll_area.ensureWidgetVisible(tuning.fine_tune)
    assert tuning.fine_tune.isEnabled()
    click(tuning.fine_tune)
    qtbot.waitUntil(lambda: panel.session.candidate is not None, timeout=PATIENCE_MS)
    assert panel.session.candidate.figures["training_steps"] == 2


def test_in_view_and_then_all_of_it(opened: tuple[Any, Any], qtbot: Any, tmp_path: Path) -> None:
    viewer, panel = opened
    viewer.open(str(write_image(tmp_path / "slide.ome.zarr", PIXELS, levels=2)), plugin="napari-runet")
    (image,) = viewer.layers
    assert image.multiscale and panel.session.image is image
    panel.session.region = "view"
    click(panel.segment_section.segment)
    assert panel.session.activity.stage == "running", panel.session.obstacle
    qtbot.waitUntil(lambda: panel.session.activity.stage == "idle", timeout=PATIENCE_MS)
    assert panel.session.notice.kind != "error", panel.session.notice

    panel.session.settings = SegmentationSettings(tile_size=64, iterations=2)  # many blocks
    section = panel.large_section
    panel.scroll_area.ensureWidgetVisible(section)
    assert section.isVisible()
    assert [section.level.itemText(n) for n in range(2)] == ["0:  500 x 450", "1:  250 x 225"]
    section.output.setFocus()
    QTest.keyClicks(section.output, str(tmp_path / "masks"))
    panel.scroll_area.ensureWidgetVisible(section.button)
    click(section.button)
    qtbot.waitUntil(lambda: section.growing.layer is not None, timeout=PATIENCE_MS)
    assert section.button.text() == "Cancel"
    layer = section.growing.layer
    assert layer.multiscale and layer.name == "slide · tiny (growing)" and [*layer.data[1].shape] == [250, 225]
    qtbot.waitUntil(lambda: section.growing._coarse.any(), timeout=PATIENCE_MS)
    viewer.dims.set_point(0, 3)
    picture(viewer, str(Path(os.environ.get("NAPARI_RUNET_PICTURES", tmp_path)) / "large-growing.png"))
    assert f"slide.ome.zarr: 500 x 450 pixels at level 0, {BLOCKS} blocks; the labels take" in section.status.text()
    click(section.button)
    qtbot.waitUntil(lambda: section.state.stage == "idle", timeout=PATIENCE_MS)
    grown = len(section.growing._seen)
    assert 0 < grown < BLOCKS and "Stopped" in section.status.text(), section.status.text()

    click(section.button)
    qtbot.waitUntil(lambda: section.state.stage == "running", timeout=PATIENCE_MS)
    qtbot.waitUntil(lambda: section.state.stage == "idle", timeout=PATIENCE_MS)
    assert section.growing.is_finished, section.status.text()
    finished = section.growing.layer
    assert finished in viewer.layers and layer not in viewer.layers and finished.name == "slide · tiny"
    np.testing.assert_array_equal(finished.data_to_world([10, 20]), image.data_to_world([10, 20]))
    segment_files(image.source.path, "tiny", tmp_path / "alone", tile_size=64, iterations=2)
    expected = zarr.open_array(tmp_path / "alone" / "slide.ome.zarr" / "labels" / "tiny" / "0", mode="r")[:]
    np.testing.assert_array_equal(np.asarray(finished.data[0]), expected)
    assert expected.any()
    picture(viewer, str(Path(os.environ.get("NAPARI_RUNET_PICTURES", tmp_path)) / "large-finished.png"))

    viewer.scene.camera.center, viewer.scene.camera.zoom = image.data_to_world([200, 300]), 12
    panel.scroll_area.ensureWidgetVisible(panel.correct_section.correct)
    click(panel.correct_section.correct)
    correction = panel.session.correction
    assert correction.source.corner == (128, 256) and not finished.visible
    np.testing.assert_array_equal(correction.layer.data, expected[128:256, 256:384])
    np.testing.assert_array_equal(correction.layer.data_to_world([2, 3]), image.data_to_world([130, 259]))
    QTest.qWait(200)
    drag(viewer, correction.layer, [(70, 30), (70, 40), (72, 60)])
    painted = correction.known.counts.added
    assert painted > 20 and panel.correcting.flush()
    picture(viewer, str(Path(os.environ.get("NAPARI_RUNET_PICTURES", tmp_path)) / "large-correcting.png"))
    refine = panel.refine_section
    panel.scroll_area.ensureWidgetVisible(refine.fold.header)
    click(refine.fold.header)
    panel.scroll_area.ensureWidgetVisible(refine.refine)
    click(refine.refine)
    assert "Segmenting this part of the image" in panel.session.refine_notice.text, panel.session.refine_notice
    qtbot.waitUntil(lambda: "would change" in panel.session.refine_notice.text, timeout=PATIENCE_MS)
    result = panel.session.results.result
    assert result.source.corner == (128, 256) and result.from_correction and correction.known.counts.added == painted
    model, whole = load_model("tiny"), ImageInput.from_array(PIXELS, axes=Axes("CYX"))
    *_, last = iterate(
        ImageInput.from_array(PIXELS[:, 128:256, 256:384], axes=Axes("CYX")),
        model,
        panel.session.settings,
        intensities=plane_intensities(model.card, whole, ()),
        quantised=True,
    )
    np.testing.assert_array_equal(result.at(result.own).foreground, last.foreground)
    picture(viewer, str(Path(os.environ.get("NAPARI_RUNET_PICTURES", tmp_path)) / "large-refined.png"))
    viewer.layers.selection.active = correction.layer
    press(viewer, Qt.Key.Key_Z, Qt.KeyboardModifier.ControlModifier)
    qtbot.waitUntil(lambda: correction.known.counts.added == 0, timeout=PATIENCE_MS)
    np.testing.assert_array_equal(correction.layer.data, expected[128:256, 256:384])

    opening, state = panel.batch_section.opening, panel.batch_section.state
    state.output = str(tmp_path / "masks")
    (row,) = section.state.rows
    assert opening.open(row) is image and viewer.layers[-1].name == "slide · tiny · mask"
    np.testing.assert_array_equal(np.asarray(viewer.layers[-1].data[0]), expected)
    opened = viewer.layers[-1]
    assert opening.correct(row) is None and "press Correct in the panel" in state.notice.text
    assert not opened.editable
    finished.visible = False
    viewer.layers.remove(finished)
    viewer.layers.remove(correction.layer)
    panel.correcting.correct()  # as that sentence says
    np.testing.assert_array_equal(panel.session.correction.shown, expected[128:256, 256:384])
    assert not opened.visible
