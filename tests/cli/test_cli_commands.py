"""The command line as people call it: files out, sentences and exit status where something is wrong."""

import inspect
import json
import os
import shutil
import subprocess
import sys

import numpy as np
import pytest
import tifffile
import torch
from PIL import Image
from typer.testing import CliRunner

import napari_runet
from napari_runet import cli_finetune, cli_segment
from napari_runet.cli import app
from napari_runet.images.drawn import draw_moving_hand
from napari_runet.models.card import ClassInfo, ModelCard, NetworkConfig
from napari_runet.models.weights import save_network
from napari_runet.networks import build
from napari_runet.settings import FineTuningSettings, SegmentationSettings
from ome_zarr_images import write_image

SMALL = NetworkConfig(base_channels=2, hidden_channels=2)


@pytest.fixture
def model(models_home):
    torch.manual_seed(0)
    classes = (ClassInfo(name="background", color="#000000"), ClassInfo(name="thing", color="#ff0000"))
    card = ModelCard(id="tiny", title="Tiny", sentence="Finds nothing.", network=SMALL, classes=classes)
    save_network(models_home / "tiny", card, build(SMALL))
    return models_home / "tiny"


@pytest.fixture
def image(tmp_path):
    path = tmp_path / "a.png"
    Image.fromarray(np.random.default_rng(0).integers(0, 255, (40, 56, 3), np.uint8)).save(path)
    return path


def call(*arguments):
    """Run a command; a traceback is a failure of the test, whatever the exit status."""
    result = CliRunner().invoke(app, [str(argument) for argument in arguments])
    if result.exception is not None and not isinstance(result.exception, SystemExit):
        raise result.exception
    return result


def masks(folder):
    return sorted(path.name for path in folder.iterdir() if path.suffix in (".tif", ".png"))


def data_folder(root, masks):
    for name in ("images", "masks"):
        (root / name).mkdir(parents=True)
    rng = np.random.default_rng(0)
    for stem, mask in masks.items():
        Image.fromarray(rng.integers(0, 255, (*mask.shape, 3), np.uint8)).save(root / "images" / f"{stem}.png")
        Image.fromarray(mask).save(root / "masks" / f"{stem}.png")
    return root


@pytest.mark.parametrize("code", ["import napari_runet", "import napari_runet.cli"])
def test_imports_stay_light(code):
    heavy = "('torch', 'napari', 'qtpy', 'PyQt6', 'PySide6', 'numpy', 'pydantic')"
    program = f"{code}; import sys; print([name for name in {heavy} if name in sys.modules])"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_segment_writes_what_python_gives(model, image, tmp_path):
    from napari_runet import segment

    out = tmp_path / "out"
    result = call("segment", image, "--model", "tiny", "--output", out, "--all-iterations", "--probabilities")
    assert result.exit_code == 0, result.output
    expected = segment(np.asarray(Image.open(image)), model, iterations=3)
    for t in (1, 2, 3):
        np.testing.assert_array_equal(tifffile.imread(out / f"a_iteration{t}.tif"), expected.labels[t - 1])
    np.testing.assert_array_equal(tifffile.imread(out / "a.tif"), expected.labels[-1])
    found = tifffile.imread(out / "a_probabilities.tif")
    assert found.dtype == np.float32
    np.testing.assert_allclose(found, expected.probabilities[-1], atol=1e-6)
    assert len(masks(out)) == 5 and (out / "summary.csv").exists()


def test_segment_takes_iterations_threshold_format_and_a_folder_as_model(model, image, tmp_path):
    arguments = ("--iterations", 1, "--threshold", 0.001, "--format", "png", "--device", "cpu")
    result = call("segment", image, "--model", model, "--output", tmp_path / "out", *arguments)
    assert result.exit_code == 0, result.output
    assert masks(tmp_path / "out") == ["a.png"]
    assert (np.asarray(Image.open(tmp_path / "out" / "a.png")) == 1).all()


