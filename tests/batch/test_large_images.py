"""OME-Zarr images into OME-Zarr labels: block by block, killed, damaged, replaced, and into the image itself."""

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
import torch
import zarr

from napari_runet import load_model, segment_files
from napari_runet.batch.output import PRIVATE_FOLDER
from napari_runet.batch.record_file import RecordFile
from napari_runet.batch.thumbnails import thumbnail_path
from napari_runet.images.axes import Axes
from napari_runet.images.image_input import ImageInput
from napari_runet.inference import blocks, large_image, large_images
from napari_runet.inference.segmenter import iterate
from napari_runet.inference.viewing import plane_intensities
from napari_runet.io.images import FileError
from napari_runet.io.ome_zarr_labels import GrowingLabels
from napari_runet.settings import SegmentationSettings
from ome_zarr_images import MODELS, chunk_files, write_image

PIXELS = np.random.default_rng(0).integers(0, 255, (3, 200, 170), np.uint8)
CORE, HALO, BLOCKS = 64, 64, 12


@pytest.fixture
def model(home):
    return load_model("tiny", "cpu")


@pytest.fixture
def image(tmp_path):
    return write_image(tmp_path / "large.ome.zarr", PIXELS, levels=2)


@pytest.fixture
def out(tmp_path):
    return tmp_path / "masks"


@pytest.fixture
def done(monkeypatch):
    """The numbers of the blocks that are computed."""
    numbers = []
    do_block = blocks.do_block

    def counted(task, model):
        numbers.append(task.block.number)
        return do_block(task, model)

    monkeypatch.setattr(blocks, "do_block", counted)
    return numbers


def run(image, model, out, **options):
    return segment_files(image, model, out, **{"tile_size": CORE, **options})


def counts(tally):
    return tally.done, tally.skipped, len(tally.problems)


def labels_in(store, name="tiny", level=0):
    return zarr.open_array(Path(store) / "labels" / name / str(level), mode="r")[:]


