"""Large layers of every kind: dask, zarr, memory maps and TIFF are segmented block by block, and never whole."""

import dask.array as da
import numpy as np
import pytest
import tifffile
import zarr

from napari_runet import segment_files
from napari_runet.plugin import large_layers, reading
from napari_runet.plugin.large_layers import LargeLayers
from napari_runet.plugin.panel import Panel
from napari_runet.plugin.reading import read_layer
from napari_runet.settings import SegmentationSettings
from ome_zarr_images import write_image

PATIENCE_MS = 180_000
PIXELS = np.random.default_rng(0).integers(0, 255, (3, 150, 170), np.uint8)
RGB = PIXELS.transpose(1, 2, 0)


@pytest.fixture
def small(monkeypatch):
    """What has more than 100 x 100 pixels is large."""
    for module in (large_layers, reading):
        monkeypatch.setattr(module, "COMFORTABLE_PIXELS", 100 * 100)


@pytest.fixture
def panel(home, small, make_napari_viewer):
    viewer = make_napari_viewer()
    panel = Panel(viewer)
    panel.session.model = next(model for model in panel.session.models if model.card.id == "tiny")
    panel.session.settings = SegmentationSettings(tile_size=64)
    yield panel
    panel.close()


class Counted:
    """An array that tells the largest part that was read of it."""

    def __init__(self, array):
        self.array, self.shape, self.dtype, self.ndim = array, array.shape, array.dtype, array.ndim
        self.largest = 0

    def __getitem__(self, key):
        part = np.asarray(self.array[key])
        self.largest = max(self.largest, part.size)
        return part


def expected(tmp_path, pixels=PIXELS, axes="cyx"):
    image = write_image(tmp_path / "alone.ome.zarr", pixels, axes=axes)
    tally = segment_files(image, "tiny", tmp_path / "alone", tile_size=64)
    assert not tally.problems
    return zarr.open_array(tmp_path / "alone" / "alone.ome.zarr" / "labels" / "tiny" / "0", mode="r")[:]


def run(panel, qtbot, **options):
    section = panel.large_section
    for name, value in options.items():
        getattr(section, name).setCurrentIndex(value)
    assert section.toggle(), section.status.text()
    qtbot.waitUntil(lambda: section.state.stage == "idle", timeout=PATIENCE_MS)
    assert section.growing.is_finished, section.status.text()
    return section.growing.layer


def test_the_layer_that_is_painted_on_stays_in_hand_while_labels_grow_and_when_they_are_there(panel, qtbot):
    panel.large_section._timer.setInterval(20)
    viewer = panel._viewer
    viewer.add_image(da.from_array(RGB, chunks=(50, 50, 3)), rgb=True, name="slide")
    own = viewer.add_labels(np.zeros((150, 170), np.uint8), name="painted")
    labels = run(panel, qtbot)
    assert labels in viewer.layers and viewer.layers.selection.active is own


def test_a_dask_graph_of_several_levels_is_read_by_its_blocks(panel, qtbot, tmp_path):
    viewer = panel._viewer
    counted = Counted(RGB)
    levels = [da.from_array(counted, chunks=(50, 50, 3)), da.from_array(RGB[::2, ::2], chunks=(50, 50, 3))]
    image = viewer.add_image(levels, rgb=True, name="a/slide", scale=(2, 3), translate=(5, 6), rotate=10)
    assert panel.large_section._large.path is None
    assert panel.large_section.level.itemText(1) == "1:  75 x 85"
    layer = run(panel, qtbot)
    np.testing.assert_array_equal(np.asarray(layer.data[0]), expected(tmp_path))
    for place in ([0, 0], [10, 20]):
        np.testing.assert_allclose(layer.data_to_world(place), image.data_to_world(place))
    assert 0 < counted.largest <= 50 * 50 * 3
    assert "a_slide: 150 x 170 pixels at level 0, 9 blocks; the labels take" in panel.large_section.status.text()
    assert panel.large_section.status.text().endswith("gone when napari ends.")
    viewer.layers.selection.active = image
    again = run(panel, qtbot)
    assert again in viewer.layers and layer not in viewer.layers, "the same labels are not shown twice"