def test_bad_files_do_not_stop_the_others(model, image, tmp_path):
    text, cut, stack, empty = (tmp_path / name for name in ("text.png", "cut.png", "stack.tif", "empty.tif"))
    text.write_text("no image")
    cut.write_bytes(image.read_bytes()[:-3000])
    tifffile.imwrite(stack, np.zeros((5, 20, 30), np.uint8), photometric="minisblack")
    empty.write_bytes(b"")
    missing = tmp_path / "missing.png"
    out = tmp_path / "out"
    result = call("segment", text, cut, stack, empty, missing, image, "--model", "tiny", "--output", out)
    assert result.exit_code == 1
    assert masks(out) == ["a.tif", "stack.tif"]
    sentences = [line for line in result.stderr.splitlines() if line.strip()]
    assert len(sentences) == 4
    assert "not an image" in sentences[0] and "missing.png" in sentences[3]


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["--model", "nobody"], "no model called 'nobody'"),
        (["--model", "no/where"], "There is no model in"),
        (["--model", "tiny", "--device", "tpu"], "device"),
        (["--model", "tiny", "--iterations", "11"], "iterations"),
        (["--model", "tiny", "--threshold", "1"], "threshold"),
        (["--model", "tiny", "--format", "bmp"], "tif or png"),
        pytest.param(
            ["--model", "tiny", "--device", "cuda"],
            "CUDA cannot be used",
            marks=pytest.mark.skipif(torch.cuda.is_available(), reason="there is a GPU here"),
        ),
    ],
)
def test_what_cannot_work_is_a_sentence_before_anything_is_written(model, image, tmp_path, arguments, says):
    result = call("segment", image, "--output", tmp_path / "out", *arguments)
    assert result.exit_code == 1
    assert says in result.stderr and len(result.stderr.strip().splitlines()) == 1
    assert not (tmp_path / "out").exists()


def test_masks_that_would_collide_are_refused_before_starting(model, image, tmp_path):
    other = tmp_path / "A.jpg"
    shutil.copy(image, other)
    result = call("segment", image, other, "--model", "tiny", "--output", tmp_path / "out")
    assert result.exit_code == 1 and "both be written" in result.stderr
    before = image.read_bytes()
    result = call("segment", image, "--model", "tiny", "--output", tmp_path, "--format", "png")
    assert result.exit_code == 1 and "over the image" in result.stderr
    assert image.read_bytes() == before and not (tmp_path / "out").exists()


def test_segment_takes_folders_and_stacks_and_goes_on_where_it_was(model, image, tmp_path):
    folder = tmp_path / "in"
    (folder / "masks").mkdir(parents=True)
    shutil.move(image, folder / "a.png")
    tifffile.imwrite(folder / "s.tif", np.zeros((3, 40, 50), np.uint8), photometric="minisblack")
    (folder / "broken.png").write_text("no image")
    arguments = ("segment", folder, "--model", "tiny", "--output", folder / "masks", "--pattern", "**/*")
    first = call(*arguments)
    assert first.exit_code == 1 and "Segmented 1 of 3 images" in first.stdout
    assert "broken.png is not an image" in first.stderr and "--axes TYX or --axes CYX" in first.stderr
    (folder / "broken.png").unlink()
    second = call(*arguments, "--axes", "tyx")
    assert second.exit_code == 0, second.stderr
    assert "Segmented 1 of 2 images" in second.stdout and "1 had been finished before" in second.stdout
    assert "1 file in the output folder" in second.stderr
    assert masks(folder / "masks") == ["a.tif", "s.tif"]
    assert "2 had been finished before" in call(*arguments).stdout
    again = call(*arguments, "--axes", "cyx")  # another reading is another result, and this model takes it
    assert again.exit_code == 0 and "Segmented 1 of 2" in again.stdout
    assert tifffile.imread(folder / "masks" / "s.tif").shape == (40, 50)
    assert "Segmented 2 of 2" in call(*arguments, "--axes", "cyx", "--overwrite").stdout
    assert "Segmented 2 of 2" in call(*arguments, "--axes", "cyx", "--precision", "float32").stdout


