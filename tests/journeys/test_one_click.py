"""A person opens a sample, presses Segment, steps, paints on a copy, saves, cancels, and lives through a crash."""

import builtins
import os
import signal
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tifffile
from _canvas import click, dock_of, drag, menu_action, picture, press, window
from qtpy.QtCore import QPoint, Qt, QTimer
from qtpy.QtGui import QCloseEvent
from qtpy.QtTest import QTest
from qtpy.QtWidgets import QAbstractButton, QApplication, QLabel, QSlider, QWidget

from napari_runet.models.store import HOME_VARIABLE
from napari_runet.plugin.layers import EARLIER, RECORD
from napari_runet.plugin.panel import Panel

PATIENCE_MS = 300_000
"""Long enough for importing torch on a busy machine; nothing is timed."""


@pytest.fixture
def opened(opened: tuple[Any, Any]) -> tuple[Any, Any]:
    """The sample of a retina."""
    viewer, _ = opened
    viewer.open_sample("napari-runet", "retina")
    QTest.qWait(100)
    return opened


@pytest.fixture(autouse=True)
def _no_torch_in_this_process(tiny_models: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """The GUI process never imports torch: whoever of ours tries is caught, also where it is loaded already."""
    really_import, culprits = builtins.__import__, []

    def watch(name: str, scope: Any = None, *rest: Any) -> Any:
        importer = str((scope or {}).get("__name__", ""))
        if name.split(".")[0] == "torch" and importer.split(".")[0] == "napari_runet":
            culprits.append(importer)
        return really_import(name, scope, *rest)

    monkeypatch.setattr(builtins, "__import__", watch)
    yield
    assert culprits == []


def wait_idle(qtbot: Any, panel: Any) -> None:
    qtbot.waitUntil(lambda: panel.session.activity.stage == "idle", timeout=PATIENCE_MS)


def mask_names(viewer: Any) -> list[str]:
    return [layer.name.rsplit(" · ", 1)[-1] for layer in viewer.layers if RECORD in layer.metadata]


def segment(qtbot: Any, panel: Any) -> None:
    click(panel.segment_section.segment)
    assert panel.session.activity.stage == "running", panel.session.obstacle
    wait_idle(qtbot, panel)
    assert panel.session.notice.kind == "info", panel.session.notice


def test_from_the_sample_to_saved_masks(
    opened: tuple[Any, Any], qtbot: Any, pictures: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    viewer, panel = opened
    image = viewer.layers[0]
    picture(viewer, str(pictures / "1-sample.png"))

    seen: list[list[str]] = []
    panel.session.events.revision.connect(lambda: seen.append(mask_names(viewer)))
    segment(qtbot, panel)
    assert seen[:3] == [[f"iteration {t}" for t in range(1, last + 1)] for last in (1, 2, 3)]
    layers = list(viewer.layers[1:4])
    assert [layer.visible for layer in layers] == [False, False, True]
    assert viewer.layers.selection.active is layers[2]
    assert layers[0].data.shape == image.data.shape[:2]
    qtbot.waitUntil(lambda: panel.iterations_section.plot.isVisible(), timeout=PATIENCE_MS)
    picture(viewer, str(pictures / "2-segmented.png"))

    step_with_slider_keys_and_buttons(viewer, panel, layers, qtbot)
    click(panel.iterations_section.changes)
    changes = next(layer for layer in viewer.layers if layer.name.endswith("changes"))
    before, now = layers[1].data.astype(bool), layers[2].data.astype(bool)
    panel.stepping.show(3)
    np.testing.assert_array_equal(changes.data == 1, now & ~before)
    np.testing.assert_array_equal(changes.data == 2, before & ~now)
    picture(viewer, str(pictures / "3-changes.png"))
    click(panel.iterations_section.changes)
    assert not changes.visible

    copy = paint_on_a_copy(viewer, panel, qtbot, pictures)
    painted = copy.data.copy()
    segment(qtbot, panel)
    np.testing.assert_array_equal(copy.data, painted)
    assert list(viewer.layers[1:4]) == layers
    assert viewer.layers.selection.active is copy

    folder = tmp_path / "masks"
    save_with_the_dialog(panel, folder, pictures)
    qtbot.waitUntil(lambda: panel.session.notice.text.startswith("Saved"), timeout=PATIENCE_MS)
    names = sorted(path.name for path in folder.iterdir())
    assert names == [f"{image.name}_iteration{t}.tif" for t in (1, 2, 3)]
    np.testing.assert_array_equal(tifffile.imread(folder / names[1]), layers[1].data)


def step_with_slider_keys_and_buttons(viewer: Any, panel: Any, layers: list[Any], qtbot: Any) -> None:
    section = panel.iterations_section

    def check(shown: int) -> None:
        assert [layer.visible for layer in layers] == [t == shown for t in (1, 2, 3)]
        assert viewer.layers.selection.active is layers[shown - 1]
        assert section.slider.value() == shown
        assert section.count.text() == f"{shown} of 3"

    slider: QSlider = section.slider
    slider.setFocus()
    QTest.keyClick(slider, Qt.Key.Key_Left)
    check(2)
    QTest.mouseClick(slider, Qt.MouseButton.LeftButton, pos=QPoint(3, slider.height() // 2))
    check(1)
    for key, modifier, shown in (
        (Qt.Key.Key_K, Qt.KeyboardModifier.NoModifier, 2),
        (Qt.Key.Key_K, Qt.KeyboardModifier.ShiftModifier, 3),
        (Qt.Key.Key_K, Qt.KeyboardModifier.NoModifier, 3),
        (Qt.Key.Key_J, Qt.KeyboardModifier.NoModifier, 2),
        (Qt.Key.Key_J, Qt.KeyboardModifier.ShiftModifier, 1),
    ):
        press(viewer, key, modifier)
        check(shown)
    for name, shown in (("next", 2), ("last", 3), ("previous", 2), ("first", 1), ("last", 3)):
        click(section.buttons[name])
        check(shown)
    click(section.buttons["play"])
    qtbot.waitUntil(lambda: panel.session.shown == 1, timeout=PATIENCE_MS)
    qtbot.waitUntil(lambda: panel.session.shown == 2, timeout=PATIENCE_MS)
    click(section.buttons["play"])
    panel.stepping.show(3)
    check(3)


def paint_on_a_copy(viewer: Any, panel: Any, qtbot: Any, pictures: Path) -> Any:
    click(panel.iterations_section.edit_copy)
    copy = viewer.layers.selection.active
    assert copy.name.endswith("copy of iteration 3") and copy.editable and copy.mode == "paint"
    copy.data[:] = 0
    copy.refresh()
    copy.brush_size = 9
    start = copy.data.copy()
    drag(viewer, copy, [(400, 300 + 10 * step) for step in range(12)])
    assert copy.data[400, 350] == 1
    painted = copy.data.copy()
    picture(viewer, str(pictures / "4-painted.png"))
    press(viewer, Qt.Key.Key_Z, Qt.KeyboardModifier.ControlModifier)
    np.testing.assert_array_equal(copy.data, start)
    press(viewer, Qt.Key.Key_Z, Qt.KeyboardModifier.ControlModifier | Qt.KeyboardModifier.ShiftModifier)
    np.testing.assert_array_equal(copy.data, painted)
    return copy


def save_with_the_dialog(panel: Any, folder: Path, pictures: Path) -> None:
    def answer() -> None:
        dialog = QApplication.activeModalWidget()
        assert dialog is not None
        dialog.folder.setText(str(folder))
        dialog.every.click()
        dialog.grab().save(str(pictures / "5-save.png"))
        click(dialog.save)

    QTimer.singleShot(300, answer)
    click(panel.iterations_section.save)


def test_cancel_kill_and_go_on(opened: tuple[Any, Any], qtbot: Any, pictures: Path) -> None:
    viewer, panel = opened
    segment(qtbot, panel)
    layers = list(viewer.layers[1:4])

    # Cancelled half-way: what was not computed again is marked as of the earlier run.
    run = layers[0].metadata[RECORD]["run"]
    click(panel.segment_section.segment)
    qtbot.waitUntil(lambda: layers[0].metadata[RECORD]["run"] != run, timeout=PATIENCE_MS)
    picture(viewer, str(pictures / "6-running.png"))
    click(panel.segment_section.cancel)
    wait_idle(qtbot, panel)
    if panel.session.notice.text.startswith("Stopped after iteration"):
        assert layers[2].name.endswith(EARLIER) and not layers[2].visible
    assert panel.session.shown == panel.stepping.count

    # Killed from outside: a sentence, and the next click works.
    click(panel.segment_section.segment)
    qtbot.waitUntil(lambda: panel.engine.worker_pid is not None, timeout=PATIENCE_MS)
    first_pid = panel.engine.worker_pid
    os.kill(first_pid, signal.SIGKILL)
    wait_idle(qtbot, panel)
    assert panel.session.notice.kind == "error"
    assert "press the button again" in panel.session.notice.text
    picture(viewer, str(pictures / "7-killed.png"))
    segment(qtbot, panel)
    assert panel.engine.worker_pid not in (None, first_pid)
    assert [layer.name.endswith(EARLIER) for layer in layers] == [False] * 3
    assert panel.session.shown == 3

    # Cancelled twice: the worker is ended, another starts, and the next click works.
    click(panel.segment_section.segment)
    pid = panel.engine.worker_pid
    click(panel.segment_section.cancel)
    click(panel.segment_section.cancel)
    wait_idle(qtbot, panel)
    assert "topped" in panel.session.notice.text
    segment(qtbot, panel)
    assert panel.engine.worker_pid is not None and pid is not None


@pytest.mark.parametrize("theme", ["dark", "light"])
def test_at_1280_by_720_nothing_is_cut_off(opened: tuple[Any, Any], qtbot: Any, pictures: Path, theme: str) -> None:
    viewer, panel = opened
    viewer.theme = theme
    segment(qtbot, panel)
    qtbot.waitUntil(lambda: panel.iterations_section.plot.isVisible(), timeout=PATIENCE_MS)
    panel.options_fold.set_open(True)
    panel.options_section.region.setCurrentIndex(2)
    panel.options_section.region.activated.emit(2)
    click(panel.iterations_section.changes)
    QTest.qWait(200)
    picture(viewer, str(pictures / f"8-{theme}.png"))
    assert window(viewer).width() <= 1280 and window(viewer).height() <= 720
    area = panel.scroll_area
    visible = [w for w in area.widget().findChildren(QWidget) if w.isVisible() and w.parentWidget().isVisible()]
    assert len(visible) > 20
    for widget in visible:
        area.ensureWidgetVisible(widget)
        corner = widget.mapTo(area.viewport(), QPoint(0, 0))
        assert corner.x() >= 0, widget
        assert corner.x() + widget.width() <= area.viewport().width(), (widget, widget.objectName())
        if isinstance(widget, QAbstractButton):
            wanted = widget.minimumSizeHint()
            assert widget.width() >= wanted.width() and widget.height() >= wanted.height() - 1, widget.text()
    area.verticalScrollBar().setValue(area.verticalScrollBar().maximum())
    picture(viewer, str(pictures / f"9-{theme}.png"))


def ask_to_close(viewer: Any) -> str:
    """Close the window as its frame's button does, answer napari's question with no, and return the question."""

    class ClosedByHand(QCloseEvent):
        def spontaneous(self) -> bool:
            return True

    questions = []

    def answer() -> None:
        dialog = QApplication.activeModalWidget()
        assert dialog is not None
        questions.append(" ".join(label.text() for label in dialog.findChildren(QLabel)))
        click(dialog.cancel_btn)

    QTimer.singleShot(200, answer)
    event = ClosedByHand()
    window(viewer).closeEvent(event)
    assert not event.isAccepted()
    return questions[0]


def test_menus_open_the_panel_and_segment(
    make_napari_viewer: Callable[..., Any], tiny_models: Path, monkeypatch: pytest.MonkeyPatch, qtbot: Any
) -> None:
    monkeypatch.setenv(HOME_VARIABLE, str(tiny_models))
    viewer = make_napari_viewer(show=True)
    menu_action(viewer, "File", "Open Sample", "Recurrent U-Net", "retina").trigger()
    assert len(viewer.layers) == 1
    image = viewer.layers[0]
    viewer.layers.clear()
    viewer.add_image(image.data[:100, :100], name="corner", rgb=True)
    menu_action(viewer, "Layers", "Segment", "Recurrent U-Net", "Segment this image").trigger()
    (panel,) = viewer.window.dock_widgets.values()
    wait_idle(qtbot, panel)
    assert len(mask_names(viewer)) == 3
    menu_action(viewer, "Layers", "Segment", "Recurrent U-Net", "Segment all open images").trigger()
    assert panel.session.activity.stage == "running"
    question = ask_to_close(viewer)
    assert "the segmentation of corner" in question
    wait_idle(qtbot, panel)
    assert "the segmentation" not in ask_to_close(viewer)  # napari asks nevertheless, because there are layers
    assert list(viewer.window.dock_widgets.values()) == [panel]
    menu_action(viewer, "Plugins", "Recurrent U-Net")


@pytest.mark.parametrize("from_plugins", [True, False])
def test_the_menus_open_one_panel_between_them(
    make_napari_viewer: Callable[..., Any], own_home: Path, from_plugins: bool
) -> None:
    viewer = make_napari_viewer(show=True)
    plugins = menu_action(viewer, "Plugins", "Recurrent U-Net")
    command = menu_action(viewer, "Layers", "Segment", "Recurrent U-Net", "Segment a folder")
    for action in (plugins, command) if from_plugins else (command, plugins, command):  # the second time it hides it
        action.trigger()
        QTest.qWait(50)
    (panel,) = (widget for widget in viewer.window.dock_widgets.values() if isinstance(widget, Panel))
    assert panel.batch_section.window_ is not None and not dock_of(panel).isHidden()
