"""TIFF read in parts gives what tifffile gives whole."""

import numpy as np
import pytest
import tifffile
import zarr
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import Image

from napari_runet.io import tiff
from napari_runet.io.images import FileError, read_image
from napari_runet.io.opening import image_shape, open_image
from napari_runet.io.tiff import PagedArray, PlainArray

WAYS = {
    "plain": {},
    "packed": {"compression": "zlib"},
    "big-endian": {"byteorder": ">"},
    "tiles": {"tile": (16, 32), "compression": "zlib"},
    "strips": {"rowsperstrip": 3},
}
AXES = {"YX": (37, 29), "TYX": (4, 17, 19), "ZCYX": (3, 2, 16, 11), "YXS": (20, 21, 3), "SYX": (3, 20, 21)}


@st.composite
def keys(draw, axes):
    key = []
    for letter, size in zip(axes, AXES[axes], strict=True):
        start = draw(st.integers(0, size - 1))
        stop = draw(st.integers(start + 1, size))
        part = slice(start, stop, draw(st.sampled_from([None, 1, 2, 5]))) if letter in "YX" else slice(start, stop)
        key.append(draw(st.sampled_from([start, slice(None)])) if letter in "TZ" else part)
    return tuple(key)


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data(), axes=st.sampled_from(sorted(AXES)), way=st.sampled_from(sorted(WAYS)),
       dtype=st.sampled_from(["u1", "u2", "f4"]), imagej=st.booleans())  # fmt: skip
def test_any_part_of_any_kind_of_file(tmp_path_factory, data, axes, way, dtype, imagej):
    path = tmp_path_factory.mktemp("tiff") / "a.tif"
    array = np.random.default_rng(0).integers(0, 200, AXES[axes]).astype(dtype)
    colours = {"photometric": "rgb" if "S" in axes else "minisblack"}
    if axes == "SYX":
        colours["planarconfig"] = "separate"
    if imagej and "S" not in axes and way in ("plain", "packed", "strips"):
        colours["imagej"] = True
    tifffile.imwrite(path, array, metadata={"axes": axes}, **WAYS[way], **colours)
    key = data.draw(keys(axes))
    with open_image(path) as opened:
        assert opened.array.shape == array.shape and opened.axes == axes
        found = opened.array[key]
        assert isinstance(opened.array, PlainArray | PagedArray)
        np.testing.assert_array_equal(found, array[key])
    assert image_shape(path) == (array.shape, array.dtype)


def test_pixel_sizes_by_imagej_ome_and_plain_tags(tmp_path):
    pixels = np.zeros((20, 30), np.uint8)
    tifffile.imwrite(tmp_path / "j.tif", pixels, imagej=True, resolution=(4, 2), metadata={"unit": "um"})
    tifffile.imwrite(tmp_path / "o.ome.tif", pixels, metadata={
        "axes": "YX", "PhysicalSizeX": 0.25, "PhysicalSizeXUnit": "µm", "PhysicalSizeY": 0.5})  # fmt: skip
    tifffile.imwrite(tmp_path / "d.ome.tif", pixels, metadata={
        "axes": "YX", "PhysicalSizeX": "0,25", "PhysicalSizeY": 0.5})  # fmt: skip
    tifffile.imwrite(tmp_path / "t.tif", pixels, resolution=(100, 50), resolutionunit="CENTIMETER")
    tifffile.imwrite(tmp_path / "n.tif", pixels)
    found = {}
    for path in tmp_path.iterdir():
        with open_image(path) as opened:
            found[path.name[0]] = (opened.pixel_size, opened.unit)
    assert found == {
        "j": ((0.5, 0.25), "um"), "o": ((0.5, 0.25), "µm"), "t": ((0.02, 0.01), "cm"), "n": (None, None),
        "d": (None, None),
    }  # fmt: skip


def test_a_scanner_files_side_pictures_and_levels_are_not_the_image(tmp_path):
    path = tmp_path / "slide.tif"
    image = np.random.default_rng(0).integers(0, 255, (64, 80, 3), np.uint8)
    with tifffile.TiffWriter(path) as file:
        file.write(image, photometric="rgb", metadata=None, tile=(32, 32))
        file.write(image[::2, ::2], photometric="rgb", metadata=None, subfiletype=1)
    with open_image(path) as opened:
        np.testing.assert_array_equal(opened.array[:, :, :], image)