def test_a_memory_map_of_frames_and_channels_lies_on_its_image(panel, qtbot, tmp_path):
    stack = np.random.default_rng(1).integers(0, 255, (2, 3, 110, 120), np.uint16)
    mapped = np.memmap(tmp_path / "raw", np.uint16, "w+", shape=stack.shape)
    mapped[:] = stack
    placed = {"axis_labels": ("t", "c", "y", "x"), "scale": (7, 1, 2, 2), "translate": (1, 0, 3, 4)}
    image = panel._viewer.add_image(mapped, **placed)
    layer = run(panel, qtbot)
    assert layer.ndim == image.ndim and layer.data.shape == stack.shape
    mask = expected(tmp_path, stack, "tcyx")
    for channel in range(3):
        np.testing.assert_array_equal(np.asarray(layer.data[:, channel]), mask)
    for place in ([0, 0, 0, 0], [1, 2, 10, 20]):
        np.testing.assert_allclose(layer.data_to_world(place), image.data_to_world(place))


def test_a_tiled_tiff_is_read_by_the_worker_and_leads_to_ome_tiff(panel, qtbot, tmp_path):
    path = tmp_path / "slide.ome.tif"
    options = {"tile": (32, 32), "compression": "zlib", "photometric": "rgb"}
    with tifffile.TiffWriter(path, ome=True) as file:
        size = {"PhysicalSizeX": 0.5, "PhysicalSizeXUnit": "µm", "PhysicalSizeY": 0.5, "PhysicalSizeYUnit": "µm"}
        file.write(RGB, subifds=1, metadata={"axes": "YXS", **size}, **options)
        file.write(RGB[::2, ::2], subfiletype=1, **options)
    [image] = panel._viewer.open(str(path), plugin="napari")
    assert panel.large_section._large.path == path and panel.large_section.level.count() == 2
    panel.large_section.output.setText(str(tmp_path / "masks"))
    layer = run(panel, qtbot, format=1)
    mask = expected(tmp_path)
    np.testing.assert_array_equal(np.asarray(layer.data[0]), mask)
    np.testing.assert_array_equal(tifffile.imread(tmp_path / "masks" / "slide.ome.tif"), mask)
    np.testing.assert_allclose(layer.data_to_world([10, 20]), image.data_to_world([10, 20]))
    np.testing.assert_array_equal(layer.get_color(1), np.array([0xFF, 0x2F, 0xD0, 0xFF], np.float32) / 255)


def test_what_is_large_and_who_reads_it(home, small, make_napari_viewer, tmp_path):
    viewer, layers = make_napari_viewer(), LargeLayers()
    little = viewer.add_image(np.zeros((90, 90)))
    assert layers.find(little, read_layer(little, (0, 0))) is None and layers.find(None, None) is None
    array = zarr.create_array({}, shape=(120, 130), chunks=(64, 64), dtype="u2")
    large = viewer.add_image(array, name="zarr", scale=(2, 3))
    found = layers.find(large, read_layer(large, (0, 0)))
    assert found.path is None and found.axes == "YX" and found.sizes == ["120 x 130"]
    described = found.describe()
    assert described.levels[0].scale == (2, 3) and described.content == found.describe().content
    assert layers.find(large, read_layer(large, (0, 0))) is found
    large.data = zarr.create_array({}, shape=(120, 130), chunks=(64, 64), dtype="u2")
    other = layers.find(large, read_layer(large, (0, 0)))
    assert other.describe().content != described.content, "other arrays are not gone on with"
    tifffile.imwrite(tmp_path / "a.tif", np.zeros((120, 130), np.uint8))
    [opened] = viewer.open(str(tmp_path / "a.tif"), plugin="napari")
    assert layers.find(opened, read_layer(opened, (0, 0))).path == tmp_path / "a.tif"
    opened.data = np.asarray(opened.data)[:110]  # no longer what the file holds
    assert layers.find(opened, read_layer(opened, (0, 0))).path is None
