"""Whatever napari shows as an image is segmented by the same click, and the masks lie on it."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import dask.array
import numpy as np
import pytest
from _canvas import canvas, choose, click, menu_action, picture, to_canvas, window
from qtpy.QtCore import QPoint, QPointF, Qt
from qtpy.QtGui import QWheelEvent
from qtpy.QtTest import QTest
from qtpy.QtWidgets import QApplication, QLineEdit

from napari_runet.models.store import HOME_VARIABLE
from napari_runet.plugin.layers import RECORD

PATIENCE_MS = 300_000


def masks(viewer: Any, image: Any) -> list[Any]:
    return [layer for layer in viewer.layers if RECORD in layer.metadata and layer.name.startswith(f"{image.name} ·")]


def wait_idle(qtbot: Any, panel: Any) -> None:
    qtbot.waitUntil(lambda: panel.session.activity.stage == "idle", timeout=PATIENCE_MS)


def segmented(viewer: Any, panel: Any, qtbot: Any, image: Any) -> Any:
    """The last iteration's layer, after a click on Segment."""
    viewer.layers.selection = {image}
    assert panel.session.image is image
    click(panel.segment_section.segment)
    assert panel.session.activity.stage == "running", panel.session.obstacle
    wait_idle(qtbot, panel)
    assert panel.session.notice.kind != "error", panel.session.notice
    assert len(masks(viewer, image)) == 3
    return masks(viewer, image)[-1]


def test_any_open_layer(opened: tuple[Any, Any], qtbot: Any, tmp_path: Path) -> None:
    viewer, panel = opened
    rng = np.random.default_rng(0)
    photograph = rng.integers(0, 256, (96, 130, 3), np.uint8)
    holes = photograph.astype(np.float64) / 255
    holes[:20, :20] = np.nan
    turned = {"scale": (2.0, 0.5), "translate": (30, -10), "rotate": 20, "shear": [0.2]}
    cases = {
        "rgba": (np.dstack([photograph, np.full((96, 130), 255, np.uint8)]), {"rgb": True}),
        "bool": (photograph[..., 0] > 100, {}),
        "nan": (holes, {"rgb": True, **turned}),
        "sixteen": (photograph[..., 0].astype(np.uint16) * 200, turned),
        "signed": (photograph[..., 0].astype(np.int32) * 1000 - 9000, {"units": ("mm", "mm"), "scale": (0.1, 0.1)}),
        "lazy": (dask.array.from_array(photograph, chunks=(50, 50, 3)), {"rgb": True, "affine": np.diag([3.0, 2, 1])}),
        "movie": (np.stack([photograph[..., 0]] * 4), {"axis_labels": ("time", "y", "x")}),
        "pixel": (photograph[:1, :1, 0], {}),
    }
    for name, (data, how) in cases.items():
        image = viewer.add_image(data, name=name, **how)
        mask = segmented(viewer, panel, qtbot, image)
        assert mask.data.shape == (image.data.shape[:2] if image.rgb else image.data.shape), name
        corner = [3] * mask.ndim
        np.testing.assert_allclose(mask.data_to_world(corner), image.data_to_world(corner), err_msg=name)
        assert mask.units == image.units and mask.axis_labels == image.axis_labels, name
        if name == "rgba":
            assert "alpha" in panel.session.notice.text, panel.session.notice.text


def test_a_multiscale_image_is_segmented_at_a_level_that_is_named(opened: tuple[Any, Any], qtbot: Any) -> None:
    viewer, panel = opened
    rng = np.random.default_rng(0)
    full = rng.integers(0, 256, (2048, 2048, 3), np.uint8)
    levels = [full, full[::2, ::2], full[::8, ::8]]
    image = viewer.add_image(levels, multiscale=True, rgb=True, name="large", scale=(0.5, 0.5), translate=(10, 20))
    mask = segmented(viewer, panel, qtbot, image)
    ratio = full.shape[0] / mask.data.shape[0]
    description = panel.image_section.description.text()
    assert ratio in (1, 2, 8) and "level" in description, description
    np.testing.assert_allclose(
        np.asarray(mask.data_to_world([0, 0])) - 0.5 * mask.scale,
        np.asarray(image.data_to_world([0, 0])) - 0.5 * image.scale,
    )
    np.testing.assert_allclose(mask.scale, np.asarray(image.scale) * ratio)


def test_what_is_in_view_after_zooming_by_wheel(opened: tuple[Any, Any], qtbot: Any, pictures: Path) -> None:
    viewer, panel = opened
    image = viewer.add_image(np.random.default_rng(0).integers(0, 256, (400, 500, 3), np.uint8), rgb=True, name="photo")
    viewer.layers.selection = {image}
    QTest.qWait(200)
    where = to_canvas(viewer, image, 100, 100)
    for _ in range(12):
        wheel(viewer, where)
    click(panel.options_fold.header)
    choose(panel.options_section.region, "What is in view")
    mask = segmented(viewer, panel, qtbot, image)
    picture(viewer, str(pictures / "in-view.png"))
    found = np.argwhere(mask.data)
    inside = np.array([image.world_to_data(mask.data_to_world(pixel)) for pixel in (found.min(0), found.max(0))])
    assert (inside[0] <= 100).all() and (inside[1] >= 100).all()
    for y, x in inside:
        point = to_canvas(viewer, image, y, x)
        assert canvas(viewer).rect().adjusted(-20, -20, 20, 20).contains(point), "what is out of view was segmented"


def wheel(viewer: Any, where: QPoint) -> None:
    native = canvas(viewer)
    event = QWheelEvent(
        QPointF(where),
        QPointF(native.mapToGlobal(where)),
        QPoint(0, 0),
        QPoint(0, 120),
        Qt.MouseButton.NoButton,
        Qt.KeyboardModifier.NoModifier,
        Qt.ScrollPhase.NoScrollPhase,
        False,
    )
    QApplication.sendEvent(native, event)
    QTest.qWait(30)


def test_the_command_palette_finds_and_segments(
    make_napari_viewer: Callable[..., Any], tiny_models: Path, monkeypatch: pytest.MonkeyPatch, qtbot: Any
) -> None:
    monkeypatch.setenv(HOME_VARIABLE, str(tiny_models))
    viewer = make_napari_viewer(show=True)
    image = viewer.add_image(np.zeros((64, 64, 3), np.uint8), rgb=True, name="photo")
    menu_action(viewer, "View", "Command Palette").trigger()
    QTest.qWait(100)
    (palette,) = (line for line in window(viewer).findChildren(QLineEdit) if "commands" in line.placeholderText())
    assert palette.isVisible()
    QTest.keyClicks(palette, "segment this image")
    QTest.qWait(100)
    QTest.keyClick(palette, Qt.Key.Key_Return)
    qtbot.waitUntil(lambda: bool(viewer.window.dock_widgets), timeout=PATIENCE_MS)
    (panel,) = viewer.window.dock_widgets.values()
    wait_idle(qtbot, panel)
    qtbot.waitUntil(lambda: len(masks(viewer, image)) == 3, timeout=PATIENCE_MS)