def test_segment_takes_ome_zarr_and_tells_before_how_much_it_is(model, tmp_path):
    pixels = np.random.default_rng(0).integers(0, 255, (3, 90, 80), np.uint8)
    large = write_image(tmp_path / "large.ome.zarr", pixels, levels=2)
    arguments = ("segment", large, "--model", "tiny", "--output", tmp_path / "out", "--level", 1)
    result = call(*arguments)
    assert result.exit_code == 0, result.output
    assert "large.ome.zarr: 45 x 40 pixels at level 1, 1 block; the labels take about " in result.output
    assert "bytes and about 1 s." in result.output
    assert (tmp_path / "out" / "large.ome.zarr" / "labels" / "tiny" / "0").is_dir()
    again = call(*arguments)
    assert "1 had been finished before" in again.output and "the labels take" not in again.output
    none = call(*arguments[:-1], 5)
    assert none.exit_code == 1 and "has levels 0 to 1, and none with number 5" in none.output


def test_segment_follows_time_in_a_movie(model, tmp_path):
    movie = draw_moving_hand(1, 130, 3)[0]
    tifffile.imwrite(tmp_path / "m.tif", movie, photometric="rgb", metadata={"axes": "TYXS"})
    result = call("segment", tmp_path / "m.tif", "--model", "tiny", "--output", tmp_path / "out", "--follow-time")
    assert result.exit_code == 0, result.stderr
    written = tifffile.imread(tmp_path / "out" / "m.tif")
    followed = [p.labels[-1] for p in napari_runet.segment_planes(movie, "tiny", axes="TYXC", follow_time=True)]
    np.testing.assert_array_equal(written, followed)
    # without it the masks are others, and the finished ones are not taken for them
    again = call("segment", tmp_path / "m.tif", "--model", "tiny", "--output", tmp_path / "out")
    assert "Segmented 1 of 1" in again.stdout, again.stdout + again.stderr


@pytest.mark.skipif(not hasattr(os, "geteuid") or os.geteuid() != 0, reason="needs root to become another user")
def test_an_output_folder_without_permission_is_a_sentence(tmp_path):
    closed = tmp_path / "closed"
    closed.mkdir(mode=0o755)
    program = f"""
import os
from pathlib import Path
from napari_runet.batch.output import make_folder
os.chdir({str(closed)!r})
os.setuid(65534)
try:
    make_folder(Path("out"))
except ValueError as error:
    print(error)
"""
    told = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True).stdout
    assert "no permission to write there" in told


def test_evaluate_agrees_with_segment_and_has_nulls_for_empty_masks(model, tmp_path):
    from napari_runet import segment

    truth = (np.random.default_rng(3).random((40, 56)) < 0.4).astype(np.uint8) * 255
    data = data_folder(tmp_path / "data", {"full": truth, "none": np.zeros((40, 56), np.uint8)})
    figures = tmp_path / "figures.json"
    result = call("evaluate", "--model", "tiny", "--data", data, "--iterations", 2, "--json", figures)
    assert result.exit_code == 0, result.output
    content = json.loads(figures.read_text(), parse_constant=lambda name: pytest.fail(f"{name} in JSON"))
    assert (content["model"], content["n"], content["n_empty"]) == ("tiny", 2, 1)
    assert content["sha256"] == json.loads((model / "card.json").read_text())["sha256"]
    assert content["per_image"][1] == {"name": "none", "dice": [None, None]}
    images = [np.asarray(Image.open(data / "images" / f"{stem}.png")) for stem in ("full", "none")]
    both = [segment(each, model, iterations=2).labels for each in images]
    for t, row in enumerate(content["iterations"]):
        drawn, real = both[0][t] > 0, truth > 0
        dice = 2 * (drawn & real).sum() / (drawn.sum() + real.sum())
        assert row["iteration"] == t + 1
        assert row["dice"] == content["per_image"][0]["dice"][t] == pytest.approx(dice)
        pooled, wanted = np.concatenate([each[t] > 0 for each in both]), np.concatenate([real, real & False])
        ious = [(pooled == k)[wanted == k].sum() / ((pooled == k) | (wanted == k)).sum() for k in (0, 1)]
        assert row["miou"] == pytest.approx(np.mean(ious))


