"""Beginning from label images in a folder: paired by name, checked, and part of what a mask depends on."""

import numpy as np
import pytest
import tifffile
from PIL import Image
from typer.testing import CliRunner

from napari_runet import load_model, segment, segment_files
from napari_runet.cli import app
from napari_runet.io.images import FileError


@pytest.fixture
def model(home):
    return load_model("tiny", "cpu")


@pytest.fixture
def starts(tmp_path, pictures):
    """A start mask for each picture, of which a part is unknown."""
    folder = tmp_path / "starts"
    folder.mkdir()
    for number in (1, 2, 10):
        labels = np.zeros((40, 48 + number), np.uint8)
        labels[10:20], labels[30:] = 1, 255
        Image.fromarray(labels).save(folder / f"picture-{number}.png")
    return folder


def test_masks_begin_from_the_labels_of_their_name(model, pictures, starts, tmp_path, recwarn):
    out = tmp_path / "masks"
    tally = segment_files(pictures, model, out, start=starts)
    assert (tally.done, tally.problems) == (3, [])
    for number in (1, 2, 10):
        image = np.asarray(Image.open(pictures / f"picture-{number}.png"))
        labels = np.asarray(Image.open(starts / f"picture-{number}.png"))
        expected = segment(image, model, start=labels).labels[-1]
        np.testing.assert_array_equal(tifffile.imread(out / f"picture-{number}.tif"), expected)


def test_another_start_mask_is_another_result(model, pictures, starts, tmp_path):
    out = tmp_path / "masks"
    segment_files(pictures, model, out, start=starts)
    assert segment_files(pictures, model, out, start=starts).skipped == 3
    Image.fromarray(np.ones((40, 49), np.uint8)).save(starts / "picture-1.png")
    tally = segment_files(pictures, model, out, start=starts)
    assert (tally.done, tally.skipped) == (1, 2)
    tally = segment_files(pictures, model, out)
    assert (tally.done, tally.skipped) == (3, 0)


def test_each_plane_of_a_stack_begins_from_its_own(model, tmp_path):
    rng = np.random.default_rng(2)
    stack, labels = rng.integers(0, 255, (3, 40, 50), np.uint8), rng.integers(0, 2, (3, 40, 50), np.uint8)
    (tmp_path / "in").mkdir()
    (tmp_path / "starts").mkdir()
    tifffile.imwrite(tmp_path / "in" / "a.tif", stack, metadata={"axes": "ZYX"})
    tifffile.imwrite(tmp_path / "starts" / "a.tif", labels, photometric="minisblack")
    assert segment_files(tmp_path / "in", model, tmp_path / "out", start=tmp_path / "starts").done == 1
    found = tifffile.imread(tmp_path / "out" / "a.tif")
    for plane, begun, mask in zip(stack, labels, found, strict=True):
        np.testing.assert_array_equal(mask, segment(plane, model, start=begun).labels[-1])


@pytest.mark.parametrize(
    "labels,says",
    [
        (np.zeros((40, 50), np.uint8), "is 40 x 50, the image is 40 x 49"),
        (np.full((40, 49), 7, np.uint8), "has label 7"),
        (np.full((40, 49), 255, np.uint8), "knows no pixel"),
    ],
)
def test_a_start_mask_that_cannot_be_is_a_sentence_and_the_others_go_on(home, pictures, starts, tmp_path, labels, says):
    Image.fromarray(labels).save(starts / "picture-1.png")
    result = CliRunner().invoke(
        app, ["segment", str(pictures), "--model", "tiny", "--output", str(tmp_path / "m"), "--start", str(starts)]
    )
    assert result.exit_code == 1 and says in " ".join(result.output.split())
    assert "was not trained to go on from a mask" in " ".join(result.output.split())
    assert sorted(path.name for path in (tmp_path / "m").glob("*.tif")) == ["picture-10.tif", "picture-2.tif"]


def test_what_is_missing_or_doubtful_is_told_before_anything_is_written(model, pictures, starts, tmp_path):
    out = tmp_path / "masks"
    with pytest.raises(FileError, match="no folder"):
        segment_files(pictures, model, out, start=tmp_path / "none")
    with pytest.raises(FileError, match="choose one"):
        segment_files(pictures, model, out, start=starts, follow_time=True)
    with pytest.raises(FileError, match=r"block by block .*picture-1\.png.*--start"):
        segment_files(pictures, model, out, start=starts, file_format="ome-tif")
    (starts / "picture-2.tif").write_bytes(b"")
    with pytest.raises(FileError, match="remove one"):
        segment_files(pictures, model, out, start=starts)
    for path in starts.glob("picture-2.*"):
        path.unlink()
    with pytest.raises(FileError, match=r"picture-2\.png has no start mask"):
        segment_files(pictures, model, out, start=starts)
    assert not out.exists()