def files_in(folder):
    return {path.relative_to(folder): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def expected_of(plane, model, intensities=None):
    """Labels (Y, X) of (C, Y, X), computed from crops of the plane one by one."""
    whole = ImageInput.from_array(plane.transpose(1, 2, 0), axes=Axes("YXC"))
    intensities = intensities or plane_intensities(model.card, whole, ())
    mask = np.zeros(plane.shape[1:], np.uint8)
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    for y in range(0, mask.shape[0], CORE):
        for x in range(0, mask.shape[1], CORE):
            top, left = max(0, y - HALO), max(0, x - HALO)
            crop = plane[:, top : y + CORE + HALO, left : x + CORE + HALO].transpose(1, 2, 0)
            settings = SegmentationSettings(tile_size=1024)
            part = ImageInput.from_array(crop, axes=Axes("YXC"))
            *_, last = iterate(part, model, settings, intensities=intensities, quantised=True)
            found = last.foreground[0] >= np.ceil(255 * model.card.threshold)
            mask[y : y + CORE, x : x + CORE] = found[y - top : y - top + CORE, x - left : x - left + CORE]
    torch.set_num_threads(before)
    return mask


@pytest.mark.parametrize("version", ["0.4", "0.5"])
def test_each_block_is_what_its_pixels_and_their_halo_give(model, tmp_path, out, version):
    image = write_image(tmp_path / "large.ome.zarr", PIXELS, version=version)
    tally = run(image, model, out)
    assert counts(tally) == (1, 0, 0), tally.problems
    store = out / "large.ome.zarr"
    mask = labels_in(store)
    np.testing.assert_array_equal(mask, expected_of(PIXELS, model))
    assert 0.01 < mask.mean() < 0.99
    MODELS[version].Labels.from_zarr(zarr.open_group(store / "labels", mode="r"))
    label = MODELS[version].ImageLabel.from_zarr(zarr.open_group(store / "labels" / "tiny", mode="r"))
    said = label.attributes.ome if version == "0.5" else label.attributes
    assert said.multiscales[0].datasets[0].coordinateTransformations[0].scale == [0.5, 0.25]
    [row] = csv.DictReader((out / "summary.csv").open(encoding="utf-8-sig", newline=""))
    assert (row["pixels"], row["foreground_pixels"]) == (str(mask.size), str(int(mask.sum())))
    assert Path(row["mask"]) == store / "labels" / "tiny" and not row["error"]
    assert thumbnail_path(out, "large").is_file()
    assert not list((out / PRIVATE_FOLDER).glob("growing-*"))


def test_planes_come_one_after_another_each_with_intensities_of_its_own(model, tmp_path, out):
    stack = np.random.default_rng(1).integers(0, 200, (2, 3, 2, 80, 70), np.uint16)
    stack[1] *= 50
    image = write_image(tmp_path / "stack.zarr", stack, axes="tczyx")
    assert counts(run(image, model, out)) == (1, 0, 0)
    mask = labels_in(out / "stack.ome.zarr")
    assert mask.shape == (2, 2, 80, 70)
    for t in range(2):
        for z in range(2):
            np.testing.assert_array_equal(mask[t, z], expected_of(stack[t, :, z], model))


def test_a_level_is_chosen_and_the_labels_lie_on_it(model, image, out):
    assert counts(run(image, model, out, level=1)) == (1, 0, 0)
    store = out / "large.ome.zarr"
    np.testing.assert_array_equal(labels_in(store), expected_of(PIXELS[:, ::2, ::2], model))
    [multiscale] = zarr.open_group(store / "labels" / "tiny", mode="r").attrs["ome"]["multiscales"]
    assert multiscale["datasets"][0]["coordinateTransformations"] == [{"type": "scale", "scale": [1.0, 0.5]}]
    assert "and none with number 7" in run(image, model, out, level=7).problems[0]


def test_what_is_finished_is_not_done_again_and_nobodys_work_is_replaced(model, image, out, done, tmp_path):
    run(image, model, out)
    assert sorted(done) == list(range(BLOCKS))
    assert counts(run(image, model, out)) == (0, 1, 0) and len(done) == BLOCKS
    chunk = chunk_files(out / "large.ome.zarr" / "labels" / "tiny")[0]
    mask = zarr.open_array(out / "large.ome.zarr" / "labels" / "tiny" / "0", mode="r+")
    mask[:10] = 1 - mask[:10]
    corrected = chunk.read_bytes()
    tally = run(image, model, out, threshold=0.3)
    assert "was changed since it was written" in tally.problems[0] and chunk.read_bytes() == corrected
    assert counts(run(image, model, out, threshold=0.3, overwrite=True)) == (1, 0, 0)
    assert chunk.read_bytes() != corrected


KILLED = """
import os, signal, sys
from napari_runet import segment_files
from napari_runet.batch import block_record
add, count = block_record.BlockRecord.add, 0
def add_and_die(record, block):
    global count
    count += 1
    if count == 6:  # its labels are written, and the record does not know
        os.kill(os.getpid(), signal.SIGKILL)
    add(record, block)
block_record.BlockRecord.add = add_and_die
segment_files(sys.argv[1], "tiny", sys.argv[2], tile_size=64)
"""


@pytest.mark.skipif(sys.platform == "win32", reason="there is no SIGKILL")
def test_after_kill_9_finished_blocks_are_kept_and_the_labels_are_those_of_an_uninterrupted_run(
    model, image, out, done, tmp_path
):
    command = [sys.executable, "-c", KILLED, image, out]
    assert subprocess.run(command, check=False).returncode == -signal.SIGKILL
    assert not (out / "large.ome.zarr").exists()
    [growing] = (folder for folder in (out / PRIVATE_FOLDER).glob("growing-*") if folder.is_dir())
    record = growing.with_suffix(".jsonl")
    assert len(record.read_bytes().splitlines()) == 6
    record.write_bytes(record.read_bytes() + b'{"number": 11, "cou')  # cut off by a crash
    first = int(record.read_bytes().splitlines()[1].split(b'"number":')[1].split(b",")[0])
    row, column = divmod(first, 3)
    (growing / "0" / "c" / str(row) / str(column)).unlink(missing_ok=True)
    labels = GrowingLabels(growing)
    labels.write((), row * CORE, column * CORE, np.full((8, 8), 7, np.uint8))  # damaged after it was recorded
    assert counts(run(image, model, out)) == (1, 0, 0)
    assert len(done) == BLOCKS - 5 + 1 and first in done
    run(image, model, tmp_path / "whole")
    made, whole = (files_in(folder / "large.ome.zarr") for folder in (out, tmp_path / "whole"))
    assert made == whole and len(made) > BLOCKS


@pytest.mark.parametrize("file_format", ["ome-zarr", "ome-tif"])
def test_a_run_that_is_ended_while_its_labels_are_digested_loses_no_block(
    model, image, out, done, monkeypatch, file_format
):
    def ended(path):
        raise KeyboardInterrupt

    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr(large_images, "digest_of", ended)
        run(image, model, out, file_format=file_format)
    assert len(done) == BLOCKS
    assert counts(run(image, model, out, file_format=file_format)) == (1, 0, 0)
    assert counts(run(image, model, out, file_format=file_format)) == (0, 1, 0)
    assert len(done) == BLOCKS


def test_blocks_of_another_content_or_model_are_not_gone_on_with(model, image, out, done, monkeypatch):
    write = GrowingLabels.write

    def no_room(labels, index, y, x, mask):
        if (y, x) == (64, 64):
            raise OSError(errno.ENOSPC, "full")
        write(labels, index, y, x, mask)

    with monkeypatch.context() as patch, pytest.raises(FileError, match=r"full; make room .* What was finished stays"):
        patch.setattr(GrowingLabels, "write", no_room)
        run(image, model, out)
    kept = len(done)
    assert kept >= 4
    assert counts(run(image, model, out, threshold=0.3)) == (1, 0, 0)
    assert len(done) == kept + BLOCKS
    run(image, model, out.with_name("other"), threshold=0.3)
    assert files_in(out / "large.ome.zarr") == files_in(out.with_name("other") / "large.ome.zarr")


def test_an_unreadable_chunk_costs_its_blocks_and_the_rest_is_kept(model, image, out, done, monkeypatch):
    chunk = image / "0" / "c" / "0" / "6" / "5"  # rows 192 on, columns 160 on
    whole = chunk.read_bytes()
    chunk.write_bytes(b"xx" + whole[2:])
    monkeypatch.setattr(large_image, "READ_SIDE", 32)
    tally = run(image, model, out)
    assert f"4 of {BLOCKS} blocks of {image} could not be segmented; the others are kept" in tally.problems[0]
    assert "Zstd" in tally.problems[0] and "large.ome.zarr/0 cannot be read at" in tally.problems[0]
    assert counts(tally) == (0, 0, 1) and not (out / "large.ome.zarr").exists()
    assert len(done) == BLOCKS
    done.clear()
    run(image, model, out)
    assert sorted(done) == [7, 8, 10, 11], "only those that need it are tried again"
    for file in chunk_files(image):
        file.write_bytes(b"xx")
    assert "cannot be read at" in run(image, model, out).problems[0], "nothing can be measured"


def test_failed_blocks_are_counted_and_done_by_the_next_run(model, image, out, done, monkeypatch):
    write, broken = GrowingLabels.write, [True]

    def sometimes(labels, index, y, x, mask):
        if broken[0] and x == 128:
            raise OSError(errno.EIO, "Input/output error")
        write(labels, index, y, x, mask)

    monkeypatch.setattr(GrowingLabels, "write", sometimes)
    tally = run(image, model, out)
    assert f"4 of {BLOCKS} blocks of {image} could not be segmented; the others are kept" in tally.problems[0]
    assert "Input/output error" in tally.problems[0]
    done.clear()
    broken[0] = False
    assert counts(run(image, model, out)) == (1, 0, 0)
    assert sorted(done) == [2, 5, 8, 11]


def test_a_store_that_vanishes_or_is_replaced_meanwhile_is_told(model, image, out, tmp_path, monkeypatch):
    do_block = blocks.do_block
    acts = []

    def disturbed(task, model):
        end = do_block(task, model)
        if acts:
            acts.pop()()
        return end

    monkeypatch.setattr(blocks, "do_block", disturbed)
    copy = Path(shutil.copytree(image, tmp_path / "copy.zarr"))
    acts.append(lambda: shutil.rmtree(image))
    tally = run(image, model, out)
    assert "vanished while it was read" in tally.problems[0] and not (out / "large.ome.zarr").exists()
    shutil.copytree(copy, image)
    acts.append(lambda: chunk_files(image)[-1].write_bytes(chunk_files(image)[0].read_bytes()))
    tally = run(image, model, out)
    assert "was replaced while it was read" in tally.problems[0] and not (out / "large.ome.zarr").exists()
    assert not list((out / PRIVATE_FOLDER).glob("growing-*"))
    assert counts(run(image, model, out)) == (1, 0, 0)


def test_into_the_image_itself_only_when_asked(model, image, out):
    before = files_in(image)
    with pytest.raises(FileError, match=r"into the image itself; choose another folder, or ask .* by --into-image"):
        run(image, model, image.parent)
    with pytest.raises(FileError, match="lies inside the image"):
        run(image, model, image / "masks")
    assert files_in(image) == before
    with pytest.raises(FileError, match="so only level 0 can go into it"):
        run(image, model, out, into_image=True, level=1)
    assert counts(run(image, model, out, into_image=True)) == (1, 0, 0)
    np.testing.assert_array_equal(labels_in(image, level=1), labels_in(image)[::2, ::2])
    assert not (out / "large.ome.zarr").exists()
    np.testing.assert_array_equal(labels_in(image), expected_of(PIXELS, model))
    whole = MODELS["0.5"].Image.from_zarr(zarr.open_group(image, mode="r"))
    assert whole.labels is not None and set(before) < set(files_in(image))
    assert counts(run(image, model, out, into_image=True)) == (0, 1, 0)
    assert {name: content for name, content in files_in(image).items() if name in before} == before
    other = run(image, model, out.with_name("elsewhere"), into_image=True)
    assert "is there already and was not written by this batch" in other.problems[0]


def test_what_cannot_be_is_told_before_anything_is_computed(model, image, out, done, monkeypatch, tmp_path):
    bare = write_image(tmp_path / "bare.zarr", np.zeros((3, 90, 80), np.uint8))
    group = zarr.open_group(bare)
    ome = group.attrs["ome"]
    del ome["multiscales"][0]["axes"]
    group.attrs["ome"] = ome
    assert "--axes TYX or --axes CYX" in run(bare, model, out).problems[0]
    with pytest.raises(FileError, match="leave out --all-iterations"):
        run(image, model, out, all_iterations=True)
    with pytest.raises(FileError, match="leave out --follow-time"):
        run(image, model, out, follow_time=True)
    usage = shutil.disk_usage(out.parent)
    monkeypatch.setattr(shutil, "disk_usage", lambda path: usage._replace(free=10))
    with pytest.raises(FileError, match="10 bytes free"):
        run(image, model, out)
    monkeypatch.undo()
    held = RecordFile(out)
    with pytest.raises(FileError, match="Another run writes into"):
        run(image, model, out)
    held.close()
    assert not done
    assert counts(run(bare, model, out, axes="CYX")) == (1, 0, 0)


def test_huge_planes_are_measured_on_a_coarser_level(model, image, out, monkeypatch):
    monkeypatch.setattr(large_image, "MEASURED_WHOLE", 100 * 85)
    run(image, model, out)
    coarse = ImageInput.from_array(PIXELS[:, ::2, ::2].transpose(1, 2, 0))
    expected = expected_of(PIXELS, model, plane_intensities(model.card, coarse, ()))
    np.testing.assert_array_equal(labels_in(out / "large.ome.zarr"), expected)


def test_planes_of_a_stack_are_measured_where_a_coarser_level_has_fewer_of_them(model, tmp_path, out, monkeypatch):
    stack = np.random.default_rng(1).integers(0, 255, (5, 100, 90), np.uint8)
    stack[1::2] //= 4
    image = write_image(tmp_path / "stack.ome.zarr", stack, "zyx", levels=2, halved="zyx")
    monkeypatch.setattr(large_image, "MEASURED_WHOLE", 50 * 45)
    tally = run(image, model, out)
    assert counts(tally) == (1, 0, 0), tally.problems
    found = labels_in(out / "stack.ome.zarr")
    for z, coarse in enumerate((0, 0, 1, 1, 2)):  # of three
        seen = ImageInput.from_array(stack[2 * coarse, ::2, ::2])
        expected = expected_of(stack[z : z + 1], model, plane_intensities(model.card, seen, ()))
        np.testing.assert_array_equal(found[z], expected)


def test_labels_do_not_depend_on_the_number_of_processors(model, image, out, tmp_path):
    before = torch.get_num_threads()
    for threads in (1, 3):
        torch.set_num_threads(threads)
        run(image, model, tmp_path / str(threads))
        assert torch.get_num_threads() == threads
    torch.set_num_threads(before)
    made, other = (files_in(tmp_path / name / "large.ome.zarr") for name in "13")
    assert made == other


def test_masks_of_large_images_are_not_taken_for_images(model, image, tmp_path, out):
    folder = tmp_path / "folder"
    shutil.copytree(image, folder / "a.zarr")
    assert counts(run(folder, model, folder)) == (1, 0, 0)
    tally = run(folder, model, folder)
    assert counts(tally) == (0, 1, 0)
    assert os.listdir(folder / "a.ome.zarr" / "labels")