def test_evaluate_without_images_or_with_unknown_classes_is_a_sentence(model, tmp_path):
    result = call("evaluate", "--model", "tiny", "--data", tmp_path)
    assert result.exit_code == 1 and "no images" in result.stderr
    data = data_folder(tmp_path / "data", {"a": np.full((20, 20), 7, np.uint8)})
    (data / "masks").rename(data / "labels")
    result = call("evaluate", "--model", "tiny", "--data", data)
    assert result.exit_code == 1 and "class 7" in result.stderr


def test_models_are_listed_shown_and_located(model):
    listed = call("models", "list").stdout
    assert "tiny" in listed and "Finds nothing." in listed
    assert json.loads(call("models", "show", "tiny").stdout)["id"] == "tiny"
    assert call("models", "path", "tiny").stdout.strip() == str(model)
    assert call("models", "path", "nobody").exit_code == 1


def test_doctor_names_versions_device_and_folders(model):
    told = call("doctor").stdout
    assert torch.__version__ in told and str(model.parent) in told and "tiny" in told


@pytest.mark.parametrize(
    "command",
    ["segment", "places", "evaluate", "train", "finetune", "demo", "doctor", "models list", "models show",
     "models path", "models new", "models compare", "models rename", "models remove", "models export", "models import"],
)  # fmt: skip
def test_every_command_is_there(command):
    assert call(*command.split(), "--help").exit_code == 0


def test_more_workers_than_any_machine_has_room_for_are_refused(model, image, tmp_path, monkeypatch):
    monkeypatch.setattr("napari_runet.inference.cluster.local_workers", lambda *given: pytest.fail("they were started"))
    result = call("segment", image, "--model", "tiny", "--output", tmp_path / "out", "--workers", 10**6)
    assert result.exit_code == 2 and "--workers" in result.output and not (tmp_path / "out").exists()


def test_every_setting_is_an_option_of_its_command_and_of_python():
    def missing(settings, function, *apart):
        return settings.model_fields.keys() - inspect.signature(function).parameters.keys() - set(apart)

    where = "device", "precision"  # of `load_model`, in Python
    assert not missing(SegmentationSettings, cli_segment.segment)
    assert not missing(SegmentationSettings, napari_runet.segment_files, *where)
    assert not missing(SegmentationSettings, napari_runet.segment_planes, *where)
    assert not missing(SegmentationSettings, napari_runet.segment, *where, "follow_time", "follow_iterations")
    assert not missing(FineTuningSettings, cli_finetune.finetune, "name")  # that is --output


def test_segment_files_takes_what_the_command_takes(model, image, tmp_path):
    call("segment", image, "--model", model, "--output", tmp_path / "cli", "--flips", "--scales", "--no-rescale",
         "--tile-size", 64)  # fmt: skip
    napari_runet.segment_files(image, model, tmp_path / "api", flips=True, scales=True, rescale=False, tile_size=64)
    hows = [json.loads(line)["how"] for name in ("cli", "api")
            for line in (tmp_path / name / ".napari-runet" / "record.jsonl").read_text().splitlines()[1:]]  # fmt: skip
    assert hows[0] == hows[1] and hows[0]["flips"] and hows[0]["scales"] and hows[0]["tile_size"] == 64


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="only Linux has a disk that is always full")
@pytest.mark.parametrize("command", [["models", "list"], ["--help"]])
def test_output_that_there_is_no_room_for_is_a_sentence(command):
    with open("/dev/full", "wb") as full:
        ended = subprocess.run(
            [sys.executable, "-m", "napari_runet.cli", *command], stdout=full, stderr=subprocess.PIPE
        )
    assert ended.returncode == 1 and b"Traceback" not in ended.stderr
    assert b"is full; make room" in ended.stderr


def test_a_recipe_that_is_not_there_is_answered_with_those_that_are(tmp_path):
    result = call("train", "nosuch", "--data", tmp_path, "--output", tmp_path / "out")
    assert result.exit_code == 1 and "no recipe nosuch" in result.output
    assert "retina" in result.output and "dru-4" in result.output
