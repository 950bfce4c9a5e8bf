"""Which image of a batch comes next: the most doubtful one that nobody has looked at."""

import numpy as np
import pytest
import tifffile
from correcting_helpers import dock, press
from PIL import Image

from napari_runet import load_model, segment, segment_files
from napari_runet.batch.record_file import read_entries
from napari_runet.io.opening import open_image
from napari_runet.plugin.batch_state import Row
from napari_runet.reviewing.places import doubt_of_plane, doubtful_places


@pytest.fixture
def done(home, tmp_path):
    """A folder of three images that were segmented, and what the record says of them."""
    folder = tmp_path / "in"
    folder.mkdir()
    rng = np.random.default_rng(4)
    for name, size in (("a", 60), ("b", 140), ("c", 100)):
        pixels = np.full((150, 160, 3), 90, np.uint8)
        pixels[:size, :size] = rng.integers(0, 255, (size, size, 3))
        Image.fromarray(pixels).save(folder / f"{name}.png")
    segment_files(folder, load_model("tiny", "cpu"), tmp_path / "out")
    return folder, read_entries(tmp_path / "out")


def test_what_is_recorded_is_the_doubt_of_the_places(done):
    folder, entries = done
    for name, entry in entries.items():
        prediction = segment(np.asarray(Image.open(folder / f"{name}.png")), "tiny")
        assert entry.doubt == pytest.approx(doubt_of_plane(doubtful_places(prediction)), abs=0.01)
    assert len({entry.doubt for entry in entries.values()}) == 3


def test_next_image_opens_the_most_doubtful_one_first_and_none_twice(done, make_napari_viewer, qtbot, tmp_path):
    folder, entries = done
    viewer = make_napari_viewer(show=True)
    panel = dock(viewer, show=True)
    section = panel.batch_section
    window = section.open_window()
    assert not window.next.isEnabled()
    section.state.output = str(tmp_path / "out")
    rows = [Row(folder / f"{name}.png", name, "done", record=entry) for name, entry in sorted(entries.items())]
    section.state.rows = (*rows, Row(folder / "d.png", "d", "failed", error="It is no image."))
    section.state.revision += 1
    assert window.next.text() == "Next image (3 left)"
    order = sorted(entries, key=lambda name: -entries[name].doubt)
    for number, name in enumerate(order, 1):
        press(window.next)
        qtbot.wait(50)
        assert panel.session.image.name == name and panel.session.correction.layer in viewer.layers
        assert window.selected().name == name
        assert window.next.isEnabled() == (number < 3)
    assert window.next.text() == "Next image" and section.opening.correct_next() is None
    assert "All images" in section.state.notice.text
    panel.correcting.close()
    for engine in (panel.engine, panel.tuning_engine):
        engine.close()


@pytest.mark.parametrize("planes", [(), (2,)])
def test_a_corrected_mask_keeps_its_pixel_size(home, make_napari_viewer, tmp_path, planes):
    pixels = np.random.default_rng(4).integers(0, 255, (*planes, 130, 140), np.uint8)
    axes = {"axes": "ZYX"} if planes else {}
    path = tmp_path / "a.tif"
    tifffile.imwrite(path, pixels, imagej=True, resolution=(2, 4), metadata={"unit": "um", **axes})
    segment_files(path, load_model("tiny", "cpu"), tmp_path / "out")
    panel = dock(make_napari_viewer())
    opening, state = panel.batch_section.opening, panel.batch_section.state
    state.output = str(tmp_path / "out")
    state.rows = (Row(path, "a", "done", record=read_entries(tmp_path / "out")["a"]),)
    opening.correct(state.rows[0])
    plane = panel.session.correction
    plane.paint(np.array([3]), np.array([4]), 1 - int(plane.shown[3, 4]))
    opening.save(state.rows[0])
    assert "Saved a.tif" in state.notice.text
    with open_image(tmp_path / "out" / "a.tif") as mask:
        assert (mask.pixel_size, mask.unit) == ((0.25, 0.5), "um") and mask.array.shape == pixels.shape
    panel.correcting.close()
    for engine in (panel.engine, panel.tuning_engine):
        engine.close()


def test_corrections_on_all_planes_of_a_stack_are_saved_together(home, make_napari_viewer, tmp_path):
    pixels = np.random.default_rng(4).integers(0, 255, (3, 130, 140), np.uint8)
    path = tmp_path / "a.tif"
    tifffile.imwrite(path, pixels, imagej=True, metadata={"axes": "ZYX"})
    segment_files(path, load_model("tiny", "cpu"), tmp_path / "out")
    before = tifffile.imread(tmp_path / "out" / "a.tif")
    viewer = make_napari_viewer()
    panel = dock(viewer)
    opening, state = panel.batch_section.opening, panel.batch_section.state
    state.output = str(tmp_path / "out")
    state.rows = (Row(path, "a", "done", record=read_entries(tmp_path / "out")["a"]),)
    opening.open(state.rows[0])
    expected = before.copy()
    for number in (0, 2):
        viewer.dims.set_point(0, number)
        opening.correct(state.rows[0])
        plane = panel.session.correction
        assert plane.source.index == (number,)
        plane.paint(np.array([3]), np.array([4]), 1 - int(plane.shown[3, 4]))
        expected[number, 3, 4] = 1 - before[number, 3, 4]
    opening.save(state.rows[0])
    assert (tifffile.imread(tmp_path / "out" / "a.tif") == expected).all()
    panel.correcting.close()
    for engine in (panel.engine, panel.tuning_engine):
        engine.close()


def test_an_image_that_is_opened_is_seen_whole(home, make_napari_viewer, qtbot, tmp_path):
    viewer = make_napari_viewer(show=True)
    viewer.add_image(np.zeros((7, 5, 30, 40), np.uint8))  # of more dimensions than what is opened
    panel = dock(viewer, show=True)
    qtbot.wait(100)
    Image.fromarray(np.zeros((600, 800), np.uint8)).save(tmp_path / "large.png")
    opening, row = panel.batch_section.opening, Row(tmp_path / "large.png", "large")
    small = viewer.scene.camera.zoom
    assert opening.open(row) is not None
    camera = viewer.scene.camera
    assert camera.zoom < small / 10 and np.allclose(camera.center[-2:], (299.5, 399.5), atol=1)
    camera.zoom *= 4
    zoomed = camera.zoom
    assert opening.open(row) is not None and camera.zoom == zoomed  # whoever looks closely goes on
    panel.correcting.close()
    for engine in (panel.engine, panel.tuning_engine):
        engine.close()
