"""From a first mask to a better model and back, by mouse, with real workers and a tiny model."""

import os
import signal
import sys
from pathlib import Path

import numpy as np
import pytest
from qtpy.QtCore import Qt
from qtpy.QtTest import QTest
from qtpy.QtWidgets import QMessageBox

from napari_runet.models.store import ModelStore
from napari_runet.plugin.panel import Panel

sys.path.insert(0, str(Path(__file__).parent.parent / "plugin"))
from correcting_helpers import dock, paint, press

PATIENCE = 240_000
"""Milliseconds; torch is imported by two workers, perhaps on a busy machine."""


@pytest.fixture
def picture():
    """A bright line on a dark ground, and noise."""
    picture = np.random.default_rng(3).normal(60, 12, (140, 180, 3))
    picture[60:66, 20:160] += 120
    return picture.clip(0, 255).astype(np.uint8)


def until_idle(qtbot, panel: Panel):
    qtbot.waitUntil(lambda: panel.session.activity.stage == "idle", timeout=PATIENCE)
    assert panel.session.notice.kind != "error", panel.session.notice.text


def segment(viewer, panel: Panel, qtbot, picture):
    viewer.layers.selection.active = viewer.add_image(picture, name="line", rgb=True)
    qtbot.wait(300)
    press(panel.segment_section.segment)
    until_idle(qtbot, panel)
    assert len(panel.session.results.result) == 3


def correct_by_mouse(viewer, qtbot, panel):
    scroll_to(panel, panel.correct_section.correct)
    press(panel.correct_section.correct)
    layer = panel.session.correction.layer
    qtbot.wait(300)
    known = panel.session.correction.known
    for erase, row in ((False, 62), (True, 20), (True, 100), (False, 64)):
        panel.correcting.brush(0 if erase else 1)
        layer.selected_label = 1
        paint(viewer, qtbot, layer, (row, 30), (row, 150))
    layer.data[10:14, 10:60] = 1 - layer.data[10:14, 10:60]  # a change of any kind is seen
    layer.refresh()
    qtbot.waitUntil(lambda: known.flags.any(), timeout=15_000)
    return layer, known


def scroll_to(panel: Panel, widget):
    panel.scroll_area.ensureWidgetVisible(widget)


@pytest.fixture
def running(opened, qtbot, picture):
    viewer, panel = opened
    segment(viewer, panel, qtbot, picture)
    return viewer, panel, *correct_by_mouse(viewer, qtbot, panel)


def few_steps(panel: Panel, steps: int, **more):
    panel.session.tuning_settings = panel.session.tuning_settings.model_copy(
        update={"training_steps": steps, "device": "cpu", **more}
    )


def test_segment_correct_fine_tune_accept_and_go_back(running, qtbot, own_home):
    viewer, panel, layer, known = running
    session, section = panel.session, panel.fine_tune_section
    scroll_to(panel, panel.correct_section.review_view)
    press(panel.correct_section.review_view)
    assert known.counts.reviewed_regions == 1
    few_steps(panel, 8)
    old = session.model
    scroll_to(panel, section.fine_tune)
    press(section.fine_tune)
    assert session.tuning.stage == "running"
    held = known.digest
    panel.correcting.brush(1)
    paint(viewer, qtbot, layer, (120, 30), (120, 60))  # the user works on
    panel.correcting.brush(0)
    paint(viewer, qtbot, layer, (62, 60), (62, 90))
    qtbot.waitUntil(lambda: known.digest != held, timeout=15_000)
    qtbot.waitUntil(lambda: session.tuning.stage == "deciding", timeout=PATIENCE)
    assert panel.fine_tuning.losses
    candidate = session.candidate
    assert candidate.parent == old and candidate.card.parent == old.card.sha256
    assert candidate.figures["training_steps"] >= 1
    verdict = section.verdict.text()
    assert {True: "is better", False: "is not better", None: "etter"}[candidate.figures["better"]] in verdict
    assert {model.card.id for model in ModelStore().models()} >= {"tiny"}
    assert candidate.card.id not in {model.card.id for model in ModelStore().models()}
    qtbot.waitUntil(lambda: "a hidden layer shows where" in session.tuning_notice.text, timeout=PATIENCE)
    assert panel.fine_tuning.deciding.comparison.mask in viewer.layers
    scroll_to(panel, section.flip)
    press(section.flip)
    assert not layer.visible and panel.fine_tuning.deciding.comparison.mask.visible
    assert "candidate's mask alone" in section.notice.text()
    press(section.flip)
    assert layer.visible
    shown = layer.data.copy()
    press(section.accept)
    assert session.model.card.sha256 == candidate.card.sha256 and session.candidate is None
    assert session.model.card.title == "Tiny · v2" and session.model.folder == own_home / "models" / "tiny-v2"
    assert not list((own_home / "candidates").iterdir())
    assert not [layer for layer in viewer.layers if "candidate" in layer.name]
    scroll_to(panel, panel.segment_section.segment)
    press(panel.segment_section.segment)
    until_idle(qtbot, panel)
    assert session.results.result.card.id == "tiny-v2"
    assert np.array_equal(layer.data, shown)  # the new prediction has changed no pixel of the correction
    scroll_to(panel, section.go_back)
    press(section.go_back)
    assert session.model.card.id == "tiny"
    assert {"tiny", "tiny-v2"} <= {model.card.id for model in session.models}


