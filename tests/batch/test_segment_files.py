"""A folder of images into a folder of masks: repeated, interrupted, tampered with, and full of broken files."""

import csv
import errno
import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import tifffile
from PIL import Image

from napari_runet import load_model, segment, segment_files
from napari_runet.batch import run as batch_run
from napari_runet.batch.output import PRIVATE_FOLDER, Output
from napari_runet.batch.record import FinishedImage, How
from napari_runet.batch.record_file import RECORD_FILE, RecordFile
from napari_runet.batch.summary import write_summary
from napari_runet.batch.thumbnails import thumbnail_path
from napari_runet.inference import files
from napari_runet.io.images import FileError
from napari_runet.models.card import ClassInfo, ModelCard, NetworkConfig
from napari_runet.settings import SegmentationSettings


@pytest.fixture
def model(home):
    return load_model("tiny", "cpu")


@pytest.fixture
def out(tmp_path):
    return tmp_path / "masks"


def counts(tally):
    return tally.done, tally.skipped, len(tally.problems)


def contents(folder):
    return {path.name: path.read_bytes() for path in folder.glob("*.tif")}


def rows(folder):
    with (folder / "summary.csv").open(encoding="utf-8-sig", newline="") as stream:
        return list(csv.DictReader(stream))


def test_a_second_run_does_nothing_and_a_changed_image_alone_is_done_anew(model, pictures, out):
    assert counts(segment_files(pictures, model, out)) == (3, 0, 0)
    before = contents(out)
    stamps = {path: path.stat().st_mtime_ns for path in out.glob("*.tif")}
    assert counts(segment_files([f"{pictures}/*.png"], model, out)) == (0, 3, 0)
    assert {path: path.stat().st_mtime_ns for path in out.glob("*.tif")} == stamps

    shutil.copy(pictures / "picture-2.png", pictures / "picture-1.png")
    assert counts(segment_files(pictures, model, out)) == (1, 2, 0)
    assert contents(out) == before | {"picture-1.tif": before["picture-2.tif"]}
    (out / "picture-10.tif").unlink()
    assert counts(segment_files(pictures, model, out)) == (1, 2, 0)


def test_another_model_or_setting_is_another_result_and_overwrite_does_all(home, model, pictures, out):
    segment_files(pictures, model, out)
    assert counts(segment_files(pictures, model, out, threshold=0.3)) == (3, 0, 0)
    assert counts(segment_files(pictures, model, out, threshold=0.3, iterations=1)) == (3, 0, 0)
    assert counts(segment_files(pictures, model, out, threshold=0.3, iterations=1, overwrite=True)) == (3, 0, 0)
    assert counts(segment_files(pictures, model, out, threshold=0.3, iterations=1)) == (0, 3, 0)


def test_the_summary_tells_of_each_file_what_was_measured(model, pictures, out):
    (pictures / "picture-3.png").write_text("no image")
    tally = segment_files(pictures, model, out)
    assert counts(tally) == (3, 0, 1) and "picture-3.png" in tally.problems[0]
    table = rows(out)
    assert [Path(row["file"]).name for row in table] == [f"picture-{n}.png" for n in (1, 2, 3, 10)]
    for row in (table[0], table[1], table[3]):
        mask = tifffile.imread(row["mask"])
        expected = segment(np.asarray(Image.open(row["file"])), model).labels[-1]
        np.testing.assert_array_equal(mask, expected)
        assert (int(row["pixels"]), int(row["foreground_pixels"])) == (mask.size, np.count_nonzero(mask))
        assert float(row["foreground_share"]) == pytest.approx(np.count_nonzero(mask) / mask.size, abs=1e-6)
        assert (row["model"], row["error"], row["planes"]) == ("tiny", "", "1") and float(row["seconds"]) > 0
    assert table[2]["error"] == tally.problems[0] and table[2]["pixels"] == ""
    with Image.open(thumbnail_path(out, "picture-1")) as thumbnail:
        assert thumbnail.size == (49, 40)


