"""Stacks and movies in a viewer that is not shown, with a real worker and a tiny model."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tifffile
from test_panel import PATIENCE_MS, panel_with, segment, wait_idle

from napari_runet.plugin.panel import Panel


@pytest.fixture
def movie() -> np.ndarray:
    return np.random.default_rng(2).integers(0, 256, (8, 60, 50, 3), np.uint8)


@pytest.fixture
def viewer(make_napari_viewer: Callable[..., Any], home: Path) -> Any:
    return make_napari_viewer()


def choose_scope(panel: Panel, scope: str) -> None:
    box = panel.stack_section.scope
    box.setCurrentIndex(box.findData(scope))
    box.activated.emit(box.currentIndex())


def test_a_whole_movie_from_the_frame_on_show_outwards(
    viewer: Any, qtbot: Any, movie: np.ndarray, tmp_path: Path
) -> None:
    viewer.add_image(movie[2], name="single", rgb=True)
    panel = panel_with(viewer)
    assert panel.stack_section.isHidden()
    segment(qtbot, panel)
    single = panel.session.results.iterations[3].data.copy()
    viewer.add_image(movie, name="movie", rgb=True)
    viewer.dims.set_current_step(0, 2)
    assert not panel.stack_section.isHidden()
    assert [panel.stack_section.scope.itemText(n) for n in range(3)] == [
        "The frame on show",
        "A range of frames",
        "All 8 frames",
    ]
    choose_scope(panel, "all")
    order: list[int] = []

    def look() -> None:
        results = panel.session.results
        if results is not None and results.is_stack and len(results.planes) > len(order):
            order.append(results.latest.source.index[0])
            if order == [2, 3]:
                viewer.dims.set_current_step(0, 7)  # a person scrolls on meanwhile

    panel.session.events.revision.connect(look)
    segment(qtbot, panel)
    assert panel.session.notice.text.startswith("movie: 8 of 8 frames segmented in ")
    # one frame more was on its way when the person scrolled
    assert order[:4] == [2, 3, 1, 7] or order[:5] == [2, 3, 1, 4, 7]
    results = panel.session.results
    np.testing.assert_array_equal(results.iterations[3].data[2], single)
    for number, layer in results.iterations.items():
        for index, result in results.planes.items():
            np.testing.assert_array_equal(layer.data[index], result.labels(number))
    assert [layer.visible for layer in results.iterations.values()] == [False, False, True]
    assert panel.iterations_section.plane.text() == "Frame 8: 3 iterations."

    # another threshold reaches the frame on show at once, and the others soon
    panel.options_section.threshold.setValue(0.6)
    np.testing.assert_array_equal(results.iterations[3].data[7], results.planes[7,].labels(3))
    qtbot.waitUntil(lambda: results.stale() is None, timeout=PATIENCE_MS)
    assert (results.iterations[1].data[0] == results.planes[0,].labels(1)).all()

    # saved as one file
    from napari_runet.plugin.saving import plan, write_all

    (path,) = write_all(plan([results], tmp_path, "tif", 3))
    with tifffile.TiffFile(path) as tif:
        assert tif.series[0].axes == "TYX"
        np.testing.assert_array_equal(tif.asarray(), results.iterations[3].data)
    assert sorted(file.path.name for file in plan([results], tmp_path, "png", 2))[0] == "movie_frame1.png"


def test_a_range_cancelled_and_what_is_left(viewer: Any, qtbot: Any, movie: np.ndarray) -> None:
    viewer.add_image(movie, name="movie", rgb=True)
    viewer.dims.set_current_step(0, 0)
    panel = panel_with(viewer)
    choose_scope(panel, "range")
    row = panel.stack_section.ranges["T"]
    assert (row.first.value(), row.last.value()) == (1, 8)
    row.first.setValue(3)
    row.last.setValue(5)
    assert panel.segment_now()
    qtbot.waitUntil(lambda: panel.session.results is not None, timeout=PATIENCE_MS)
    panel.segmentation.cancel()
    wait_idle(qtbot, panel)
    done = {index for index, result in panel.session.results.planes.items() if result.state == "complete"}
    assert len(done) < 3
    assert "topped" in panel.session.notice.text or f"{len(done)} of 3 frames" in panel.session.notice.text
    segment(qtbot, panel)
    assert set(panel.session.results.planes) == {(2,), (3,), (4,)}
    assert panel.session.notice.text.startswith("movie: 3 of 3 frames")
    assert panel.iterations_section.plane.text() == "Frame 1 has not been segmented."
    assert not panel.iterations_section.confidence.isEnabled() and panel.iterations_section.save.isEnabled()
    viewer.dims.set_current_step(0, 3)
    assert panel.iterations_section.plane.text() == "Frame 4: 3 iterations."
    assert panel.iterations_section.confidence.isEnabled()


def test_following_time(viewer: Any, qtbot: Any, movie: np.ndarray) -> None:
    quiet = np.repeat(movie[:1], 4, axis=0)
    viewer.add_image(np.concatenate([quiet, 255 - quiet[:2]]), name="movie", rgb=True)
    panel = panel_with(viewer)
    section = panel.stack_section
    assert section.follow.isHidden()  # of one frame there is nothing to follow
    choose_scope(panel, "all")
    assert not section.follow.isHidden()
    section.follow.click()
    assert panel.session.settings.follow_time
    segment(qtbot, panel)
    planes = panel.session.results.planes
    assert [(index[0], len(result), result.goes_on) for index, result in planes.items()] == [
        (0, 3, False), (1, 1, True), (2, 1, True), (3, 1, True), (4, 3, False), (5, 1, True)
    ]  # fmt: skip
    for layer in panel.session.results.iterations.values():  # one iteration is what there is at each
        np.testing.assert_array_equal(layer.data[1], planes[1,].labels(1))
    viewer.dims.set_current_step(0, 1)
    assert panel.iterations_section.plane.text() == "Frame 2: 1 iteration, going on from the frame before."
    assert panel.iterations_section.count.text() == "3 of 3"


def test_segmenting_as_one_scrolls(viewer: Any, qtbot: Any, movie: np.ndarray) -> None:
    viewer.add_image(movie, name="movie", rgb=True)
    viewer.dims.set_current_step(0, 0)
    panel = panel_with(viewer)
    session = panel.session
    panel.stack_section.live.click()

    def segmented(*frames: int) -> None:
        def look() -> bool:
            planes = session.results.planes if session.results is not None else {}
            complete = {index[0] for index, result in planes.items() if result.state == "complete"}
            return complete == set(frames) and session.activity.stage == "idle"

        qtbot.waitUntil(look, timeout=PATIENCE_MS)

    segmented(0)
    viewer.dims.set_current_step(0, 4)
    segmented(0, 4)
    run = session.results.planes[0,].run_id
    viewer.dims.set_current_step(0, 0)
    qtbot.wait(400)
    assert session.results.planes[0,].run_id == run  # it has been segmented
    panel.options_section.iterations.setValue(2)
    qtbot.waitUntil(lambda: len(session.results.planes[0,]) == 2, timeout=PATIENCE_MS)
    wait_idle(qtbot, panel)

    # what is left behind is let go of, and nothing is said about it
    viewer.dims.set_current_step(0, 5)
    qtbot.waitUntil(lambda: session.activity.stage == "running", timeout=PATIENCE_MS)
    viewer.dims.set_current_step(0, 6)
    qtbot.waitUntil(lambda: (6,) in session.results.planes, timeout=PATIENCE_MS)
    wait_idle(qtbot, panel)
    assert len(session.results.planes[6,]) == 2 and session.notice.text == ""
    panel.stack_section.live.click()
    viewer.dims.set_current_step(0, 7)
    qtbot.wait(300)
    assert session.activity.stage == "idle" and (7,) not in session.results.planes
