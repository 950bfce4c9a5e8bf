import errno
import json
import os
import signal

import numpy as np
import pytest
import tifffile
from typer.testing import CliRunner

from napari_runet.cli import app
from napari_runet.inference.segmenter import load_model
from napari_runet.io.images import FileError
from napari_runet.models.classes import named_classes
from napari_runet.models.store import read_card
from napari_runet.models.weights import load_network
from napari_runet.training.correction_trainer import CorrectionTrainer
from napari_runet.training.new_model import new_model
from napari_runet.training.pairs import read_pairs
from napari_runet.training.validation import validate


@pytest.fixture
def home(tmp_path, monkeypatch):
    monkeypatch.setenv("NAPARI_RUNET_HOME", str(tmp_path / "home"))
    return tmp_path / "home"


@pytest.fixture
def corrections(tmp_path):
    """Two images of stripes with a few labelled spots."""
    rng = np.random.default_rng(0)
    folder = tmp_path / "data"
    for kind in ("images", "labels"):
        (folder / kind).mkdir(parents=True)
    for number in range(2):
        truth = np.zeros((64, 64), np.uint8)
        truth[:, 10 + number : 60 : 16] = 1
        image = (180 - 100 * truth[..., None] + rng.normal(0, 5, (64, 64, 3))).clip(0, 255).astype(np.uint8)
        labels = np.full_like(truth, 255)
        for _ in range(8):
            y, x = rng.integers(0, 56, 2)
            labels[y : y + 6, x : x + 6] = truth[y : y + 6, x : x + 6]
        tifffile.imwrite(folder / "images" / f"{number}.tif", image)
        tifffile.imwrite(folder / "labels" / f"{number}.tif", labels)
    return folder


def run(*arguments):
    return CliRunner().invoke(app, [str(argument) for argument in arguments])


def test_a_new_model_is_taught_and_the_candidate_names_parent_and_figures(home, corrections, tmp_path):
    made = run("models", "new", "lines", "--classes", "line")
    assert made.exit_code == 0, made.output
    parent = read_card(home / "models" / "lines")
    assert [info.name for info in parent.classes] == ["background", "line"]
    figures = tmp_path / "figures.json"
    tuned = run("finetune", "--model", "lines", "--data", corrections, "--output", "lines-2",
                "--training-steps", 3, "--seed", 4, "--device", "cpu", "--json", figures)  # fmt: skip
    assert tuned.exit_code == 0, tuned.output
    card, _ = load_network(home / "models" / "lines-2")
    written = json.loads(figures.read_text())
    assert card.id == written["model"] == "lines-2"
    assert card.parent == written["parent"] == parent.sha256
    assert written["training_steps"] == 3 and written["better"] in (True, False, None)
    assert {"before", "after", "seconds"} <= set(written)
    assert card.training["settings"]["seed"] == 4
    comparison = ("models", "compare", "lines", "lines-2", "--data", corrections, "--json", figures)
    compared = run(*comparison, "--precision", "float32")
    assert compared.exit_code == 0, compared.output
    content = json.loads(figures.read_text())
    model, pairs = load_model(home / "models" / "lines-2", backend="float32"), read_pairs(corrections)
    expected = [validate(model.card, model.runner, [pair], model.card.iterations)[-1] for pair in pairs]
    assert [row["dice"][1] for row in content["per_image"]] == expected
    refused = run(*comparison, "--precision", "half")
    assert refused.exit_code == 1 and "precision" in refused.output
    assert content["models"] == ["lines", "lines-2"] and len(content["per_image"]) == 2
    assert content["dice"][1] == pytest.approx(np.mean([row["dice"][1] for row in content["per_image"]]))


def test_new_with_several_classes_starts_from_the_layers_of_another(home):
    assert run("models", "new", "first", "--classes", "line", "--seed", 1).exit_code == 0
    made = run("models", "new", "second", "--classes", "vein", "artery", "--from", "first", "--seed", 2)
    assert made.exit_code == 0, made.output
    old_card, old = load_network(home / "models" / "first")
    card, new = load_network(home / "models" / "second")
    assert [info.name for info in card.classes] == ["background", "vein", "artery"]
    assert len({info.color for info in card.classes}) == 3
    assert card.parent == old_card.sha256
    states = old.state_dict(), new.state_dict()
    same = [name for name in states[0] if states[0][name].shape == states[1][name].shape]
    assert len(same) > 50 and all((states[0][name] == states[1][name]).all() for name in same)