def test_a_class_called_foreground_does_not_hide_the_sum_in_the_summary(tmp_path):
    classes = [ClassInfo(name=name, color="#ffffff") for name in ("background", "foreground", "other")]
    network = NetworkConfig(classes=3)
    card = ModelCard(id="tiny", title="Tiny", sentence="For a test.", network=network, classes=tuple(classes))
    entry = FinishedImage(
        name="a", image="a.png", image_sha256="0", how=How.of(card, SegmentationSettings(), Output(folder=tmp_path)),
        files={"a.tif": "0"}, planes=1, pixels=100, foreground=(10, 20), classes=("foreground", "other"), seconds=1.0,
        read_as="YX", asked=False,
    )  # fmt: skip
    write_summary(tmp_path, [entry])
    [row] = rows(tmp_path)
    assert (row["foreground_pixels"], row["other_pixels"]) == ("30", "20")
    assert row["class_foreground_pixels"] == "10"


def test_a_summary_that_cannot_be_replaced_keeps_no_image_from_being_segmented(model, pictures, out, monkeypatch):
    """As on Windows while a spreadsheet has it open."""
    monkeypatch.setattr(batch_run, "SUMMARY_SECONDS", 0.0)
    (out / "summary.csv").mkdir(parents=True)
    with pytest.raises(FileError, match=r"summary\.csv cannot be written.*run the same command again"):
        segment_files(pictures, model, out)
    (out / "summary.csv").rmdir()
    assert counts(segment_files(pictures, model, out)) == (0, 3, 0)
    assert len(rows(out)) == 3


def test_several_classes_are_counted_each(home, pictures, tmp_path, out):
    grey = tmp_path / "grey.tif"
    tifffile.imwrite(grey, np.random.default_rng(2).integers(0, 4000, (60, 50), np.uint16))
    segment_files(grey, "tiny-classes", out)
    [row], mask = rows(out), tifffile.imread(out / "grey.tif")
    assert [int(row[f"class {k}_pixels"]) for k in (1, 2)] == [np.count_nonzero(mask == k) for k in (1, 2)]


def test_nobodys_work_is_replaced_unless_that_is_asked_for(model, pictures, out):
    out.mkdir()
    (out / "picture-1.tif").write_bytes(b"somebody's")
    tally = segment_files(pictures, model, out)
    assert counts(tally) == (2, 0, 1) and "not written by this batch" in tally.problems[0]
    assert (out / "picture-1.tif").read_bytes() == b"somebody's"

    corrected = tifffile.imread(out / "picture-2.tif")
    corrected[:5] = 1 - corrected[:5]
    tifffile.imwrite(out / "picture-2.tif", corrected)
    assert counts(segment_files(pictures, model, out)) == (0, 2, 1), "finished, and corrected since"
    tally = segment_files(pictures, model, out, threshold=0.2)
    assert counts(tally) == (1, 0, 2) and any("was changed since" in text for text in tally.problems)
    np.testing.assert_array_equal(tifffile.imread(out / "picture-2.tif"), corrected)
    again = segment_files(pictures, model, out, threshold=0.2)
    assert counts(again) == (0, 1, 2), "a refusal does not make one forget who wrote what"

    assert counts(segment_files(pictures, model, out, threshold=0.2, overwrite=True)) == (3, 0, 0)
    assert len(contents(out)) == 3 and b"somebody's" not in contents(out).values()


KILLED = """
import os, signal, sys
from napari_runet import segment_files
from napari_runet.inference import stacks
write, count = stacks.write_mask, 0
def write_and_die(path, *rest, **options):
    global count
    count += 1
    if count == int(sys.argv[3]):
        path.with_name(f".{path.name}.{os.getpid()}.partial").write_bytes(b"half")
        os.kill(os.getpid(), signal.SIGKILL)
    write(path, *rest, **options)
stacks.write_mask = write_and_die
segment_files(sys.argv[1], "tiny", sys.argv[2], all_iterations=True)
"""