def test_a_huge_tiled_page_is_read_by_its_tiles(tmp_path, monkeypatch):
    monkeypatch.setattr(tiff, "HUGE_PAGE", 100)
    image = np.random.default_rng(0).integers(0, 255, (90, 80, 3), np.uint8)
    tifffile.imwrite(tmp_path / "huge.tif", image, tile=(32, 32), compression="zlib", photometric="rgb")
    with open_image(tmp_path / "huge.tif") as opened:
        assert isinstance(opened.array, zarr.Array) and opened.axes == "YXS"
        np.testing.assert_array_equal(opened.array[20:70, 10:50, :], image[20:70, 10:50])


def test_damaged_and_odd_files_are_sentences(tmp_path):
    rng = np.random.default_rng(0)
    stack = rng.integers(0, 255, (3, 64, 64), np.uint8)
    tifffile.imwrite(tmp_path / "packed.tif", stack, compression="zlib", photometric="minisblack")
    with tifffile.TiffFile(tmp_path / "packed.tif") as file:
        start = file.pages[2].dataoffsets[0]
    raw = bytearray((tmp_path / "packed.tif").read_bytes())
    raw[start : start + 50] = b"\0" * 50
    (tmp_path / "packed.tif").write_bytes(raw)
    with open_image(tmp_path / "packed.tif") as opened:
        np.testing.assert_array_equal(opened.array[1, :, :], stack[1])
        with pytest.raises(FileError, match="page 3, cannot be read"):
            opened.array[2, :, :]
    tifffile.imwrite(tmp_path / "cut.tif", stack, photometric="minisblack")
    (tmp_path / "cut.tif").write_bytes((tmp_path / "cut.tif").read_bytes()[: 3 * 64 * 64])
    with open_image(tmp_path / "cut.tif") as opened, pytest.raises(FileError, match="cut off"):
        opened.array[2, :, :]
    frames = [Image.fromarray(frame) for frame in stack]
    frames[0].save(tmp_path / "moving.gif", save_all=True, append_images=frames[1:])
    with pytest.raises(FileError, match="holds 3 pictures"), open_image(tmp_path / "moving.gif"):
        pass
    for name, content in (("empty.tif", b""), ("text.tif", b"text"), ("text.png", b"text")):
        (tmp_path / name).write_bytes(content)
        with pytest.raises(FileError), open_image(tmp_path / name):
            pass
        with pytest.raises(FileError):
            image_shape(tmp_path / name)


def test_a_photograph_with_a_preview_behind_it_is_one_picture(tmp_path):
    photograph, preview = (Image.new("RGB", size, "red") for size in ((50, 40), (25, 20)))
    photograph.save(tmp_path / "camera.jpg", format="MPO", save_all=True, append_images=[preview])
    with open_image(tmp_path / "camera.jpg") as opened:
        assert opened.array.shape == (40, 50, 3)


def _with_tag(raw, code, value):
    """A little-endian TIFF with another value in a tag of its first page."""
    start = int.from_bytes(raw[4:8], "little")
    for entry in range(start + 2, start + 2 + 12 * int.from_bytes(raw[start : start + 2], "little"), 12):
        if int.from_bytes(raw[entry : entry + 2], "little") == code:
            return raw[: entry + 8] + value.to_bytes(4, "little") + raw[entry + 12 :]
    raise AssertionError(f"no tag {code}")


@pytest.mark.parametrize("damage", ["no rows", "data", "cut off"])
def test_damaged_files_are_a_sentence_however_they_are_read(tmp_path, damage):
    path = tmp_path / "a.tif"
    tifffile.imwrite(path, np.random.default_rng(0).integers(0, 255, (40, 50, 3), np.uint8), compression="zlib")
    raw = path.read_bytes()
    damaged = {
        "no rows": _with_tag(raw, 257, 0),
        "data": raw[:-400] + bytes(20) + raw[-380:],
        "cut off": raw[:-100],
    }
    path.write_bytes(damaged[damage])
    with pytest.raises(FileError, match=r"a\.tif"):
        read_image(path)
    with pytest.raises(FileError, match=r"a\.tif"), open_image(path) as opened:
        opened.array[:, :, :]
    if damage == "no rows":
        with pytest.raises(FileError, match=r"a\.tif"):
            image_shape(path)
