"""Masks and probabilities on disk: what was written is what is read, with its scale, or a sentence."""

import os
import stat
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import tifffile
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from PIL import Image

from napari_runet.io.images import FileError, read_image
from napari_runet.io.masks import write_mask, write_probabilities

MASK = (np.arange(60, dtype=np.uint8) % 7).reshape(6, 10)


@given(
    labels=hnp.arrays(np.uint8, hnp.array_shapes(min_dims=2, max_dims=2, max_side=40)),
    suffix=st.sampled_from([".tif", ".TIFF", ".png"]),
)
@settings(max_examples=30, deadline=None)
def test_a_mask_comes_back_as_it_was(labels, suffix, tmp_path_factory):
    path = tmp_path_factory.mktemp("masks") / f"mask{suffix}"
    write_mask(path, labels, pixel_size=0.5, unit="um")
    back = read_image(path)
    assert back.dtype == np.uint8
    np.testing.assert_array_equal(back, labels)


def test_transparency_of_a_grey_picture_is_left_out(tmp_path):
    pixels = np.random.default_rng(0).integers(0, 255, (8, 9, 2), np.uint8)
    Image.fromarray(pixels, "LA").save(tmp_path / "a.png")
    np.testing.assert_array_equal(read_image(tmp_path / "a.png"), pixels[..., 0])


def test_tiff_is_compressed_and_carries_the_pixel_size(tmp_path):
    labels = np.zeros((512, 512), np.uint8)
    write_mask(tmp_path / "a.tif", labels, pixel_size=(0.25, 0.5), unit="micrometer")
    assert (tmp_path / "a.tif").stat().st_size < labels.size / 20
    with tifffile.TiffFile(tmp_path / "a.tif") as file:
        tags = file.pages[0].tags
        across, down = (np.divide(*tags[name].value) for name in ("XResolution", "YResolution"))
        assert (1 / down, 1 / across) == (0.25, 0.5)
        assert file.imagej_metadata["unit"] == "um"


@pytest.mark.parametrize(("unit", "stored"), [(None, "pixel"), ("Å", "\\u00c5"), ("degree", "degree")])
def test_any_unit_can_be_named(tmp_path, unit, stored):
    write_mask(tmp_path / "a.tif", MASK, pixel_size=2.0, unit=unit)
    with tifffile.TiffFile(tmp_path / "a.tif") as file:
        assert file.imagej_metadata["unit"] == stored


def test_png_carries_a_metric_pixel_size(tmp_path):
    write_mask(tmp_path / "a.png", MASK, pixel_size=(10.0, 20.0), unit="um")
    with Image.open(tmp_path / "a.png") as image:
        assert image.info["dpi"] == pytest.approx((0.0254 / 20e-6, 0.0254 / 10e-6), rel=1e-4)


@pytest.mark.parametrize("size", [0.0, -1.0, float("nan"), float("inf"), (1.0, 0.0)])
@pytest.mark.parametrize("suffix", [".tif", ".png"])
def test_a_pixel_size_that_is_none_is_left_out(tmp_path, size, suffix):
    write_mask(tmp_path / f"a{suffix}", MASK, pixel_size=size, unit="um")
    np.testing.assert_array_equal(read_image(tmp_path / f"a{suffix}"), MASK)


@pytest.mark.parametrize("shape", [(2, 5, 4), (4, 1, 1), (3, 16, 3), (1, 9, 9)])
def test_probabilities_come_back_exactly(tmp_path, shape):
    values = np.random.default_rng(0).random(shape, np.float32)
    write_probabilities(tmp_path / "p.tif", values)
    with tifffile.TiffFile(tmp_path / "p.tif") as file:
        back = file.asarray()
    assert back.dtype == np.float32
    np.testing.assert_array_equal(back.reshape(shape), values)


def test_wrong_arrays_and_endings_are_refused(tmp_path):
    with pytest.raises(ValueError, match=r"\(Y, X\) uint8"):
        write_mask(tmp_path / "a.tif", MASK.astype(np.int64))
    with pytest.raises(ValueError, match=r"\(C, Y, X\) float32"):
        write_probabilities(tmp_path / "a.tif", MASK[None].astype(np.float64))
    with pytest.raises(FileError, match=r"\.tif or \.png"):
        write_mask(tmp_path / "a.jpg", MASK)
    with pytest.raises(FileError, match=r"written as \.tif"):
        write_probabilities(tmp_path / "a.png", MASK[None].astype(np.float32))
    assert list(tmp_path.iterdir()) == []


def test_a_missing_folder_is_a_sentence(tmp_path):
    with pytest.raises(FileError, match="folder does not exist"):
        write_mask(tmp_path / "nowhere" / "a.tif", MASK)


def test_a_full_disk_is_a_sentence_and_keeps_the_old_mask(small_disk):
    write_mask(small_disk / "a.tif", MASK)
    noise = np.random.default_rng(0).integers(0, 255, (1024, 1024), np.uint8)
    with pytest.raises(FileError, match="disk is full"):
        write_mask(small_disk / "a.tif", noise)
    np.testing.assert_array_equal(read_image(small_disk / "a.tif"), MASK)
    assert [path.name for path in small_disk.iterdir()] == ["a.tif"]


@pytest.mark.skipif(not hasattr(os, "geteuid") or os.geteuid() != 0, reason="needs root to become another user")
def test_no_permission_is_a_sentence(tmp_path):
    folder = tmp_path / "closed"
    folder.mkdir()
    write_mask(folder / "a.tif", MASK)
    program = f"""
import os, sys
from pathlib import Path
import numpy as np
from napari_runet.io.images import FileError
from napari_runet.io.masks import write_mask
os.chdir({str(folder)!r})
os.setuid(65534)
try:
    write_mask(Path("a.tif"), np.ones((4, 4), np.uint8))
except FileError as error:
    print(error)
"""
    folder.chmod(stat.S_IRWXU | stat.S_IROTH | stat.S_IXOTH)
    told = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True).stdout
    assert "no permission to write there" in told
    np.testing.assert_array_equal(read_image(folder / "a.tif"), MASK)
    assert [path.name for path in Path(folder).iterdir()] == ["a.tif"]