@pytest.mark.skipif(sys.platform == "win32", reason="there is no SIGKILL")
def test_after_kill_9_in_the_middle_of_an_image_the_rest_is_done_and_equal(model, pictures, out, tmp_path):
    command = [sys.executable, "-c", KILLED, pictures, out, "7"]  # the third of four files of the second picture
    assert subprocess.run(command, check=False).returncode == -signal.SIGKILL
    assert len(list(out.glob(".*.partial"))) == 1 and len(list(out.glob("*.tif"))) == 6
    assert counts(segment_files(pictures, model, out, all_iterations=True)) == (2, 1, 0)
    assert not list(out.rglob("*.partial")) and not list((out / PRIVATE_FOLDER).glob("scratch-*"))
    segment_files(pictures, model, tmp_path / "whole", all_iterations=True)
    assert contents(out) == contents(tmp_path / "whole") and len(contents(out)) == 12


def test_two_runs_on_one_output_are_refused_and_a_dead_one_holds_nothing(model, pictures, out):
    out.mkdir()
    held = RecordFile(out)
    with pytest.raises(FileError, match="Another run writes into"):
        segment_files(pictures, model, out)
    assert not contents(out)
    held.close()
    assert counts(segment_files(pictures, model, out)) == (3, 0, 0)


def test_a_file_replaced_while_it_is_read_is_told_and_nothing_is_written(model, pictures, out, monkeypatch):
    segment_stack = files.segment_stack

    def replace_meanwhile(image, *rest):
        masks = segment_stack(image, *rest)
        shutil.copy(pictures / "picture-10.png", pictures / "picture-2.png")
        return masks

    monkeypatch.setattr(files, "segment_stack", replace_meanwhile)
    tally = segment_files(pictures / "picture-2.png", model, out)
    assert "was replaced while it was read" in tally.problems[0] and not contents(out)
    monkeypatch.undo()
    assert counts(segment_files(pictures / "picture-2.png", model, out)) == (1, 0, 0)


def test_a_full_disk_stops_the_run_and_what_was_finished_stays(model, pictures, out, monkeypatch):
    from napari_runet.inference import stacks

    write = stacks.write_mask

    def no_room(path, *rest, **options):
        if path.name == "picture-2.tif":
            raise FileError(f"{path} cannot be written") from OSError(errno.ENOSPC, "full")
        write(path, *rest, **options)

    monkeypatch.setattr(stacks, "write_mask", no_room)
    with pytest.raises(FileError, match="What was finished stays"):
        segment_files(pictures, model, out)
    assert list(contents(out)) == ["picture-1.tif"]
    monkeypatch.undo()
    assert counts(segment_files(pictures, model, out)) == (2, 1, 0)


def test_too_little_room_is_found_before_starting(model, pictures, out, monkeypatch):
    usage = shutil.disk_usage(out.parent)
    monkeypatch.setattr(shutil, "disk_usage", lambda path: usage._replace(free=10))
    with pytest.raises(FileError, match="10 bytes free"):
        segment_files(pictures, model, out)
    assert not contents(out)


def test_a_damaged_or_newer_record_is_a_sentence_and_a_cut_line_is_not(model, pictures, out):
    segment_files(pictures, model, out)
    record = out / PRIVATE_FOLDER / RECORD_FILE
    whole = record.read_bytes()
    record.write_bytes(whole[:-20])
    assert counts(segment_files(pictures, model, out)) == (0, 2, 1), "the mask of the line that is lost is not ours"
    record.write_bytes(whole.replace(b'"version": 1', b'"version": 2'))
    with pytest.raises(FileError, match="newer version"):
        segment_files(pictures, model, out)
    record.write_bytes(whole.replace(b'"seconds"', b'"second"', 1))
    with pytest.raises(FileError, match="is damaged; remove it"):
        segment_files(pictures, model, out)
    record.unlink()
    assert counts(segment_files(pictures, model, out)) == (0, 0, 3)
    assert counts(segment_files(pictures, model, out, overwrite=True)) == (3, 0, 0)


