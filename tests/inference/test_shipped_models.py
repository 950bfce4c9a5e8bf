"""The shipped models do what their cards say, on drawn pictures and on real ones."""

import hashlib

import golden
import numpy as np
import pytest
from PIL import Image

import napari_runet
from napari_runet.images.drawn import draw_fundus
from napari_runet.models.store import ModelStore, shipped_folder
from napari_runet.training.pairs import read_pairs
from napari_runet.training.validation import validate
from real_data import real_data

SHIPPED = [model.card.id for model in ModelStore().models() if model.shipped]


def dice(mask, truth):
    return 2 * (mask & truth).sum() / (mask.sum() + truth.sum())


@pytest.fixture(scope="module")
def retina():
    return napari_runet.load_model("retina", device="cpu")


@pytest.fixture(scope="module")
def photograph():
    path = sorted((real_data("retina") / "val" / "images").glob("chase*"))[0]
    mask = path.parents[1] / "masks" / f"{path.stem}.png"
    return np.asarray(Image.open(path)), np.asarray(Image.open(mask)) > 0


def test_retina_is_shipped():
    assert "retina" in SHIPPED


@pytest.mark.parametrize("name", SHIPPED)
def test_card_weights_and_recipe_belong_together(name):
    folder = shipped_folder() / name
    card = ModelStore().models()[SHIPPED.index(name)].card
    assert (folder / "recipe.toml").is_file()
    weights = (folder / "model.safetensors").read_bytes()
    assert hashlib.sha256(weights).hexdigest() == card.sha256
    assert len(weights) < 1.6e6
    assert card.network.name == "dru-4" and card.training_data and card.limits and card.open_questions
    network = napari_runet.load_model(name, device="cpu").network
    assert sum(parameter.numel() for parameter in network.parameters()) <= 400_000


@pytest.mark.parametrize("name", SHIPPED)
def test_shipped_weights_give_what_they_gave_when_they_were_shipped(name):
    card, kept = ModelStore().models()[SHIPPED.index(name)].card, golden.kept(name)
    assert kept["sha256"] == card.sha256, "write the golden outputs of the new weights: tests/inference/golden.py"
    assert golden.probabilities(name) == pytest.approx(np.array(kept["probabilities"]), abs=1e-4)


def test_retina_traces_drawn_vessels(retina):
    image, truth = draw_fundus(seed=0)
    prediction = napari_runet.segment(image, retina)
    assert dice(prediction.labels[-1] > 0, truth > 0) >= 0.7


def test_retina_refines_its_mask_on_real_photographs(retina):
    pairs = read_pairs(real_data("retina") / "val")
    scores = validate(retina.card, retina.network, pairs, iterations=3)
    assert scores[2] >= 0.77
    assert scores[2] >= scores[0]
    assert np.round(scores, 2) == pytest.approx(np.round(retina.card.metrics["val"]["dice"], 2), abs=0.011)


def test_ten_iterations_do_not_collapse(retina, photograph):
    image, truth = photograph
    crop = np.s_[200:712, 200:712]
    prediction = napari_runet.segment(image[crop], retina, iterations=10)
    scores = [dice(labels > 0, truth[crop]) for labels in prediction.labels]
    assert min(scores[2:]) >= scores[2] - 0.03


def test_tiles_agree_with_the_whole_image(retina, photograph):
    """Group norm looks at a whole tile, so the two differ; how much is a promise."""
    image, _ = photograph
    whole = napari_runet.segment(image, retina, iterations=1, tile_size=2048).labels[-1] > 0
    tiled = napari_runet.segment(image, retina, iterations=1, tile_size=592).labels[-1] > 0
    agreement = dice(tiled, whole)
    assert 0.9 <= agreement < 1, "less is a seam; exactly 1 would mean that nothing was tiled"


def test_sixteen_bits_and_floats_give_the_mask_of_eight_bits(retina, photograph):
    image = photograph[0][200:456, 200:456]
    expected = napari_runet.segment(image, retina, iterations=1).labels[-1]
    for same in (image.astype(np.uint16) * 100, image.astype(np.float32) / 255 - 3):
        found = napari_runet.segment(same, retina, iterations=1).labels[-1]
        assert (found == expected).mean() > 0.999
