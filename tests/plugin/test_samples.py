"""The samples of File > Open Sample, without a window."""

import numpy as np
import pytest
from skimage import data

from napari_runet.models.store import ModelStore
from napari_runet.plugin import samples

OPENERS = {"retina": samples.open_retina, "roads": samples.open_roads, "hands": samples.open_hands}


@pytest.fixture
def said(monkeypatch):
    """What was told to the user, instead of a pop-up."""
    sentences = []
    monkeypatch.setattr(samples, "show_info", sentences.append)
    monkeypatch.setattr(samples, "show_warning", sentences.append)
    return sentences


@pytest.mark.parametrize("task", sorted(OPENERS))
def test_a_drawn_sample_is_one_named_rgb_image_of_some_size(task, said):
    [(image, options, kind)] = OPENERS[task]()
    metadata = {"napari_runet_model": task}
    assert kind == "image" and options == {"name": f"{task} (drawn)", "rgb": True, "metadata": metadata}
    assert image.dtype == np.uint8 and image.shape[2] == 3 and min(image.shape[:2]) >= 768


def test_a_sample_whose_model_is_not_there_opens_and_says_so(said, monkeypatch):
    monkeypatch.setattr(ModelStore, "models", lambda self: [])
    assert len(samples.open_hands()) == 1
    assert len(said) == 1 and "no hands model" in said[0]


@pytest.mark.parametrize("error", [ConnectionError("no route"), ValueError("wrong hash"), TimeoutError("slow")])
def test_a_photograph_that_cannot_be_fetched_is_a_sentence_and_no_layer(said, monkeypatch, error):
    def fail():
        raise error

    monkeypatch.setattr(data, "retina", fail)
    assert samples.open_retina_photograph() == []
    assert len(said) == 1 and "Internet" in said[0] and str(error) in said[0]


def test_the_photograph_is_scikit_images(said, monkeypatch):
    photograph = np.zeros((5, 6, 3), np.uint8)
    monkeypatch.setattr(data, "retina", lambda: photograph)
    [(image, options, kind)] = samples.open_retina_photograph()
    assert image is photograph and options["name"] == "retina (photograph)" and kind == "image"
