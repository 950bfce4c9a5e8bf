"""The trainer: it learns, resumes exactly, and keeps what it had when something goes wrong."""

import csv
import errno
import json
import shutil
from dataclasses import replace
from itertools import pairwise

import numpy as np
import pytest
import torch
from PIL import Image

import napari_runet
from napari_runet.inference.backends.choosing import has_fast_bfloat16
from napari_runet.inference.segmenter import load_model
from napari_runet.models.card import ClassInfo, NetworkConfig
from napari_runet.training.augmentation import Augmentation
from napari_runet.training.curves import read_curves
from napari_runet.training.loop import train
from napari_runet.training.pairs import DataError
from napari_runet.training.recipe import Recipe
from napari_runet.training.trainer import Trainer, TrainingError, learning_rate_at


def draw_set(folder, count, seed):
    """Bright wavy lines on a dark, noisy ground."""
    random = np.random.default_rng(seed)
    for kind in ("images", "masks"):
        (folder / kind).mkdir(parents=True)
    y, x = np.mgrid[:96, :96]
    for number in range(count):
        wave = 48 + 25 * np.sin(x / random.uniform(8, 20) + random.uniform(0, 6))
        mask = np.abs(y - wave) < 4
        image = np.clip(70 + 90 * mask[..., None] + random.normal(0, 15, (96, 96, 3)), 0, 255)
        Image.fromarray(image.astype(np.uint8)).save(folder / "images" / f"{number}.png")
        Image.fromarray((255 * mask).astype(np.uint8)).save(folder / "masks" / f"{number}.png")


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    folder = tmp_path_factory.mktemp("drawn")
    draw_set(folder / "train", 4, 0)
    draw_set(folder / "val", 2, 1)
    return folder


def recipe(**changes):
    fields = {
        "id": "lines",
        "title": "Lines",
        "sentence": "Drawn lines.",
        "classes": (ClassInfo(name="background", color="#000000"), ClassInfo(name="line", color="#ff0000")),
        "network": NetworkConfig(base_channels=4, hidden_channels=8),
        "training_steps": 6,
        "batch_size": 2,
        "crop_size": 32,
        "warm_up_steps": 2,
        "validate_every": 3,
        "iterations": 2,
    }
    return Recipe.model_validate(fields | changes)


def test_a_recipe_asks_for_bfloat16_and_weights_stay_float32(data, tmp_path):
    exact, rounded = (
        [report.loss for report in train(recipe(precision=precision), data, tmp_path / precision, seed=5)]
        for precision in ("float32", "auto")
    )
    assert rounded == pytest.approx(exact, rel=0.05)
    assert (rounded == exact) is not has_fast_bfloat16()
    assert all(tensor.dtype == torch.float32 for tensor in load_model(tmp_path / "auto").network.state_dict().values())


@pytest.mark.parametrize("precision", ["float32", "auto"])
def test_resuming_gives_what_an_uninterrupted_run_gives(data, tmp_path, precision):
    plan = recipe(precision=precision)
    whole = list(train(plan, data, tmp_path / "whole", seed=5))
    seen = []
    list(train(plan, data, tmp_path / "parts", seed=5, stop=lambda: len(seen) == 4 or seen.append(0)))
    resumed = list(train(plan, data, tmp_path / "parts", seed=5, resume=True))
    assert [report.training_step for report in resumed] == [5, 6]
    assert resumed[-1].loss == whole[-1].loss
    assert resumed[-1].dice == whole[-1].dice
    assert (tmp_path / "parts/model.safetensors").read_bytes() == (tmp_path / "whole/model.safetensors").read_bytes()
    curves = [read_curves(tmp_path / name, 99) for name in ("parts", "whole")]
    assert [replace(point, seconds=0) for point in curves[0]] == [replace(point, seconds=0) for point in curves[1]]


def test_a_trained_folder_is_a_model_with_curves(data, tmp_path):
    reports = list(train(recipe(), data, tmp_path))
    model = napari_runet.load_model(tmp_path, device="cpu")
    assert model.card.id == "lines" and model.card.training["training_steps"] in (3, 6)
    measured = [report for report in reports if report.dice is not None]
    assert model.card.metrics["val"]["dice"][-1] == round(max(report.dice[-1] for report in measured), 4)
    with (tmp_path / "curves.csv").open() as stream:
        rows = list(csv.DictReader(stream))
    assert [int(row["training_step"]) for row in rows] == [3, 6]
    assert float(rows[1]["loss"]) == pytest.approx(np.mean([report.loss for report in reports[3:]]))
    assert (tmp_path / "curves.svg").read_text().count("<polyline") == 3  # the loss, and Dice of two iterations