def test_stop_keeps_the_best_and_reject_throws_it_away(running, qtbot, own_home):
    _, panel, _, _ = running
    session, section = panel.session, panel.fine_tune_section
    few_steps(panel, 100_000)
    assert panel.fine_tuning.start()
    qtbot.waitUntil(lambda: len(panel.fine_tuning.losses) > 1, timeout=PATIENCE)
    scroll_to(panel, section.stop)
    press(section.stop)
    assert session.tuning.stage in ("stopping", "deciding") and section.stop.text() == "Stop now"
    qtbot.waitUntil(lambda: session.tuning.stage == "deciding", timeout=PATIENCE)
    assert session.candidate.figures["training_steps"] < 100_000
    folder = session.candidate.folder
    assert folder.exists()
    scroll_to(panel, section.reject)
    press(section.reject)
    assert not folder.exists() and session.candidate is None and session.model.card.id == "tiny"
    assert section.fine_tune.isEnabled()


def test_a_killed_worker_is_one_sentence_and_loses_nothing(running, qtbot, own_home):
    _, panel, layer, known = running
    few_steps(panel, 100_000)
    assert panel.fine_tuning.start()
    qtbot.waitUntil(lambda: bool(panel.fine_tuning.losses), timeout=PATIENCE)
    digest, shown = known.digest, layer.data.copy()
    os.kill(panel.tuning_engine.worker_pid, signal.SIGKILL)
    qtbot.waitUntil(lambda: panel.session.tuning.stage == "idle", timeout=PATIENCE)
    notice = panel.session.tuning_notice
    assert notice.kind == "error" and "press Fine-tune to try again" in notice.text
    assert "Traceback" not in notice.text and "\n" not in notice.text
    assert known.digest == digest and np.array_equal(layer.data, shown)
    assert panel.engine.worker_pid is not None  # segmenting has a worker of its own
    assert panel.session.model.card.id == "tiny" and panel.fine_tune_section.fine_tune.isEnabled()


def test_stopping_twice_keeps_nothing(running, qtbot, own_home):
    _, panel, _, _ = running
    few_steps(panel, 100_000)
    assert panel.fine_tuning.start()
    panel.fine_tuning.stop()
    panel.fine_tuning.stop()
    qtbot.waitUntil(lambda: panel.session.tuning.stage == "idle", timeout=PATIENCE)
    assert panel.session.candidate is None and "no candidate" in panel.session.tuning_notice.text
    assert not list((own_home / "candidates").glob("*"))


def test_restore_in_a_new_viewer_by_a_click(running, make_napari_viewer, qtbot, picture):
    viewer, panel, _, known = running
    panel.session.correction.compare()
    viewer.close()
    other = make_napari_viewer(show=True)
    other.add_image(picture.copy(), name="line", rgb=True)
    again = dock(other, show=True)
    section = again.correct_section
    qtbot.waitUntil(lambda: section.restore.isVisible(), timeout=15_000)
    scroll_to(again, section.restore)
    QTest.mouseClick(section.restore, Qt.MouseButton.LeftButton)
    plane = again.session.correction
    assert np.array_equal(plane.known.labels, known.labels) and np.array_equal(plane.known.flags, known.flags)
    assert np.array_equal(plane.layer.data[known.flags != 0], known.labels[known.flags != 0])


def alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True


def test_closing_napari_asks_and_leaves_no_process(running, qtbot, monkeypatch, own_home):
    viewer, panel, _, _ = running
    few_steps(panel, 100_000)
    assert panel.fine_tuning.start()
    qtbot.waitUntil(lambda: bool(panel.fine_tuning.losses), timeout=PATIENCE)
    pids = [panel.engine.worker_pid, panel.tuning_engine.worker_pid]
    assert len(set(pids)) == 2 and all(alive(pid) for pid in pids)
    answers = [QMessageBox.StandardButton.No, QMessageBox.StandardButton.Yes]
    monkeypatch.setattr(QMessageBox, "question", lambda *_: answers.pop(0))
    window = viewer.window._qt_window
    assert not window.close() and window.isVisible() and panel.session.tuning.stage == "running"
    viewer.close()
    assert not answers
    qtbot.waitUntil(lambda: not any(alive(pid) for pid in pids), timeout=15_000)
