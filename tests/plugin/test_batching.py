"""What a batch window says when things are in its way, and that it leaves nothing behind."""

import os
from pathlib import Path
from typing import Any
from unittest import mock

import numpy as np
import pytest
import tifffile
from PIL import Image

from napari_runet.batch.record_file import RecordFile
from napari_runet.models.store import ModelStore
from napari_runet.plugin.batch_state import BatchState, Row
from napari_runet.plugin.batch_table import BatchTable
from napari_runet.plugin.batching import Batching
from napari_runet.plugin.session import Notice, Session
from napari_runet.settings import SegmentationSettings

PATIENCE_MS = 120_000


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    folder = tmp_path / "in"
    folder.mkdir()
    pixels = np.random.default_rng(0).integers(0, 255, (130, 140, 3), np.uint8)
    for number in (1, 2):
        Image.fromarray(pixels).save(folder / f"{number}.png")
    return folder


@pytest.fixture
def batching(home: Path, folder: Path, qapp: Any) -> Any:
    session = Session(settings=SegmentationSettings(tile_size=64))
    session.model = next(model for model in ModelStore().models() if model.card.id == "tiny")
    state = BatchState(folder=str(folder), output=str(folder.with_name("out")))
    batching = Batching(session, state)
    yield batching
    batching.close()


def idle(qtbot: Any, batching: Batching) -> BatchState:
    state = batching._state
    qtbot.waitUntil(lambda: state.stage == "idle", timeout=PATIENCE_MS)
    return state


def test_obstacles_are_notices_and_write_nothing(batching, folder, qtbot):
    state = batching._state
    for changes, says in (
        ({"folder": str(folder / "none")}, "There is no folder"),
        ({"folder": str(folder), "pattern": "*.tif"}, "'*.tif'"),
        ({"pattern": "", "output": str(folder), "file_format": "png"}, "over the image"),
        ({"file_format": "tif", "output": str(folder / "1.png")}, "is a file"),
        ({"output": " "}, "Choose a folder of images"),
    ):
        for name, value in changes.items():
            setattr(state, name, value)
        before = sorted(folder.parent.rglob("*"))
        batching.start()
        idle(qtbot, batching)
        assert state.notice.kind == "error" and says in state.notice.text, changes
        assert sorted(folder.parent.rglob("*")) == before


def test_images_of_one_folder_are_not_shown_for_another(batching, folder, qtbot):
    state = batching._state
    assert batching.list_images()
    idle(qtbot, batching)
    assert len(state.rows) == 2
    state.notice = Notice("2 of 2 images segmented.")
    revision = state.revision
    state.folder = ""
    assert not state.rows and not state.notice.text and state.revision > revision
    state.folder = str(folder)
    qtbot.waitUntil(lambda: len(state.rows) == 2, timeout=PATIENCE_MS)


def test_a_mask_that_was_corrected_counts_as_ended():
    rows = tuple(Row(Path("x"), "x", state) for state in ("skipped", "corrected", "failed", "running", "recorded"))
    rows[3].share = 0.5
    state = BatchState(rows=rows)
    assert state.ended == 3 and state.share == 3.5 / 5


def test_another_run_on_the_output_is_told(batching, folder, qtbot):
    out = folder.with_name("out")
    out.mkdir()
    held = RecordFile(out)
    try:
        assert batching.start() and not batching.start(), "it has started already"
        state = idle(qtbot, batching)
        assert "Another run writes into" in state.notice.text
        assert [row.state for row in state.rows] == ["waiting", "waiting"]
    finally:
        held.close()


def test_a_layer_that_cannot_be_read_is_told_and_the_window_is_free_again(batching, qtbot):
    def describe() -> Any:
        raise RuntimeError("the camera is off")

    layer = mock.Mock(path=None, describe=describe, arrays=())
    layer.name = "live"
    batching._state.layer = layer
    assert batching.start()
    state = idle(qtbot, batching)
    assert state.notice.kind == "error" and "the camera is off" in state.notice.text


def test_what_was_finished_earlier_is_shown_with_its_picture_before_it_is_checked(batching, folder, qtbot):
    assert batching.start()
    state = idle(qtbot, batching)
    assert [row.state for row in state.rows] == ["done", "done"], state.notice
    assert batching.list_images()
    idle(qtbot, batching)
    table = BatchTable(state)
    assert [row.state for row in state.rows] == ["recorded", "recorded"]
    assert table.data(table.index(0, 2)) == "to check"
    from qtpy.QtCore import Qt

    assert not table.data(table.index(0, 0), Qt.ItemDataRole.DecorationRole).isNull()
    mask = tifffile.imread(folder.with_name("out") / "1.tif")
    marked = f"{100 * np.count_nonzero(mask) / mask.size:.1f} % marked"
    assert table.data(table.index(0, 1)) == f"1.png\n{marked}, doubt {state.rows[0].record.doubt:.2f}"


def test_closing_in_the_middle_ends_the_worker_and_frees_the_output(batching, folder, qtbot):
    state = batching._state
    seen: list[int] = []

    def close() -> None:
        if state.rows and state.rows[0].state == "running" and not seen:
            seen.append(batching.worker_pid or 0)
            batching.close()

    state.events.revision.connect(close)
    assert batching.start()
    qtbot.waitUntil(lambda: bool(seen), timeout=PATIENCE_MS)

    def gone() -> bool:
        try:
            os.kill(seen[0], 0)
        except ProcessLookupError:
            return True
        return False

    qtbot.waitUntil(gone, timeout=PATIENCE_MS)

    def free() -> bool:
        try:
            RecordFile(folder.with_name("out")).close()
        except ValueError:
            return False
        return True

    qtbot.waitUntil(free, timeout=PATIENCE_MS)
    assert not list(folder.with_name("out").glob("*.tif"))