@pytest.mark.parametrize("channels", [0, -1, 65])
def test_channels_that_no_model_has_are_refused(home, channels):
    result = run("models", "new", "lines", "--classes", "line", "--channels", channels)
    assert result.exit_code == 2 and "--channels" in result.output
    assert not (home / "models").exists()
    with pytest.raises(ValueError, match="in_channels"):
        new_model(home / "models" / "lines", "lines", named_classes(["line"]), channels=channels)


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["--output", "lines"], "already"),
        (["--output", "Not An Id"], "no model id"),
        (["--output", "retina"], "already"),
        (["--output", "x", "--model", "nobody"], "no model called"),
        (["--output", "x", "--data", "nowhere"], "no folder"),
        (["--output", "x", "--seconds", "-1"], "seconds"),
        (["--output", "x", "--device", "abacus"], "device"),
        (["--output", "x", "--precision", "half"], "precision"),
        (["--output", "x", "--seconds", "5", "--training-steps", "5"], "not both"),
        (["--output", "x", "--seed", str(2**31)], "seed"),
    ],
)
def test_refusals_are_sentences_and_write_nothing(home, corrections, arguments, sentence):
    assert run("models", "new", "lines", "--classes", "line").exit_code == 0
    before = sorted((home / "models").rglob("*"))
    result = run("finetune", "--model", "lines", "--data", corrections, *arguments)
    assert result.exit_code != 0
    assert sentence in result.output and "Traceback" not in result.output
    assert sorted((home / "models").rglob("*")) == before


def test_an_existing_output_folder_is_refused(home, corrections, tmp_path):
    assert run("models", "new", "lines", "--classes", "line").exit_code == 0
    (tmp_path / "there").mkdir()
    result = run("finetune", "--model", "lines", "--data", corrections, "--output", tmp_path / "there")
    assert result.exit_code == 1 and "already" in result.output
    assert not list((tmp_path / "there").iterdir())


@pytest.mark.parametrize("command", ["finetune", "new"])
def test_a_folder_that_cannot_be_written_is_refused_before_anything_is_computed(
    home, corrections, tmp_path, monkeypatch, command
):
    monkeypatch.setattr("napari_runet.training.fine_tuning.fine_tune", lambda *given, **options: pytest.fail("trained"))
    (tmp_path / "file").touch()
    output = tmp_path / "file" / "below" / "model"
    arguments = {
        "finetune": ("finetune", "--model", "retina", "--data", corrections, "--output", output),
        "new": ("models", "new", output, "--classes", "line"),
    }
    result = run(*arguments[command])
    assert result.exit_code == 1 and f"{output} cannot be written: what should be its folder is a file" in result.output


def test_ctrl_c_keeps_the_best_so_far(home, corrections, tmp_path, monkeypatch):
    assert run("models", "new", "lines", "--classes", "line").exit_code == 0
    original = CorrectionTrainer.train_step

    def press(self, progress):
        if self.training_step == 1:
            os.kill(os.getpid(), signal.SIGINT)
        return original(self, progress)

    monkeypatch.setattr(CorrectionTrainer, "train_step", press)
    output = tmp_path / "stopped"
    before = signal.getsignal(signal.SIGINT)
    result = run("finetune", "--model", "lines", "--data", corrections, "--output", output,
                 "--seconds", 3600, "--device", "cpu")  # fmt: skip
    assert result.exit_code == 0, result.output
    assert "best so far" in result.output
    assert json.loads((output / "card.json").read_text())["training"]["training_steps"] == 2
    assert signal.getsignal(signal.SIGINT) is before


def test_a_disk_that_fills_while_the_model_is_saved_is_a_sentence_and_leaves_nothing(home, corrections, monkeypatch):
    assert run("models", "new", "lines", "--classes", "line").exit_code == 0

    def full(descriptor):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr("os.fsync", full)
    commands = (
        ("finetune", "--model", "lines", "--data", corrections, "--output", "lines-2", "--training-steps", 1),
        ("models", "new", "lines-2", "--classes", "line"),
    )
    for command in commands:
        result = run(*command)
        where = home / "models" / "lines-2"
        assert result.exit_code == 1 and "Errno" not in result.output
        assert f"{where} cannot be written: the disk is full; make room or choose another folder." in result.output
        assert not where.exists()


def test_figures_that_could_not_be_written_are_told_after_the_model_that_was(home, corrections, tmp_path, monkeypatch):
    assert run("models", "new", "lines", "--classes", "line").exit_code == 0
    output, figures = tmp_path / "tuned", tmp_path / "figures.json"

    def refuse(path, content):
        raise FileError(f"{path} cannot be written: the disk is full.")

    monkeypatch.setattr("napari_runet.cli_finetune.write_json", refuse)
    result = run("finetune", "--model", "lines", "--data", corrections, "--output", output,
                 "--training-steps", 1, "--json", figures)  # fmt: skip
    assert result.exit_code == 1 and f"Written: {output}" in result.output
    assert f"{figures} cannot be written: the disk is full." in result.output
    assert load_network(output)
