"""``places``: which image first, where in it, and the score as an image."""

import json
import os
from pathlib import Path

import numpy as np
import pytest
import tifffile
from PIL import Image
from typer.testing import CliRunner

from napari_runet.cli import app
from napari_runet.models.store import HOME_VARIABLE


@pytest.fixture
def folder(tiny_models, tmp_path, monkeypatch):
    monkeypatch.setenv(HOME_VARIABLE, str(tiny_models))
    folder = tmp_path / "images"
    folder.mkdir()
    rng = np.random.default_rng(0)
    Image.fromarray(np.full((70, 90, 3), 80, np.uint8)).save(folder / "flat.png")
    Image.fromarray(rng.integers(0, 256, (70, 90, 3), np.uint8)).save(folder / "busy.png")
    (folder / "broken.png").write_text("no image")
    stack = rng.integers(0, 256, (2, 40, 50, 3), np.uint8)
    tifffile.imwrite(folder / "stack.tif", stack, photometric="rgb", metadata={"axes": "TYXS"})
    return folder


def test_places_of_a_folder_with_a_stack_and_a_broken_file(folder, tmp_path):
    where, scores = tmp_path / "places.json", tmp_path / "scores"
    command = ["places", str(folder), "--model", "tiny", "--most", "3", "--json", str(where)]
    result = CliRunner().invoke(app, [*command, "--uncertainty", str(scores), "--precision", "float32"])
    assert result.exit_code == 1 and "broken.png" in result.output and "Traceback" not in result.output
    found = json.loads(where.read_text())
    names = {(entry["image"].rsplit("/", 1)[-1], tuple(entry["plane"])) for entry in found}
    assert names == {("flat.png", ()), ("busy.png", ()), ("stack.tif", (0,)), ("stack.tif", (1,))}
    assert [entry["doubt"] for entry in found] == sorted((entry["doubt"] for entry in found), reverse=True)
    for entry in found:
        stem = entry["image"].rsplit("/", 1)[-1][:-4] + "".join(f"_{at + 1}" for at in entry["plane"])
        score = tifffile.imread(scores / f"{stem}_uncertainty.tif")
        assert 1 <= len(entry["places"]) <= 3
        for place in entry["places"]:
            box = score[place["y"] : place["y"] + place["height"], place["x"] : place["x"] + place["width"]]
            assert abs(box.sum() / 255 / 24**2 - place["score"]) < 1e-3
            assert abs(sum(place["parts"].values()) - box.mean() / 255) < 0.003
    assert "stack.tif, plane 2: doubt" in result.output


def test_two_scores_are_never_written_to_one_file_and_ome_zarr_is_refused_in_words(folder, tmp_path):
    Image.fromarray(np.zeros((40, 50, 3), np.uint8)).save(folder / "flat.bmp")
    (folder / "big.zarr").mkdir()
    (folder / "big.zarr" / "zarr.json").write_text("{}")
    command = ["places", str(folder), "--model", "tiny", "--uncertainty", str(tmp_path / "scores")]
    result = CliRunner().invoke(app, command)
    assert result.exit_code == 1 and "would both be written to" in result.output
    assert not (tmp_path / "scores").exists()
    result = CliRunner().invoke(app, command[:-2])
    assert result.exit_code == 1 and "flat.bmp: doubt" in result.output
    assert "big.zarr is an OME-Zarr image" in result.output and "Is a directory" not in result.output


def test_the_score_of_a_plane_is_not_written_over_by_that_of_an_image(folder, tmp_path):
    Image.fromarray(np.zeros((40, 50, 3), np.uint8)).save(folder / "stack_1.png")
    scores = tmp_path / "scores"
    command = ["places", str(folder / "stack*"), "--model", "tiny", "--uncertainty", str(scores)]
    result = CliRunner().invoke(app, command)
    assert result.exit_code == 1 and "stack_1.png would be written over" in result.output
    assert tifffile.imread(scores / "stack_1_uncertainty.tif").any(), "that of the stack's first plane, which is noise"


def test_what_is_wrong_is_a_sentence(folder, tmp_path):
    (tmp_path / "file").write_text("")
    result = CliRunner().invoke(
        app, ["places", str(folder / "flat.png"), "--model", "tiny", "--uncertainty", str(tmp_path / "file")]
    )
    assert result.exit_code == 1 and "Traceback" not in result.output and str(tmp_path / "file") in result.output
    result = CliRunner().invoke(app, ["places", str(folder), "--model", "tiny", "--precision", "half"])
    assert result.exit_code == 1 and "Traceback" not in result.output and "precision" in result.output
    result = CliRunner().invoke(app, ["places", str(tmp_path / "nowhere" / "*.png"), "--model", "tiny"])
    assert result.exit_code == 1 and "nowhere" in result.output


@pytest.mark.parametrize(
    ("command", "never"),
    [
        (("places", "IMAGES", "--model", "tiny"), "napari_runet.inference.segmenter.segment"),
        (("evaluate", "--model", "tiny", "--data", "IMAGES"), "napari_runet.cli_evaluate._measure"),
        (("models", "compare", "tiny", "tiny", "--data", "IMAGES"), "napari_runet.inference.segmenter.load_model"),
        (("finetune", "--model", "tiny", "--data", "IMAGES", "--output", "x"),
         "napari_runet.inference.segmenter.load_model"),
        (("train", "retina", "--data", "IMAGES", "--output", "OUTPUT"), "napari_runet.training.loop.train"),
    ],
)  # fmt: skip
def test_figures_that_cannot_be_written_are_told_before_anything_is_computed(
    folder, tmp_path, monkeypatch, command, never
):
    monkeypatch.setattr(never, lambda *given, **options: pytest.fail("computed"))
    places = {"IMAGES": str(folder), "OUTPUT": str(tmp_path / "trained")}
    for json_file, sentence in (
        (tmp_path / "nowhere" / "figures.json", "its folder does not exist; make it first"),
        (folder, "something of that name already that is no file"),
        (folder / "flat.png" / "figures.json", "what should be its folder is a file"),
    ):
        result = CliRunner().invoke(app, [*(places.get(word, word) for word in command), "--json", str(json_file)])
        assert result.exit_code == 1 and f"{json_file} cannot be written: " in result.output, result.output
        assert sentence in result.output
    assert not (tmp_path / "trained").exists()


def test_a_device_is_not_replaced_by_figures_and_a_link_stays_one(folder, tmp_path):
    command = ["places", str(folder / "flat.png"), "--model", "tiny", "--json"]
    result = CliRunner().invoke(app, [*command, os.devnull])
    assert result.exit_code == 1 and "no file" in result.output and not Path(os.devnull).is_file()
    (tmp_path / "link.json").symlink_to(tmp_path / "figures.json")
    result = CliRunner().invoke(app, [*command, str(tmp_path / "link.json")])
    assert result.exit_code == 0 and (tmp_path / "link.json").is_symlink()
    assert json.loads((tmp_path / "figures.json").read_text())
