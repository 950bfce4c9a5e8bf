"""A person segments a folder with a broken file, cancels, goes on, corrects one mask, and teaches with it."""

import csv
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tifffile
from _canvas import click, drag, picture
from PIL import Image
from qtpy.QtCore import QPoint, Qt
from qtpy.QtTest import QTest
from qtpy.QtWidgets import QLineEdit

from napari_runet.images.drawn import draw_fundus
from napari_runet.settings import SegmentationSettings

PATIENCE_MS = 120_000


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Four drawings, the third of them broken."""
    folder = tmp_path / "scans"
    folder.mkdir()
    for number in (1, 2, 4, 10):
        pixels, _ = draw_fundus(seed=number, size=128)
        Image.fromarray(pixels).save(folder / f"eye-{number}.png")
    (folder / "eye-3.png").write_bytes((folder / "eye-4.png").read_bytes()[:5000])
    return folder


@pytest.fixture
def opened(opened: tuple[Any, Any]) -> tuple[Any, Any]:
    """Small tiles, so that there is something to cancel."""
    _, panel = opened
    panel.session.settings = SegmentationSettings(tile_size=64)
    return opened


def type_into(field: QLineEdit, text: str) -> None:
    field.setFocus()
    field.selectAll()
    QTest.keyClicks(field, text)


def states(panel: Any) -> list[str]:
    return [row.state for row in panel.batch_section.state.rows]


def line(batch: Any, number: int) -> QPoint:
    """Where a line of the table is, for the mouse."""
    batch.view.scrollTo(batch.table.index(number, 1))
    return batch.view.visualRect(batch.table.index(number, 1)).center()


def choose_line(batch: Any, number: int) -> None:
    QTest.mouseClick(batch.view.viewport(), Qt.MouseButton.LeftButton, Qt.KeyboardModifier.NoModifier,
                     line(batch, number))  # fmt: skip


def test_a_folder_with_a_broken_file(
    opened: tuple[Any, Any], qtbot: Any, folder: Path, pictures: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    viewer, panel = opened
    panel.scroll_area.ensureWidgetVisible(panel.batch_section.button)
    click(panel.batch_section.button)
    state = panel.batch_section.state
    batch = panel.batch_section.window_
    qtbot.waitUntil(batch.isVisible, timeout=PATIENCE_MS)
    assert not batch.start.isEnabled()
    picture(viewer, str(pictures / "batch-1-empty.png"))

    type_into(batch.form.folder, str(folder))
    assert batch.form.output.text() == f"{folder}-masks"
    qtbot.waitUntil(lambda: len(state.rows) == 5, timeout=PATIENCE_MS)
    assert [row.name for row in state.rows] == ["eye-1", "eye-2", "eye-3", "eye-4", "eye-10"]
    type_into(batch.form.pattern, "eye-?.png")
    qtbot.waitUntil(lambda: len(state.rows) == 4, timeout=PATIENCE_MS)
    masks = folder.with_name("scans-masks")
    assert not masks.exists(), "looking writes nothing"

    cancel_in_the_second(batch, state)
    click(batch.start)
    qtbot.waitUntil(lambda: state.stage == "idle" and state.rows[0].state == "done", timeout=PATIENCE_MS)
    assert states(panel) == ["done", "waiting", "waiting", "waiting"]
    assert "Stopped. 1 of 4 images segmented. Press Go on" in state.notice.text
    assert sorted(path.name for path in masks.glob("*.tif")) == ["eye-1.tif"]
    assert panel.batch_section.batching.worker_pid is None
    picture(viewer, str(pictures / "batch-2-cancelled.png"))

    assert batch.start.text() == "Go on"
    click(batch.start)
    qtbot.waitUntil(lambda: state.stage == "idle", timeout=PATIENCE_MS)
    assert states(panel) == ["skipped", "done", "failed", "done"]
    assert "eye-3.png" in state.rows[2].error and "1 could not be" in state.notice.text
    with (masks / "summary.csv").open(encoding="utf-8-sig", newline="") as stream:
        table = list(csv.DictReader(stream))
    assert [bool(row["error"]) for row in table] == [False, False, True, False]
    picture(viewer, str(pictures / "batch-3-finished.png"))

    correct_the_last(viewer, panel, batch, masks, qtbot, pictures)
    click(batch.start)
    qtbot.waitUntil(lambda: state.stage == "idle", timeout=PATIENCE_MS)
    assert states(panel) == ["skipped", "skipped", "failed", "corrected"]
    assert tifffile.imread(masks / "eye-4.tif")[60:64, 40:60].all(), "the corrected mask is kept"


def cancel_in_the_second(batch: Any, state: Any) -> None:
    def look() -> None:
        if len(state.rows) > 1 and state.rows[1].state == "running" and state.stage == "running":
            state.events.revision.disconnect(look)
            click(batch.cancel)

    state.events.revision.connect(look)


def correct_the_last(viewer: Any, panel: Any, batch: Any, masks: Path, qtbot: Any, pictures: Path) -> None:
    choose_line(batch, 2)
    assert batch.open.isEnabled() and not batch.correct.isEnabled(), "a broken file has no mask"
    click(batch.open)
    assert "eye-3.png cannot be opened" in batch.notice.text() and len(viewer.layers) == 0
    choose_line(batch, 3)
    QTest.mouseDClick(batch.view.viewport(), Qt.MouseButton.LeftButton, Qt.KeyboardModifier.NoModifier,
                      line(batch, 3))  # fmt: skip
    image, mask = viewer.layers
    before = tifffile.imread(masks / "eye-4.tif")
    np.testing.assert_array_equal(mask.data, before)
    assert not mask.editable and panel.session.image is image
    picture(viewer, str(pictures / "batch-4-opened.png"))

    assert not batch.save.isEnabled() and not batch.learn.isEnabled()
    click(batch.correct)
    layer = viewer.layers.selection.active
    np.testing.assert_array_equal(layer.data, before)
    assert not mask.visible and layer.mode == "paint"
    QTest.qWait(100)
    drag(viewer, layer, [(62, x) for x in range(36, 68, 4)])
    qtbot.waitUntil(lambda: panel.session.correction.known.counts.added > 0, timeout=PATIENCE_MS)
    click(batch.save)
    assert "Saved eye-4.tif" in batch.notice.text()
    after = tifffile.imread(masks / "eye-4.tif")
    np.testing.assert_array_equal(after, layer.data)
    assert (after != before).any() and after[60:64, 40:60].all()
    assert panel.batch_section.state.rows[3].state == "corrected"
    click(batch.learn)
    assert panel.session.correction.known.flags.all(), "all of it is known"
    assert panel.fine_tuning.anything_corrected()
    picture(viewer, str(pictures / "batch-5-corrected.png"))
