"""Which images are meant by files, folders and patterns."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from napari_runet.batch.finding import find_images, stem_of
from napari_runet.batch.output import Output, bytes_expected, check_output, check_room, in_bytes
from napari_runet.io.images import FileError


def names(found):
    return [image.name for image in found.images]


def touch(root, *paths):
    for path in paths:
        (root / path).parent.mkdir(parents=True, exist_ok=True)
        (root / path).touch()


def test_a_folder_means_the_images_directly_in_it_in_the_order_of_people(tmp_path):
    touch(tmp_path, "f10.png", "f2.TIF", "F1.jpg", "notes.txt", ".hidden.png", "below/b.png")
    assert names(find_images([tmp_path])) == ["F1", "f2", "f10"]
    assert names(find_images([tmp_path], "**/*.png")) == ["below/b", "f10"]
    assert names(find_images([tmp_path], "b*/*")) == ["below/b"]


def test_patterns_files_and_repetitions(tmp_path, monkeypatch):
    touch(tmp_path, "x/1.png", "x/2.png", "odd[1].png", "x/cells.ome.tif")
    monkeypatch.chdir(tmp_path)
    assert names(find_images(["x/*.png", "x/1.png", "x"])) == ["1", "2", "cells"]
    assert names(find_images(["odd[1].png"])) == ["odd[1]"], "an existing file is no pattern"
    assert names(find_images([Path("missing.png")])) == ["missing"], "told when its turn comes"
    assert stem_of(Path("a/b.x/c.d.png")) == "a/b.x/c.d"


def test_a_zarr_store_is_one_image_and_is_not_searched(tmp_path):
    touch(tmp_path, "a.zarr/zarr.json", "a.zarr/0/zarr.json", "b.ome.zarr/.zattrs", "b.ome.zarr/x.png", "c/d.png")
    assert names(find_images([tmp_path])) == ["a", "b"]
    assert names(find_images([tmp_path], "**/*")) == ["a", "b", "c/d"]
    assert names(find_images([tmp_path / "a.zarr"])) == ["a"]


@pytest.mark.parametrize(
    ("given", "pattern", "says"),
    [
        ("empty", "", "no image"),
        ("empty", "*.png", "'*.png'"),
        ("none/*.png", "", "No file fits"),
        ("empty", "/scans/*.png", "'/scans/*.png' cannot be looked for"),
    ],
)
def test_what_leads_to_nothing_is_a_sentence(tmp_path, given, pattern, says):
    (tmp_path / "empty").mkdir()
    with pytest.raises(FileError) as caught:
        find_images([f"{tmp_path}/{given}"], pattern)
    assert says in str(caught.value)


@pytest.mark.skipif(sys.platform != "linux", reason="other systems have no such names")
def test_a_file_whose_name_is_no_text_is_left_out_and_it_is_said(tmp_path):
    odd = os.fsencode(tmp_path / "caf") + b"\xe9.png"
    open(odd, "wb").close()
    with pytest.raises(FileError, match=r"caf\\udce9\.png.*Rename"):
        find_images([tmp_path])
    touch(tmp_path, "a.png")
    found = find_images([tmp_path, os.fsdecode(odd)])
    assert names(found) == ["a"]
    assert len(found.notes) == 1 and r"caf\udce9.png" in found.notes[0] and "Rename" in found.notes[0]


def test_masks_inside_the_searched_folder_are_no_images(tmp_path):
    touch(tmp_path, "data/a.png", "data/masks/a.tif", "data/masks/b.tif")
    found = find_images([tmp_path / "data"], "**/*", output=tmp_path / "data" / "masks")
    assert names(found) == ["a"]
    assert "2 files in the output folder" in found.notes[0] and "not taken" in found.notes[0]
    beside = find_images([tmp_path / "data" / "masks"], output=tmp_path / "data" / "masks",
                         written=[tmp_path / "data" / "masks" / "b.tif"])  # fmt: skip
    assert names(beside) == ["a"]
    above = find_images([tmp_path / "data" / "masks"], output=tmp_path / "data")
    assert names(above) == ["a", "b"] and not above.notes
    with pytest.raises(FileError, match="nothing in"):
        find_images([tmp_path / "data" / "masks"], output=tmp_path / "data" / "masks",
                    written=[tmp_path / "data" / "masks" / f"{stem}.tif" for stem in "ab"])  # fmt: skip


def test_masks_of_two_images_never_share_a_name(tmp_path):
    touch(tmp_path, "in/a.png", "in/A.tif", "in/sub/a.png")
    output = Output(folder=tmp_path / "out")
    check_output(find_images([tmp_path / "in"], "**/*.png").images, output, 3, "tiny")
    with pytest.raises(FileError, match="both be written"):
        check_output(find_images([tmp_path / "in"]).images, output, 3, "tiny")
    with pytest.raises(FileError, match="over the image"):
        check_output(find_images([tmp_path / "in" / "A.tif"]).images, Output(folder=tmp_path / "in"), 3, "tiny")


def test_no_room_is_found_by_the_size_of_what_is_expected(tmp_path):
    check_room(tmp_path / "not" / "there", 1000)
    with pytest.raises(FileError, match=r"free, and the results take at least about 1000 PB"):
        check_room(tmp_path, 10**18)
    masks, all_masks = Output(folder=tmp_path), Output(folder=tmp_path, all_iterations=True, probabilities=True)
    assert 0 < bytes_expected(10**6, 2, 3, masks) < 10**6
    assert bytes_expected(10**6, 2, 3, all_masks) > 4 * 10**6
    assert [in_bytes(n) for n in (999, 1500, 15_000_000, 2.5e12)] == ["999 bytes", "1.5 kB", "15 MB", "2.5 TB"]


@pytest.mark.skipif(sys.platform == "win32", reason="links need rights there")
def test_a_link_that_leads_to_itself_is_a_file_that_cannot_be_read(tmp_path):
    (tmp_path / "self.png").symlink_to("self.png")
    found = find_images([tmp_path / "self.png"], output=tmp_path / "self.png")
    assert names(found) == ["self"]
    check_output(found.images, Output(folder=tmp_path / "masks"), 3, "tiny")


@pytest.mark.skipif(not hasattr(os, "geteuid") or os.geteuid() != 0, reason="needs root to become another user")
def test_a_folder_that_may_not_be_read_costs_its_own_files_only(tmp_path):
    touch(tmp_path, "in/locked/a.png", "in/b.png")
    program = f"""
import os
from napari_runet.batch.finding import find_images
os.chdir({str(tmp_path / "in")!r})
os.setuid(65534)
print([image.name for image in find_images(["locked/a.png", "b.png"]).images])
try:
    find_images(["locked"])
except ValueError as error:
    print(error)
"""
    (tmp_path / "in").chmod(0o755)
    (tmp_path / "in" / "locked").chmod(0)
    told = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True).stdout
    assert told.splitlines() == ["['a', 'b']", "There is no permission to read the folder locked."]
