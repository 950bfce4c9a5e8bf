"""A stroke, refined by a real worker: pinned in every iteration, taken, and undone bit by bit."""

import sys
from pathlib import Path

import numpy as np
from qtpy.QtCore import Qt
from qtpy.QtTest import QTest

sys.path.insert(0, str(Path(__file__).parent.parent / "plugin"))
from correcting_helpers import paint, press

PATIENCE = 240_000
"""Milliseconds; torch is imported by a worker, perhaps on a busy machine."""


def test_a_stroke_refined_taken_and_undone(opened, qtbot):
    viewer, panel = opened
    session = panel.session
    picture = np.random.default_rng(3).integers(0, 255, (140, 180, 3), np.uint8)
    image = viewer.add_image(picture, name="noise", rgb=True)
    viewer.layers.selection.active = image
    qtbot.wait(300)
    press(panel.segment_section.segment)
    qtbot.waitUntil(lambda: session.activity.stage == "idle", timeout=PATIENCE)
    panel.scroll_area.ensureWidgetVisible(panel.correct_section.correct)
    press(panel.correct_section.correct)
    plane = session.correction
    paint(viewer, qtbot, plane.layer, (60, 30), (60, 150))
    qtbot.waitUntil(lambda: plane.known.flags.any(), timeout=PATIENCE)
    painted = plane.layer.data.copy()

    section = panel.refine_section
    panel.scroll_area.ensureWidgetVisible(section.fold.header)
    press(section.fold.header)
    panel.scroll_area.ensureWidgetVisible(section.refine)
    press(section.refine)
    result = session.results.result
    qtbot.waitUntil(lambda: result.from_correction > 0, timeout=PATIENCE)
    assert session.refine_notice.kind == "warning" and "was not trained" in session.refine_notice.text
    known = plane.known.flags != 0
    for iteration in range(4, len(result) + 1):
        np.testing.assert_array_equal(result.labels(iteration)[known], plane.known.labels[known])
    offered = session.refined_pixels
    elsewhere = (result.labels(4) != result.labels(3)) & ~known & (result.labels(4) != painted)
    assert offered == elsewhere.sum()
    assert panel.refining.offers.take() == offered
    np.testing.assert_array_equal(plane.layer.data[~elsewhere], painted[~elsewhere])
    if offered:
        native = viewer.window._qt_viewer.canvas.native
        native.setFocus()
        QTest.keyClick(native, Qt.Key.Key_Z, Qt.KeyboardModifier.ControlModifier)
        qtbot.waitUntil(lambda: session.refined_pixels == offered, timeout=PATIENCE)
    np.testing.assert_array_equal(plane.layer.data, painted)