def test_another_recipe_cannot_resume(data, tmp_path):
    list(train(recipe(), data, tmp_path))
    before = (tmp_path / "checkpoint.safetensors").read_bytes()
    with pytest.raises(TrainingError, match=r"another recipe \(it differs in learning_rate\)"):
        list(train(recipe(learning_rate=1e-4), data, tmp_path, resume=True))
    assert (tmp_path / "checkpoint.safetensors").read_bytes() == before
    with pytest.raises(TrainingError, match="nothing to resume"):
        list(train(recipe(), data, tmp_path / "elsewhere", resume=True))


def test_a_damaged_checkpoint_is_refused(data, tmp_path):
    list(train(recipe(), data, tmp_path))
    path = tmp_path / "checkpoint.safetensors"
    path.write_bytes(path.read_bytes()[:-7])
    with pytest.raises(TrainingError, match=r"cannot be read: .*without --resume"):
        list(train(recipe(), data, tmp_path, resume=True))


def test_a_loss_that_is_no_number_stops_and_keeps_the_checkpoint(data, tmp_path, monkeypatch):
    list(train(recipe(), data, tmp_path))
    before = {path.name: path.read_bytes() for path in tmp_path.iterdir()}

    def poisoned(self, count):
        return torch.full((count, 3, 32, 32), float("nan")), torch.ones(count, 32, 32, dtype=torch.long)

    monkeypatch.setattr("napari_runet.training.samples.CropSampler.batch", poisoned)
    with pytest.raises(TrainingError, match="not a number at training step 0"):
        list(train(recipe(), data, tmp_path))
    assert {path.name: path.read_bytes() for path in tmp_path.iterdir()} == before


def test_a_gradient_that_is_no_number_touches_no_weight(data, tmp_path, monkeypatch):
    from napari_runet.training import trainer as module

    loss_of = module.recurrent_loss
    steps = []

    def poisoned(*arguments, **options):
        loss = loss_of(*arguments, **options)
        steps.append(loss)
        if len(steps) == 3:
            loss.register_hook(lambda gradient: gradient * float("nan"))
        return loss

    monkeypatch.setattr(module, "recurrent_loss", poisoned)
    before = {}
    with pytest.raises(TrainingError, match="gradient is not a number at training step 2"):
        for report in train(recipe(validate_every=2), data, tmp_path):
            before = {path.name: path.read_bytes() for path in tmp_path.iterdir()}
            assert report.training_step <= 2
    assert before and {path.name: path.read_bytes() for path in tmp_path.iterdir()} == before


def test_a_full_disk_at_a_checkpoint_leaves_the_last_one_and_the_model(data, tmp_path, monkeypatch):
    list(train(recipe(training_steps=3), data, tmp_path))
    before = {path.name: path.read_bytes() for path in tmp_path.iterdir()}
    napari_runet.load_model(tmp_path, device="cpu")

    def full(descriptor):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr("napari_runet.io.atomic.os.fsync", full)
    with pytest.raises(TrainingError, match=r"the disk is full; make room .*go on by --resume"):
        list(train(recipe(training_steps=3, validate_every=99), data, tmp_path, stop=lambda: True))
    with pytest.raises(TrainingError, match=r"card\.json cannot be written: the disk is full"):
        list(train(recipe(training_steps=3), data, tmp_path))
    assert {path.name: path.read_bytes() for path in tmp_path.iterdir()} == before
    with pytest.raises(TrainingError, match=r"choose another folder\.$"):  # there is nothing to go on from
        list(train(recipe(training_steps=3), data, tmp_path / "new"))


def test_curves_that_cannot_be_replaced_end_no_training(data, tmp_path):
    """As on Windows while a spreadsheet has them open."""
    (tmp_path / "curves.csv").mkdir()
    reports = []
    with pytest.raises(TrainingError, match=r"curves\.csv cannot be written"):
        for report in train(recipe(), data, tmp_path):
            reports.append(report)
    assert len(reports) == 6 and (tmp_path / "checkpoint.safetensors").exists()
    (tmp_path / "curves.csv").rmdir()
    list(train(recipe(), data, tmp_path, resume=True))
    napari_runet.load_model(tmp_path, device="cpu")


