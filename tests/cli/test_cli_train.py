"""Training through the command line: it learns, stops, goes on exactly, and says in a sentence what cannot be."""

import json
import os
import signal

import numpy as np
import pytest
import torch
from PIL import Image
from typer.testing import CliRunner

from napari_runet.cli import app
from napari_runet.models.store import read_card
from napari_runet.networks import build
from napari_runet.networks.encoder_weights import encoder_of
from napari_runet.training.trainer import Trainer

RECIPE = """
id = "lines"
title = "Lines"
sentence = "Drawn lines."
classes = [{{ name = "background", color = "#000000" }}, {{ name = "line", color = "#ff0000" }}]
training_steps = {steps}
batch_size = 2
crop_size = 64
iterations = 2
learning_rate = 1e-2
warm_up_steps = 10
average_decay = 0.9
dice_weight = 0.5
validate_every = {every}
[network]
base_channels = 4
hidden_channels = 8
[augmentation]
smallest_scale = 0.8
largest_scale = 1.25
"""


def draw_lines(folder, count, seed):
    """Bright wavy lines on a dark, noisy ground."""
    random = np.random.default_rng(seed)
    y, x = np.mgrid[:96, :96]
    for kind in ("images", "masks"):
        (folder / kind).mkdir(parents=True)
    for number in range(count):
        wave = 48 + 25 * np.sin(x / random.uniform(8, 20) + random.uniform(0, 6))
        mask = np.abs(y - wave) < 4
        image = np.clip(70 + 90 * mask[..., None] + random.normal(0, 15, (96, 96, 3)), 0, 255)
        Image.fromarray(image.astype(np.uint8)).save(folder / "images" / f"{number}.png")
        Image.fromarray((255 * mask).astype(np.uint8)).save(folder / "masks" / f"{number}.png")


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    folder = tmp_path_factory.mktemp("drawn")
    for seed, (split, count) in enumerate((("train", 6), ("val", 2), ("test", 3))):
        draw_lines(folder / split, count, seed)
    return folder


def put_recipe(folder, *, steps=6, every=3, **changes):
    text = RECIPE.format(steps=steps, every=every)
    for old, new in changes.items():
        text = text.replace(old, new)
    path = folder / "recipe.toml"
    path.write_text(text)
    return path


def run(*arguments):
    result = CliRunner().invoke(app, [str(argument) for argument in arguments])
    if result.exception is not None and not isinstance(result.exception, SystemExit):
        raise result.exception
    return result


def train(recipe, data, output, *arguments):
    return run("train", recipe, "--data", data, "--output", output, "--device", "cpu", *arguments)


def test_150_training_steps_reach_a_dice_of_nine_tenths(data, tmp_path):
    result = train(put_recipe(tmp_path, steps=150, every=50), data, tmp_path / "lines", "--seed", 1)
    assert result.exit_code == 0, result.output
    measured = run("evaluate", "--model", tmp_path / "lines", "--data", data / "test", "--json", tmp_path / "m.json")
    assert measured.exit_code == 0, measured.output
    assert json.loads((tmp_path / "m.json").read_text())["iterations"][-1]["dice"] >= 0.9
    assert {path.name for path in (tmp_path / "lines").iterdir()} == {
        "card.json", "model.safetensors", "checkpoint.safetensors", "curves.csv", "curves.svg"
    }  # fmt: skip


def test_interrupted_and_resumed_is_the_same_as_uninterrupted(data, tmp_path, monkeypatch):
    recipe = put_recipe(tmp_path)
    whole = train(recipe, data, tmp_path / "whole", "--seed", 3, "--json", tmp_path / "whole.json")
    assert whole.exit_code == 0, whole.output
    original = Trainer.train_step

    def press(self):
        if self.training_step == 3:
            os.kill(os.getpid(), signal.SIGINT)
        return original(self)

    with monkeypatch.context() as patched:
        patched.setattr(Trainer, "train_step", press)
        stopped = train(recipe, data, tmp_path / "parts", "--seed", 3)
    assert stopped.exit_code == 0 and "4 training steps; the model of step 3 is kept" in stopped.stdout
    refused = train(recipe, data, tmp_path / "parts", "--seed", 3)
    assert refused.exit_code == 1 and "choose another folder, or --resume" in refused.stderr
    # the seed is that of the checkpoint, whatever is given here
    resumed = train(recipe, data, tmp_path / "parts", "--resume", "--json", tmp_path / "parts.json")
    assert resumed.exit_code == 0, resumed.output
    assert (tmp_path / "parts.json").read_text() == (tmp_path / "whole.json").read_text()
    one, other = (tmp_path / name / "model.safetensors" for name in ("parts", "whole"))
    assert one.read_bytes() == other.read_bytes()


