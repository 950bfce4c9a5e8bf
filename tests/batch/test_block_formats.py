"""TIFF and OME-Zarr into OME-Zarr and OME-TIFF, block by block; and disks that are too small."""

import os
import subprocess
from pathlib import Path

import numpy as np
import pytest
import tifffile
import zarr
from PIL import Image

from napari_runet import load_model, segment_files
from napari_runet.batch.output import PRIVATE_FOLDER, Output
from napari_runet.batch.run import plan
from napari_runet.inference import estimating
from napari_runet.inference.many_files import carry_out
from napari_runet.io.images import FileError
from napari_runet.io.large_source import file_source
from napari_runet.settings import SegmentationSettings
from ome_zarr_images import write_image

PIXELS = np.random.default_rng(0).integers(0, 255, (3, 200, 170), np.uint8)
WAYS = {
    "plain": {},
    "packed": {"compression": "zlib", "rowsperstrip": 20},
    "tiles": {"tile": (64, 64), "compression": "zlib"},
}


@pytest.fixture
def model(home):
    return load_model("tiny", "cpu")


@pytest.fixture
def image(tmp_path):
    return write_image(tmp_path / "large.ome.zarr", PIXELS)


@pytest.fixture
def expected(model, image, tmp_path):
    """What the same pixels in OME-Zarr lead to."""
    assert not segment_files(image, model, tmp_path / "zarr", tile_size=64).problems
    return zarr.open_array(tmp_path / "zarr" / "large.ome.zarr" / "labels" / "tiny" / "0", mode="r")[:]


@pytest.fixture
def disk(tmp_path):
    """A disk of 44 kB."""
    folder = tmp_path / "disk"
    folder.mkdir()
    if not hasattr(os, "geteuid") or os.geteuid() != 0:
        pytest.skip("only root can mount a small disk")
    command = ["mount", "-t", "tmpfs", "-o", "size=44k", "tmpfs", str(folder)]
    if subprocess.run(command, check=False).returncode:
        pytest.skip("a small disk cannot be mounted here")
    yield folder
    subprocess.run(["umount", str(folder)], check=True)


@pytest.mark.parametrize("way", WAYS)
def test_any_tiff_leads_to_the_labels_of_the_same_pixels_in_ome_zarr(model, expected, tmp_path, way):
    path = tmp_path / f"{way}.tif"
    tifffile.imwrite(path, PIXELS.transpose(1, 2, 0), photometric="rgb", resolution=(2, 2), resolutionunit=3,
                     **WAYS[way])  # fmt: skip
    tally = segment_files(path, model, tmp_path / "out", tile_size=64, file_format="ome-zarr")
    assert tally.done == 1, tally.problems
    store = tmp_path / "out" / f"{way}.ome.zarr"
    labels = file_source(store / "labels" / "tiny")
    np.testing.assert_array_equal(labels.array(0)[:], expected)
    assert labels.level(0).scale == (0.5, 0.5)
    again = segment_files(path, model, tmp_path / "out", tile_size=64, file_format="ome-zarr")
    assert (again.done, again.skipped) == (0, 1)


def test_ome_tiff_is_tiled_compressed_and_has_levels(model, expected, image, tmp_path, monkeypatch):
    tally = segment_files(image, model, tmp_path / "out", tile_size=64, file_format="ome-tif")
    assert tally.done == 1, tally.problems
    written = tmp_path / "out" / "large.ome.tif"
    with tifffile.TiffFile(written) as file:
        assert file.is_ome and file.is_bigtiff
        [series] = file.series
        assert series.axes == "YX" and series.keyframe.is_tiled and series.keyframe.compression == 8
        np.testing.assert_array_equal(series.asarray(), expected)
        assert 'PhysicalSizeX="0.25"' in file.ome_metadata and 'PhysicalSizeY="0.5"' in file.ome_metadata
    assert not (tmp_path / "out" / "large.ome.zarr").exists()
    assert not list((tmp_path / "out" / PRIVATE_FOLDER).glob("growing-*"))
    again = segment_files(image, model, tmp_path / "out", tile_size=64, file_format="ome-tif")
    assert (again.done, again.skipped) == (0, 1)
    with pytest.raises(FileError, match="leave out --into-image"):
        segment_files(image, model, tmp_path / "out", file_format="ome-tif", into_image=True)


