"""A model's figures: over all images, over groups of them, and against another model."""

import json

import numpy as np
import pytest
import torch
from PIL import Image
from sklearn import metrics as sklearn_metrics
from typer.testing import CliRunner

import napari_runet
from napari_runet.cli import app
from napari_runet.models.card import ClassInfo, ModelCard, NetworkConfig
from napari_runet.models.weights import save_network
from napari_runet.networks import build
from napari_runet.training.evaluation import evaluate
from napari_runet.training.losses import UNKNOWN
from napari_runet.training.pairs import read_pairs
from napari_runet.training.summary import difference, groups_of, summary

CLASSES = 19


def save_model(folder, seed, classes=CLASSES):
    torch.manual_seed(seed)
    network = build(NetworkConfig(classes=classes, base_channels=2, hidden_channels=4))
    infos = tuple(ClassInfo(name=f"class {k}", color=f"#{k:06x}") for k in range(classes))
    card = ModelCard(id=folder.name, title="T", sentence="S.", network=network.config, classes=infos)
    save_network(folder, card, network)
    return folder


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Two models of 19 classes, and six images with class ids, some of them unknown."""
    root = tmp_path_factory.mktemp("nineteen")
    for seed, name in enumerate(("first", "second")):
        save_model(root / name, seed)
    rng = np.random.default_rng(0)
    for kind in ("images", "labels"):
        (root / "data" / kind).mkdir(parents=True)
    for number in range(6):
        name = f"{'night' if number % 3 else 'Day'}_{number}.png"
        labels = rng.integers(0, CLASSES, (8, 10)).repeat(6, 0).repeat(6, 1).astype(np.uint8)
        labels[:5] = UNKNOWN
        image = rng.integers(0, 256, (48, 60, 3), np.uint8)
        Image.fromarray(image).save(root / "data" / "images" / name)
        Image.fromarray(labels).save(root / "data" / "labels" / name)
    return root


@pytest.fixture(scope="module")
def evaluations(folder):
    pairs = read_pairs(folder / "data")
    return [evaluate(napari_runet.load_model(folder / name, device="cpu"), pairs) for name in ("first", "second")]


def pooled(folder, names, iteration):
    """Truth and prediction of all known pixels, by the Python API."""
    model = napari_runet.load_model(folder / "first", device="cpu")
    truth, found = [], []
    for pair in read_pairs(folder / "data"):
        if pair.name in names:
            labels = napari_runet.segment(pair.image, model).labels[iteration - 1]
            truth.append(pair.labels[pair.labels != UNKNOWN])
            found.append(labels[pair.labels != UNKNOWN])
    return np.concatenate(truth), np.concatenate(found)


def check(figures, truth, found):
    """Compare with scikit-learn, over classes that are there or were found."""
    row = figures["iterations"][1]
    seen = sorted({*truth.tolist(), *found.tolist()})
    assert row["miou"] == pytest.approx(sklearn_metrics.jaccard_score(truth, found, labels=seen, average="macro"))
    assert row["mf1"] == pytest.approx(sklearn_metrics.f1_score(truth, found, labels=seen, average="macro"))
    recalls = sklearn_metrics.recall_score(truth, found, labels=range(CLASSES), average=None, zero_division=np.nan)
    assert [each["recall"] for each in row["classes"]] == [None if np.isnan(r) else pytest.approx(r) for r in recalls]


def test_nineteen_classes_are_scikit_learns(folder, evaluations):
    content = summary(evaluations[0], by_prefix=True)
    names = [each["name"] for each in content["per_image"]]
    check(content, *pooled(folder, names, 2))
    assert content["n"] == 6 and content["groups"].keys() == {"day", "night"}
    day = content["groups"]["day"]
    assert day["n"] == 2 and content["groups"]["night"]["n"] == 4
    check(day, *pooled(folder, ["Day_0", "Day_3"], 2))
    json.dumps(content, allow_nan=False)


def test_dice_is_the_mean_over_images_of_the_right_classes(folder, evaluations):
    content = summary(evaluations[0])
    expected = []
    for pair in read_pairs(folder / "data"):
        truth, found = pooled(folder, [pair.name], 3)
        expected.append(sklearn_metrics.f1_score(truth, found, labels=range(1, CLASSES), average="micro"))
    row = content["iterations"][2]
    assert [each["dice"][2] for each in content["per_image"]] == pytest.approx(expected)
    assert row["dice"] == pytest.approx(np.mean(expected))
    low, high = row["intervals"]["dice"]
    assert min(expected) <= low <= row["dice"] <= high <= max(expected)
    low, high = row["intervals"]["miou"]
    assert low < row["miou"] < high


def test_difference_of_two_models_is_paired(evaluations):
    first, second = (summary(each) for each in evaluations)
    change = [b["dice"][2] - a["dice"][2] for a, b in zip(first["per_image"], second["per_image"], strict=True)]
    told = difference(*evaluations)
    assert told["difference"] == pytest.approx(np.mean(change))
    assert told["interval"][0] <= told["difference"] <= told["interval"][1]
    same = difference(evaluations[0], evaluations[0])
    assert same["difference"] == 0 and same["interval"] == [0, 0]


def test_names_are_grouped_by_their_first_letters():
    assert groups_of(["hgr_1", "HGR2", "rf-3", "7"]) == {"": [3], "hgr": [0, 1], "rf": [2]}


def run(*arguments):
    result = CliRunner().invoke(app, [str(argument) for argument in arguments])
    if result.exception is not None and not isinstance(result.exception, SystemExit):
        raise result.exception
    return result


def test_models_side_by_side_on_the_command_line(folder, tmp_path):
    figures = tmp_path / "figures.json"
    result = run("evaluate", "--data", folder / "data", "--compare", folder / "first", folder / "second",
                 "--by-prefix", "--iterations", 2, "--json", figures)  # fmt: skip
    assert result.exit_code == 0, result.output
    content = json.loads(figures.read_text())
    assert [each["model"] for each in content["models"]] == ["first", "second"]
    lines = [line.split() for line in result.stdout.splitlines()]
    dice = next(line for line in lines if line[:1] == ["Dice"])
    assert dice[1:] == [f"{each['iterations'][1]['dice']:.4f}" for each in content["models"]]
    assert "night: 4 images" in result.stdout and "Dice of second less that of first" in result.stdout
    alone = run("evaluate", "--data", folder / "data", "--model", folder / "first", "--iterations", 2)
    assert "IoU of class 18" in alone.stdout


@pytest.mark.parametrize("arguments", [[], ["--model", "a", "b"], ["a"]])
def test_naming_no_model_or_too_many_is_a_sentence(tmp_path, arguments):
    result = run("evaluate", "--data", tmp_path, *arguments)
    assert result.exit_code == 2 and "--compare" in result.output