def test_several_classes_from_class_ids_to_figures(tmp_path):
    """Nineteen colours, a class each: what is learned tells them apart, and every class is named in the card."""
    random = np.random.default_rng(0)
    cube = np.stack(np.meshgrid([30, 128, 225], [30, 128, 225], [30, 128, 225]), axis=-1)
    colours = random.permutation(cube.reshape(-1, 3))
    for split, count in (("train", 6), ("val", 2)):
        for kind in ("images", "labels"):
            (tmp_path / split / kind).mkdir(parents=True)
        for number in range(count):
            labels = random.integers(0, 19, (6, 6)).repeat(16, 0).repeat(16, 1).astype(np.uint8)
            image = np.clip(colours[labels] + random.normal(0, 4, (96, 96, 3)), 0, 255).astype(np.uint8)
            Image.fromarray(image).save(tmp_path / split / "images" / f"{number}.png")
            Image.fromarray(labels).save(tmp_path / split / "labels" / f"{number}.png")
    classes = ", ".join(f'{{ name = "class {k}", color = "#{10 * k:06x}" }}' for k in range(19))
    sizes = {"base_channels = 4": "base_channels = 8", "hidden_channels = 8": "hidden_channels = 32"}
    loss = {"dice_weight = 0.5": "gradient_clip = 5", "learning_rate = 1e-2": "learning_rate = 2e-2"}
    recipe = put_recipe(tmp_path, steps=120, every=120, **sizes, **loss)
    head, _, tail = recipe.read_text().partition("[augmentation]")
    lines = [f"classes = [{classes}]" if line.startswith("classes") else line for line in head.splitlines()]
    still = "contrast = 0\nbrightness = 0\ncolour = 0\ngamma = 0\nshading = 0\ngrey = 0\nblur = 0\nnoise = 0\n"
    recipe.write_text("\n".join(lines) + "\n[augmentation]" + tail + still)
    result = train(recipe, tmp_path, tmp_path / "out")
    assert result.exit_code == 0, result.output
    card = read_card(tmp_path / "out")
    assert card.network.classes == 19 and card.classes[18].color == "#0000b4"
    measured = run("evaluate", "--model", tmp_path / "out", "--data", tmp_path / "val", "--json", tmp_path / "m.json")
    assert measured.exit_code == 0, measured.output
    row = json.loads((tmp_path / "m.json").read_text())["iterations"][-1]
    assert row["miou"] > 0.3, "by chance it is 0.03"
    assert [each["name"] for each in row["classes"]] == [f"class {k}" for k in range(19)]


def test_encoder_weights_are_loaded_or_their_lack_is_said(data, tmp_path):
    recipe = put_recipe(tmp_path, steps=1, **{"crop_size = 64": "crop_size = 32", "batch_size = 2": "batch_size = 1"})
    recipe.write_text(recipe.read_text().replace("[network]", '[network]\nname = "unet-vgg16"'))
    weights = tmp_path / "vgg16.pth"
    state = encoder_of(build("unet-vgg16")).state_dict()
    torch.save({name: torch.full_like(value, 1e-3) for name, value in state.items()}, weights)
    result = train(recipe, data, tmp_path / "given", "--encoder-weights", weights)
    assert result.exit_code == 0 and "random" not in result.stderr, result.output
    assert read_card(tmp_path / "given").training["encoder_weights"].startswith("vgg16.pth, sha256 ")
    from napari_runet.models.weights import load_network

    trained = encoder_of(load_network(tmp_path / "given")[1]).features[0].weight
    assert (trained - 1e-3).abs().max() < 1e-2, "one step moves a weight by about the learning rate"
    weights.write_bytes(b"damaged")
    refused = train(recipe, data, tmp_path / "damaged", "--encoder-weights", weights)
    assert refused.exit_code == 1 and "cannot be read" in refused.stderr and not (tmp_path / "damaged").exists()
    nothing = train(recipe, tmp_path / "nowhere", tmp_path / "none")
    assert "starts with random weights; --encoder-weights FILE" in nothing.stderr


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["--data", "{data}/nowhere"], "There is no folder"),
        (["--data", "{data}/train"], "There is no folder"),
        (["--resume"], "nothing to resume"),
        (["--from", "nobody"], "no model called 'nobody'"),
        (["--device", "tpu"], "device"),
        (["--encoder-weights", "{data}/vgg.pth"], "dru-4 has no VGG16 or ResNet50 encoder"),
    ],
)
def test_what_cannot_work_is_a_sentence_and_leaves_nothing(data, tmp_path, models_home, arguments, says):
    given = [argument.format(data=data) for argument in arguments]
    result = train(put_recipe(tmp_path), data, tmp_path / "out", *given)
    assert result.exit_code == 1 and says in result.stderr and len(result.stderr.strip().splitlines()) == 1
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"batch_size = 2": "batch_size = 2\nwings = 2"}, "the key 'wings', which is not known"),
        ({"[network]": '[network]\nname = "dru-9"'}, "no network called 'dru-9'"),
        ({'id = "lines"': 'id = "two words"'}, "id: String should match pattern"),
        ({"training_steps": "training steps"}, "is not valid TOML"),
    ],
)
def test_recipes_that_cannot_be_used_are_a_sentence(data, tmp_path, changes, says):
    result = train(put_recipe(tmp_path, **changes), data, tmp_path / "out")
    assert result.exit_code == 1 and says in result.stderr and not (tmp_path / "out").exists()


def test_a_folder_of_another_recipe_is_not_gone_on_with(data, tmp_path):
    recipe = put_recipe(tmp_path)
    assert train(recipe, data, tmp_path / "out").exit_code == 0
    before = {path.name: path.read_bytes() for path in (tmp_path / "out").iterdir()}
    recipe.write_text(recipe.read_text().replace("1e-2", "2e-2"))
    result = train(recipe, data, tmp_path / "out", "--resume")
    assert result.exit_code == 1 and "another recipe (it differs in learning_rate)" in result.stderr
    assert {path.name: path.read_bytes() for path in (tmp_path / "out").iterdir()} == before


def test_rows_of_the_table_and_shipped_models_are_recipes_by_name(data, tmp_path, monkeypatch):
    seen = []

    def stop(plan, *_, **__):
        seen.append(plan.id)
        raise ValueError("far enough")

    monkeypatch.setattr("napari_runet.training.loop.train", stop)
    for name in ("rec-simple", "retina"):
        assert "far enough" in train(name, data, tmp_path / "out").stderr
    assert seen == ["rec-simple", "retina"]
    missing = train("no-such-recipe", data, tmp_path / "out")
    assert missing.exit_code == 1 and "There is no recipe no-such-recipe; give a TOML file, or one of" in missing.stderr