def test_a_stack_of_planes_has_levels_in_ome_tiff_too(model, tmp_path, monkeypatch):
    monkeypatch.setattr("napari_runet.io.ome_zarr_labels.SMALLEST_SIDE", 40)
    stack = np.random.default_rng(1).integers(0, 255, (2, 2, 90, 70), np.uint8)
    path = tmp_path / "stack.ome.tif"
    tifffile.imwrite(path, stack, metadata={"axes": "TZYX"}, photometric="minisblack")
    for kind in ("ome-tif", "ome-zarr"):
        assert segment_files(path, model, tmp_path / "out", tile_size=64, file_format=kind).done == 1
    zarr_labels = file_source(tmp_path / "out" / "stack.ome.zarr" / "labels" / "tiny")
    tiff_labels = file_source(tmp_path / "out" / "stack.ome.tif")
    assert [level.shape for level in tiff_labels.levels] == [(2, 2, 90, 70), (2, 2, 45, 35), (2, 2, 23, 18)]
    for number in range(3):
        found = tiff_labels.array(number)[:, :, :, :]
        np.testing.assert_array_equal(found, zarr_labels.array(number)[:])
    assert tiff_labels.axes == "TZYX" and found.any()


def test_what_is_not_read_in_blocks_is_a_sentence(model, tmp_path):
    Image.fromarray(PIXELS.transpose(1, 2, 0)).save(tmp_path / "a.png")
    tally = segment_files(tmp_path / "a.png", model, tmp_path / "out", file_format="ome-zarr")
    assert "a.png is neither TIFF nor OME-Zarr" in tally.problems[0]
    tifffile.imwrite(tmp_path / "b.tif", PIXELS, photometric="minisblack")
    tally = segment_files(tmp_path / "b.tif", model, tmp_path / "out", file_format="ome-zarr")
    assert "--axes TYX or --axes CYX" in tally.problems[0], "asked, not guessed"
    with tifffile.TiffWriter(tmp_path / "c.tif") as file:
        for side in (30, 40):
            file.write(np.zeros((side, side), np.uint8), photometric="minisblack")
    tally = segment_files(tmp_path / "c.tif", model, tmp_path / "out", file_format="ome-zarr")
    assert "holds 2 images that do not form one stack (30 x 30, 40 x 40)" in tally.problems[0]


def test_a_tiff_replaced_or_cut_off_while_it_is_read_is_told(model, tmp_path, monkeypatch):
    from napari_runet.inference import blocks

    path = tmp_path / "a.tif"
    tifffile.imwrite(path, PIXELS.transpose(1, 2, 0), photometric="rgb")
    do_block, acts = blocks.do_block, []

    def disturbed(task, model):
        end = do_block(task, model)
        if acts:
            acts.pop()()
        return end

    monkeypatch.setattr(blocks, "do_block", disturbed)
    acts.append(lambda: os.utime(path, (0, 0)))
    tally = segment_files(path, model, tmp_path / "out", tile_size=64, file_format="ome-zarr")
    assert "a.tif was replaced while it was read" in tally.problems[0]
    acts.append(lambda: os.truncate(path, 2000))
    tally = segment_files(path, model, tmp_path / "out", tile_size=64, file_format="ome-zarr")
    assert "a.tif" in tally.problems[0] and "cut off" in tally.problems[0], tally.problems
    assert not (tmp_path / "out" / "a.ome.zarr").exists()


def test_a_disk_too_small_for_what_one_block_measures_is_told_before_starting(model, tmp_path, disk, monkeypatch):
    pixels = np.random.default_rng(2).integers(0, 255, (3, 640, 600), np.uint8)
    image = write_image(tmp_path / "noise.ome.zarr", pixels)
    planned = plan([image], Output(folder=disk / "out"), model.card, SegmentationSettings(tile_size=128))
    told = []
    with pytest.raises(FileError, match=r"has .* free, and the results take at least about .*; make room"):
        carry_out(planned, model, estimates=told.append)
    assert not told and not list(Path(disk, "out", PRIVATE_FOLDER).glob("growing-*")), "nothing was begun"
    monkeypatch.setattr(estimating, "check_room", lambda folder, expected: None)
    with pytest.raises(FileError, match="the disk is full; make room"):
        carry_out(planned, model, estimates=told.append)
    assert told and not (disk / "out" / "noise.ome.zarr").exists()
