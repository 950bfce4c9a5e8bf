"""Corrections of images that are not open any more, found again for training."""

import os

import numpy as np
import pytest
import tifffile

from napari_runet.corrections import image_key, replay
from napari_runet.corrections.correction_set import CorrectionSet
from napari_runet.corrections.image_key import ImageKey
from napari_runet.corrections.journal import Journal
from napari_runet.corrections.replay import earlier_corrections, kept_planes
from napari_runet.io.images import FileError

VESSELS = ("background", "vessel")


def corrected(folder, path, pixels, index=(), shape=None, classes=VESSELS, rows=4):
    """An image file, and a journal of one stroke on a plane of it."""
    tifffile.imwrite(path, pixels)
    known = CorrectionSet(shape or pixels.shape[:2], index)
    known.classes = classes
    before = np.zeros(known.shape, np.uint8)
    after = before.copy()
    after[:rows, 3:9] = 1
    journal = Journal(ImageKey.of(pixels, str(path)), folder)
    journal.append(known.update_from_difference(before, after))
    assert journal.close()
    return known


def test_planes_come_back_with_their_pixels_the_last_written_first(tmp_path):
    rng = np.random.default_rng(0)
    journals = tmp_path / "journals"
    eye, film = rng.integers(0, 255, (40, 50, 3), np.uint8), rng.integers(0, 255, (5, 40, 50), np.uint8)
    first = corrected(journals, tmp_path / "eye.tif", eye)
    second = corrected(journals, tmp_path / "film.tif", film, (2,), (40, 50), rows=7)
    (name, pixels, labels, measured), (other, colours, other_labels, _) = earlier_corrections(VESSELS, folder=journals)
    assert (name, other) == ("film 2", "eye")
    assert np.array_equal(pixels[..., 0], film[2]) and np.array_equal(labels, second.labels)
    assert measured is None, "a whole plane is measured on itself"
    assert np.array_equal(colours, eye) and np.array_equal(other_labels, first.labels)
    assert [plane.name for plane in kept_planes(journals)] == ["film 2", "eye"]
    assert len(earlier_corrections(VESSELS, folder=journals, most=1)) == 1


def test_what_means_something_else_is_open_gone_or_changed_is_left_out(tmp_path):
    rng = np.random.default_rng(1)
    journals = tmp_path / "journals"
    pixels = {name: rng.integers(0, 255, (40, 50), np.uint8) for name in ("hand", "open", "gone", "changed", "right")}
    for name, image in pixels.items():
        classes = ("background", "hand") if name == "hand" else VESSELS
        corrected(journals, tmp_path / f"{name}.tif", image, classes=classes)
    (tmp_path / "gone.tif").unlink()
    tifffile.imwrite(tmp_path / "changed.tif", pixels["changed"] // 2)
    (journals / "damaged.journal").write_bytes(b"no journal")
    skip = {(ImageKey.of(pixels["open"], str(tmp_path / "open.tif")).name, ((), (40, 50)))}
    assert [plane.name for plane in earlier_corrections(VESSELS, skip, journals)] == ["right"]
    assert earlier_corrections(VESSELS, folder=tmp_path / "nothing") == []


def test_a_journal_that_another_program_takes_in_meanwhile_is_left_out(tmp_path):
    for name in ("first", "second"):
        corrected(tmp_path, tmp_path / f"{name}.tif", np.zeros((20, 30), np.uint8))
    planes = kept_planes(tmp_path)
    [other] = {"first", "second"} - {next(planes).name}
    for journal in tmp_path.glob(f"{ImageKey(str(tmp_path / f'{other}.tif'), '').name}*.journal"):
        journal.unlink()
    assert list(planes) == []


def test_squares_of_large_images_come_back_without_the_rest_of_it(tmp_path, monkeypatch):
    monkeypatch.setattr(image_key, "WHOLE_BYTES", 100)
    monkeypatch.setattr(replay, "SQUARE", 16)
    monkeypatch.setattr(replay, "read_image", lambda path: pytest.fail("it was read whole"))
    eye = np.random.default_rng(2).integers(0, 255, (40, 50, 3), np.uint8)
    journals = tmp_path / "journals"
    square = corrected(journals, tmp_path / "eye.tif", eye, (0, 2, 1), (8, 16))
    ((name, pixels, labels, measured),) = earlier_corrections(VESSELS, folder=journals)
    assert name == "eye 0 2 1" and np.array_equal(pixels, eye[32:40, 16:32])
    assert np.array_equal(labels, square.labels) and np.array_equal(measured, eye)
    tifffile.imwrite(tmp_path / "eye.tif", eye // 2)
    assert earlier_corrections(VESSELS, folder=journals) == []


def test_what_several_programs_wrote_about_one_plane_is_its_sum(tmp_path):
    eye = np.zeros((20, 30), np.uint8)
    key = ImageKey.of(eye, str(tmp_path / "eye.tif"))
    for row, modified in ((2, 1000), (5, 3000), (9, 2000)):
        known = CorrectionSet(eye.shape)
        after = eye.copy()
        after[row, 4] = 1
        journal = Journal(key, tmp_path / str(row))
        journal.append(known.update_from_difference(eye, after))
        assert journal.close()
        [file] = (tmp_path / str(row)).glob("*.journal")
        os.utime(file.rename(tmp_path / f"{row}.journal"), (modified, modified))
    [plane] = kept_planes(tmp_path)
    assert np.argwhere(plane.known.labels == 1).tolist() == [[2, 4], [5, 4], [9, 4]]
    assert plane.written == 3000


def test_a_stack_that_was_corrected_along_other_axes_is_left_out(tmp_path):
    film = np.random.default_rng(3).integers(0, 255, (5, 40, 50), np.uint8)
    corrected(tmp_path / "journals", tmp_path / "film.tif", film, (2,), (5, 40))
    [plane] = kept_planes(tmp_path / "journals")
    with pytest.raises(FileError, match="along other axes"):
        plane.read()
    assert earlier_corrections(VESSELS, folder=tmp_path / "journals") == []


def test_an_image_from_no_file_is_left_out(tmp_path):
    eye = np.zeros((20, 30), np.uint8)
    known = CorrectionSet(eye.shape)
    known.classes = VESSELS
    journal = Journal(ImageKey.of(eye, ""), tmp_path)
    journal.append(known.update_from_difference(eye, eye + 1))
    assert journal.close()
    [plane] = kept_planes(tmp_path)
    assert plane.name == "unnamed"
    with pytest.raises(FileError, match="came from no file"):
        plane.read()
    assert earlier_corrections(VESSELS, folder=tmp_path) == []
