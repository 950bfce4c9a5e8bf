"""OME-Zarr in napari: images and labels lie where they say, in their colours, and are read as they are needed."""

import numpy as np
import pytest

from napari_runet import segment_files
from napari_runet.plugin.opening_zarr import get_reader, read
from ome_zarr_images import write_image

PIXELS = np.random.default_rng(0).integers(0, 255, (3, 70, 90), np.uint8)


@pytest.mark.parametrize("version", ["0.4", "0.5"])
def test_an_image_with_labels_becomes_layers(home, make_napari_viewer, tmp_path, version):
    path = write_image(tmp_path / "a.ome.zarr", PIXELS, version=version, levels=2)
    segment_files(path, "tiny", tmp_path / "out", into_image=True)
    viewer = make_napari_viewer()
    image, labels = viewer.open(str(path), plugin="napari-runet")
    assert (image.name, labels.name) == ("a", "a · tiny") and image.rgb and image.multiscale and labels.multiscale
    for layer in (image, labels):
        np.testing.assert_array_equal(layer.scale, [0.5, 0.25])
        assert layer.axis_labels == ("y", "x") and str(layer.units[0]) == "micrometer"
    np.testing.assert_array_equal(image.data[0], PIXELS.transpose(1, 2, 0))
    np.testing.assert_array_equal(image.data[1], PIXELS[:, ::2, ::2].transpose(1, 2, 0))
    assert set(np.unique(np.asarray(labels.data[0]))) == {0, 1}
    np.testing.assert_allclose(labels.get_color(1)[:3], np.array([0xFF, 0x2F, 0xD0]) / 255, rtol=1e-6)
    assert image.source.path == str(path)
    (alone,) = read(path / "labels" / "tiny")
    assert alone[2] == "labels" and alone[1]["name"] == "tiny"


def test_labels_of_channels_and_frames_lie_on_their_planes(home, make_napari_viewer, tmp_path):
    stack = np.random.default_rng(1).integers(0, 900, (2, 3, 40, 50), np.uint16)
    paths = [
        write_image(tmp_path / "a.zarr", stack, axes="tcyx", levels=2),
        write_image(tmp_path / "b.zarr", stack[0], axes="cyx"),
    ]
    segment_files(paths, "tiny", tmp_path / "out", into_image=True)
    viewer = make_napari_viewer()
    image, labels = viewer.open(str(paths[0]), plugin="napari-runet")
    assert labels.ndim == image.ndim == 4 and labels.multiscale and labels.axis_labels == ("t", "c", "y", "x")
    for place in ([0, 0, 0, 0], [1, 2, 10, 20]):
        np.testing.assert_array_equal(labels.data_to_world(place), image.data_to_world(place))
    frames = np.asarray(labels.data[0])
    assert frames.shape == (2, 3, 40, 50) and (frames == frames[:, :1]).all() and frames.any()
    viewer.dims.set_current_step(0, 1)
    np.testing.assert_array_equal(labels._slice.image.raw, frames[1, 0])
    viewer.layers.clear()
    image, labels = viewer.open(str(paths[1]), plugin="napari-runet")
    assert labels.axis_labels == ("y", "x") and labels.data.shape == (40, 50)
    np.testing.assert_array_equal(labels.data_to_world([3, 4]), image.data_to_world([0, 3, 4])[1:])


def test_a_stack_keeps_its_axes_and_other_folders_are_left_to_others(tmp_path):
    stack = write_image(tmp_path / "stack.zarr", np.zeros((2, 2, 3, 40, 50), np.uint16), axes="tczyx")
    ((data, how, kind),) = read(stack)
    assert kind == "image" and data.shape == (2, 2, 3, 40, 50) and not how["rgb"] and not how["multiscale"]
    assert how["axis_labels"] == ["t", "c", "z", "y", "x"] and how["scale"] == [1, 1, 1, 0.5, 0.25]
    assert get_reader(str(tmp_path)) is None and get_reader([str(stack)]) is None
