"""A person segments a movie, scrolls through it and paints meanwhile, and has it segmented as they scroll."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from _canvas import click, drag, picture, press
from qtpy.QtCore import QPoint, Qt
from qtpy.QtTest import QTest

from napari_runet.images.drawn import draw_hand

PATIENCE_MS = 300_000
FRAMES = 20


@pytest.fixture
def opened(opened: tuple[Any, Any]) -> tuple[Any, Any]:
    """A movie, at its sixth frame."""
    viewer, _ = opened
    frame = draw_hand(3, 256)[0]
    viewer.add_image(np.stack([np.roll(frame, 3 * t, 1) for t in range(FRAMES)]), name="movie", rgb=True)
    viewer.dims.set_current_step(0, 5)
    QTest.qWait(100)
    return opened


def test_a_movie_is_segmented_while_a_person_scrolls_and_paints(
    opened: tuple[Any, Any], qtbot: Any, pictures: Path
) -> None:
    viewer, panel = opened
    session, scope = panel.session, panel.stack_section.scope
    scope.setFocus()
    QTest.keyClick(scope, Qt.Key.Key_End)
    assert scope.currentText() == f"All {FRAMES} frames"
    assert session.scope == "all"
    click(panel.segment_section.segment)
    qtbot.waitUntil(lambda: session.results is not None and len(session.results.planes) > 1, timeout=PATIENCE_MS)
    assert session.activity.stage == "running"

    # scrolling: what is reached comes next
    image = viewer.layers["movie"]
    viewer.layers.selection.active = image
    for _ in range(4):
        press(viewer, Qt.Key.Key_Right)
    assert viewer.dims.current_step[0] == 9
    assert panel.image_section.description.text().endswith("frame 10 shown")
    picture(viewer, str(pictures / "movie-1-running.png"))

    # painting: on the frame on show, and nothing writes to it
    qtbot.waitUntil(lambda: (9,) in session.results.planes and len(session.results.result) == 3, timeout=PATIENCE_MS)
    click(panel.correct_section.correct)
    correction = viewer.layers.selection.active
    assert correction.data.shape == (1, 256, 256) and correction.name.startswith("movie · frame 10")
    before = correction.data.copy()
    drag(viewer, correction, [(40, 60 + 8 * step) for step in range(10)])
    painted = correction.data.copy()
    assert (painted != before).sum() > 100 and painted[0, 40, 100] == 1
    picture(viewer, str(pictures / "movie-2-painted.png"))
    qtbot.waitUntil(lambda: session.activity.stage == "idle", timeout=PATIENCE_MS)
    assert session.notice.text.startswith(f"movie: {FRAMES} of {FRAMES} frames segmented in ")
    np.testing.assert_array_equal(correction.data, painted)
    assert viewer.layers.selection.active is correction  # nobody was taken away from it
    results = session.results
    assert all(layer.data.any(axis=(1, 2)).all() for layer in results.iterations.values())

    # stepping, and what changed, go along with the frame
    viewer.layers.selection.active = results.iterations[3]
    panel.stepping.show(3)
    press(viewer, Qt.Key.Key_J)
    assert session.shown == 2
    click(panel.iterations_section.changes)
    press(viewer, Qt.Key.Key_Left)
    changes = results.of_plane.changes
    np.testing.assert_array_equal(changes.data[0], results.planes[8,].changes(2))
    assert changes.data_to_world((0, 0, 0))[0] == 8
    assert [layer.visible for layer in results.iterations.values()] == [False, True, False]
    click(panel.iterations_section.changes)
    picture(viewer, str(pictures / "movie-3-done.png"))

    # as one scrolls: with another setting the frame on show is done again, and only that
    panel.options_section.iterations.setValue(2)
    live = panel.stack_section.live
    QTest.mouseClick(live, Qt.MouseButton.LeftButton, pos=QPoint(10, live.height() // 2))
    assert session.live
    qtbot.waitUntil(lambda: len(results.planes[8,]) == 2, timeout=PATIENCE_MS)
    press(viewer, Qt.Key.Key_Left)
    qtbot.waitUntil(lambda: len(results.planes[7,]) == 2, timeout=PATIENCE_MS)
    qtbot.waitUntil(lambda: session.activity.stage == "idle", timeout=PATIENCE_MS)
    assert {index[0] for index, result in results.planes.items() if len(result) == 2} == {7, 8}
    np.testing.assert_array_equal(correction.data, painted)
    picture(viewer, str(pictures / "movie-4-live.png"))