def test_stacks_become_stacks_of_masks_plane_by_plane(model, tmp_path, out):
    rng = np.random.default_rng(0)
    frames = rng.integers(0, 255, (2, 3, 36, 44), np.uint8)
    path = tmp_path / "movie.tif"
    tifffile.imwrite(path, frames, imagej=True, metadata={"axes": "TCYX", "unit": "um"}, resolution=(4, 2))
    tally = segment_files(path, model, out, all_iterations=True, probabilities=True)
    assert counts(tally) == (1, 0, 0), tally.problems
    expected = [segment(frame.transpose(1, 2, 0), model) for frame in frames]
    with tifffile.TiffFile(out / "movie.tif") as file:
        assert file.series[0].axes == "TYX" and file.imagej_metadata["unit"] == "um"
        assert file.pages[0].tags["XResolution"].value[0] / file.pages[0].tags["XResolution"].value[1] == 4
        np.testing.assert_array_equal(file.asarray(), [each.labels[-1] for each in expected])
    for t in (1, 2, 3):
        found = tifffile.imread(out / f"movie_iteration{t}.tif")
        np.testing.assert_array_equal(found, [each.labels[t - 1] for each in expected])
    probabilities = tifffile.imread(out / "movie_probabilities.tif")
    np.testing.assert_allclose(probabilities, [each.probabilities[-1] for each in expected], atol=1e-6)
    [row] = rows(out)
    assert (row["planes"], row["pixels"]) == ("2", str(2 * 36 * 44))
    assert int(row["foreground_pixels"]) == sum(np.count_nonzero(each.labels[-1]) for each in expected)


def test_stacks_that_cannot_be_are_sentences(model, tmp_path, out):
    mixed, unclear, dark = (tmp_path / f"{name}.tif" for name in ("mixed", "unclear", "dark"))
    with tifffile.TiffWriter(mixed) as file:
        file.write(np.zeros((40, 50), np.uint8), metadata=None)
        file.write(np.zeros((40, 51), np.uint8), metadata=None)
    tifffile.imwrite(unclear, np.zeros((3, 40, 50), np.uint8), photometric="minisblack")
    bright = np.random.default_rng(0).random((2, 40, 50)).astype(np.float32)
    bright[1] = np.nan
    tifffile.imwrite(dark, bright, metadata={"axes": "TYX"}, photometric="minisblack")
    tally = segment_files([mixed, unclear, dark], model, out)
    assert "do not form one stack (40 x 50, 40 x 51)" in tally.problems[0]
    assert "--axes TYX or --axes CYX" in tally.problems[1]
    assert "Plane 2 of 2" in tally.problems[2]
    assert not contents(out)
    assert counts(segment_files(unclear, model, out, axes="TYX")) == (1, 0, 0)
    png = segment_files(unclear, model, tmp_path / "png", axes="TYX", file_format="png")
    assert "written as .tif" in png.problems[0]


@pytest.mark.skipif(not hasattr(os, "geteuid") or os.geteuid() != 0, reason="needs root to mount a small disk")
def test_a_disk_that_is_really_full_leaves_no_half_file(model, tmp_path):
    disk = tmp_path / "disk"
    disk.mkdir()
    if subprocess.run(["mount", "-t", "tmpfs", "-o", "size=64k", "tmpfs", disk], check=False).returncode:
        pytest.skip("mounting is not allowed here")
    try:
        path = tmp_path / "large.tif"
        tifffile.imwrite(path, np.random.default_rng(0).integers(0, 255, (300, 400), np.uint8))
        with pytest.raises(FileError, match="full"):
            segment_files(path, model, disk)
        assert not list(disk.rglob("*.tif*")) and not list(disk.rglob("*.partial"))
    finally:
        subprocess.run(["umount", disk], check=True)