def test_a_file_where_the_model_should_go_is_a_sentence(data, tmp_path):
    (tmp_path / "taken").write_text("notes")
    for output, says in ((tmp_path / "taken", "a file of that name"), (tmp_path / "taken/out", "is a file; choose")):
        with pytest.raises(TrainingError, match=says):
            list(train(recipe(), data, output))
    assert (tmp_path / "taken").read_text() == "notes"


def test_what_is_odd_in_the_data_is_told(data, tmp_path):
    shutil.copytree(data, tmp_path / "data")
    path = next((tmp_path / "data/val/masks").iterdir())
    values = np.array(Image.open(path))
    values[:, :9] //= 2
    Image.fromarray(values).save(path)
    told = []
    list(train(recipe(), tmp_path / "data", tmp_path / "out", stop=lambda: True, tell=told.append))
    assert len(told) == 1 and f"val: 1 mask holds more than one value above 0 (such as {path.name})" in told[0]


def test_a_stop_before_the_first_validation_leaves_a_model_and_changes_no_later_result(data, tmp_path):
    seen = []
    list(train(recipe(), data, tmp_path / "parts", seed=5, stop=lambda: len(seen) == 2 or seen.append(0)))
    assert napari_runet.load_model(tmp_path / "parts", device="cpu").card.training["training_steps"] == 2
    list(train(recipe(), data, tmp_path / "parts", seed=5, resume=True))
    list(train(recipe(), data, tmp_path / "whole", seed=5))
    assert (tmp_path / "parts/model.safetensors").read_bytes() == (tmp_path / "whole/model.safetensors").read_bytes()


def test_a_killed_training_that_is_resumed_has_no_row_twice(data, tmp_path):
    class KilledError(Exception):
        pass

    list(train(recipe(training_steps=6, validate_every=1), data, tmp_path, stop=CountDown(3)))
    with pytest.raises(KilledError):
        for report in train(recipe(training_steps=6, validate_every=1), data, tmp_path, resume=True):
            if report.training_step == 5:
                raise KilledError
    assert len(read_curves(tmp_path, 99)) == 5
    list(train(recipe(training_steps=6, validate_every=1), data, tmp_path, resume=True))
    assert [point.training_step for point in read_curves(tmp_path, 99)] == [1, 2, 3, 4, 5, 6]


class CountDown:
    """True after it was asked `count` times."""

    def __init__(self, count):
        self.left = count

    def __call__(self):
        self.left -= 1
        return self.left < 0


def test_patience_ends_training_after_validations_that_were_no_better(data, tmp_path, monkeypatch):
    scores = iter([0.5, 0.7, 0.6, 0.7, 0.9, 0.9])
    monkeypatch.setattr("napari_runet.training.loop.validate", lambda *_: (next(scores),))
    plan = recipe(training_steps=50, validate_every=2, patience=2)
    reports = list(train(plan, data, tmp_path, seed=1))
    assert [report.dice[0] for report in reports if report.dice] == [0.5, 0.7, 0.6, 0.7]
    assert reports[-1].training_step == 8
    assert napari_runet.load_model(tmp_path, device="cpu").card.training["training_steps"] == 4
    assert list(train(plan, data, tmp_path, seed=1, resume=True)) == []


def test_a_checkpoint_of_an_older_version_without_newer_keys_can_be_resumed(data, tmp_path, monkeypatch):
    def older(self):
        content = json.loads(self.recipe.model_dump_json())
        del content["patience"]
        return {**numbers(self), "recipe": json.dumps(content)}

    numbers = Trainer.numbers
    monkeypatch.setattr(Trainer, "numbers", older)
    list(train(recipe(), data, tmp_path, stop=CountDown(2)))
    assert [report.training_step for report in train(recipe(), data, tmp_path, resume=True)] == [3, 4, 5, 6]


def test_data_that_cannot_be_used(data, tmp_path):
    def broken(split, change):
        folder = tmp_path / f"{split}{len(list(tmp_path.iterdir()))}"
        shutil.copytree(data, folder)
        change(folder / split)
        return folder

    def without_mask(folder):
        next((folder / "masks").iterdir()).unlink()

    def other_size(folder):
        path = next((folder / "masks").iterdir())
        Image.fromarray(np.zeros((7, 9), np.uint8)).save(path)

    def other_classes(folder):
        (folder / "masks").rename(folder / "labels")
        for path in (folder / "labels").iterdir():
            Image.fromarray(np.full((96, 96), 7, np.uint8)).save(path)

    def nothing(folder):
        for path in (folder / "masks").iterdir():
            Image.fromarray(np.zeros((96, 96), np.uint8)).save(path)

    cases = {
        "There is no folder": data / "nowhere",
        "no file in masks/": broken("train", without_mask),
        "its file in masks/ is 7 x 9": broken("val", other_size),
        "has labels of class 7, but the recipe names only the classes 0 to 1": broken("val", other_classes),
        "no images in .*val": broken("val", lambda folder: shutil.rmtree(folder / "images")),
        "There is no folder .*val": broken("val", shutil.rmtree),
        "No image in .*val has a labelled foreground": broken("val", nothing),
        "No image in .*train has a labelled foreground": broken("train", nothing),
    }

    for says, folder in cases.items():
        with pytest.raises(DataError, match=says):
            list(train(recipe(), folder, tmp_path / "out"))
        assert not (tmp_path / "out").exists()


def test_learning_rate_warms_up_and_falls():
    rates = [learning_rate_at(recipe(training_steps=100, warm_up_steps=10, learning_rate=1.0), k) for k in range(100)]
    assert rates[0] == pytest.approx(0.1) and rates[9] == pytest.approx(1.0)
    assert all(a > b for a, b in pairwise(rates[10:]))
    assert rates[-1] < 0.02


def test_the_average_follows_the_weights(data):
    from napari_runet.networks import build
    from napari_runet.training.loop import card_of
    from napari_runet.training.pairs import read_pairs
    from napari_runet.training.samples import prepare

    plan = recipe(average_decay=0.5, augmentation=Augmentation())
    card = card_of(plan, 0, "")
    samples = [prepare(pair, card) for pair in read_pairs(data / "train")]
    trainer = Trainer(plan, card, build(plan.network), samples, "cpu", 0)
    expected = {name: value.clone() for name, value in trainer.network.state_dict().items()}
    for step in range(1, 4):
        trainer.train_step()
        decay = min(0.5, (1 + step) / (10 + step))
        for name, value in trainer.network.state_dict().items():
            expected[name] = decay * expected[name] + (1 - decay) * value
    for name, value in trainer.averaged_network().state_dict().items():
        torch.testing.assert_close(value, expected[name])


def test_training_begins_with_the_weights_of_another_model(data, tmp_path):
    list(train(recipe(), data, tmp_path / "first"))
    parent = napari_runet.load_model(tmp_path / "first", device="cpu")
    plan = recipe(training_steps=2, learning_rate=1e-12, weight_decay=0)
    stop = iter([False, True])
    list(train(plan, data, tmp_path / "second", start_from=tmp_path / "first", stop=lambda: next(stop)))
    list(train(plan, data, tmp_path / "second", resume=True))
    child = napari_runet.load_model(tmp_path / "second", device="cpu")
    for name, value in child.network.state_dict().items():
        torch.testing.assert_close(value, parent.network.state_dict()[name])
    assert child.card.parent == parent.card.sha256 and child.card.training["start_from"]["id"] == "lines"
    with pytest.raises(TrainingError, match="another network"):
        other = NetworkConfig(base_channels=4, hidden_channels=4)
        nowhere = data / "nowhere"  # data are read after the model, since they take longer
        list(train(recipe(network=other), nowhere, tmp_path / "third", start_from=tmp_path / "first"))
    assert not (tmp_path / "third").exists()


def test_a_recipe_can_add_drawn_pictures_to_the_data(data, tmp_path):
    # a recipe that gives shares must name all that is trained on, so the refusal tells that the drawing is among it
    plan = recipe(drawn={"hand": 1}, shares={"0": 1, "1": 1, "2": 1, "3": 1})
    with pytest.raises(DataError, match="say nothing of drawn hand 0"):
        next(train(plan, data, tmp_path / "model"))
