"""Beginning from a mask: what s_0 is, what stays, and what is refused."""

import warnings

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from napari_runet.images.image_input import ImageError, ImageInput
from napari_runet.images.prediction import Prediction
from napari_runet.inference.devices import choose_device
from napari_runet.inference.iterations import iterate_plane
from napari_runet.inference.segmenter import LoadedModel, segment
from napari_runet.inference.starting import Start, read_start
from napari_runet.models.card import ClassInfo, ModelCard, NetworkConfig, goes_on_from_masks
from napari_runet.networks import build
from napari_runet.networks.iterative import State

UNKNOWN = 255


def model(classes: int = 2, **config) -> LoadedModel:
    torch.manual_seed(5)
    network = NetworkConfig(in_channels=1, classes=classes, base_channels=2, hidden_channels=4, **config)
    infos = [ClassInfo(name="background", color="#000000")]
    infos += [ClassInfo(name=f"class {number}", color="#ff0000") for number in range(1, classes)]
    card = ModelCard(
        id="some", title="Some", sentence="For tests.", network=network, classes=tuple(infos), tile_size=64,
        tile_overlap=16, training={"recipe": {"start_states": 0.3}},
    )  # fmt: skip
    return LoadedModel(card, build(network).eval(), choose_device("cpu"))


TWO, THREE, LOGITS = model(2), model(3), model(2, feedback="logits", initial_segmentation=0.5)


@given(
    which=st.sampled_from((TWO, THREE, LOGITS)),
    shape=st.tuples(st.integers(33, 150), st.integers(33, 110)),
    share=st.sampled_from((0.001, 0.2, 1.0)),
    begun=st.sampled_from(("nothing", "labels", "prediction")),
    seed=st.integers(0, 1000),
)
@settings(max_examples=25, deadline=None)
def test_a_pinned_pixel_never_changes(which, shape, share, begun, seed):
    rng = np.random.default_rng(seed)
    image = rng.integers(0, 255, shape, np.uint8)
    classes = len(which.card.classes)
    pinned = np.where(rng.random(shape) < share, rng.integers(0, classes, shape), UNKNOWN).astype(np.uint8)
    start = {
        "nothing": None,
        "labels": rng.integers(0, classes, shape),
        "prediction": Prediction(rng.random((1, classes - 1, *shape), np.float32) / classes, 0.5, "some", ""),
    }[begun]
    found = segment(image, which, iterations=3, start=start, pinned=pinned)
    where = pinned != UNKNOWN
    for labels in found.labels:
        np.testing.assert_array_equal(labels[where], pinned[where])
    for number in range(1, classes):
        np.testing.assert_array_equal(found.foreground[:, number - 1][:, where], [pinned[where] == number] * 3)


@pytest.mark.parametrize("which", [TWO, THREE, LOGITS])
def test_the_network_reads_the_mask_one_hot_and_initial_where_it_is_unknown(which):
    rng = np.random.default_rng(0)
    shape, classes = (48, 64), len(which.card.classes)
    image = rng.integers(0, 255, shape, np.uint8)
    labels = np.where(rng.random(shape) < 0.3, UNKNOWN, rng.integers(0, classes, shape)).astype(np.uint8)
    pinned = np.where(rng.random(shape) < 0.1, labels, UNKNOWN)
    found = segment(image, which, iterations=2, start=labels, pinned=pinned)

    network, low, high = which.network, *np.percentile(image, [0.5, 99.5]).astype(np.float32)
    pixels = torch.from_numpy(np.clip(2 * (image.astype(np.float32) - low) / (high - low) - 1, -2, 2))[None, None]
    s = np.full((classes, *shape), network.config.initial_segmentation, np.float32)
    hot = np.eye(classes, dtype=np.float32)
    s[:, labels != UNKNOWN] = hot[labels[labels != UNKNOWN]].T
    pins = hot[pinned[pinned != UNKNOWN]].T
    pins = np.log(np.maximum(pins, 1e-4)) if network.config.feedback == "logits" else pins
    state = State(torch.from_numpy(s)[None], network.initial_hidden(pixels))
    with torch.inference_mode():
        for given_back in found.foreground:
            state.segmentation[0][:, torch.from_numpy(pinned != UNKNOWN)] = torch.from_numpy(pins)
            logits, state = network.step(pixels, state)
            expected = torch.softmax(logits, 1)[0, 1:].numpy()
            free = pinned == UNKNOWN
            np.testing.assert_allclose(given_back[:, free], expected[:, free], atol=2e-5)


@pytest.mark.parametrize("tile_size", [64, 256])
def test_nothing_known_is_the_same_as_no_start(tile_size):
    image = np.random.default_rng(1).integers(0, 255, (90, 100), np.uint8)
    plain = segment(image, TWO, tile_size=tile_size)
    source = ImageInput.from_array(image)
    steps = iterate_plane(
        TWO.card, TWO.network, source, iterations=3, tile_size=tile_size, tile_overlap=16,
        start=Start(np.full(image.shape, UNKNOWN, np.uint8), None, np.full(image.shape, UNKNOWN, np.uint8)),
    )  # fmt: skip
    np.testing.assert_array_equal(plain.foreground, np.stack([step.foreground for step in steps]))


def test_a_mask_to_start_from_makes_a_difference_in_every_tile():
    image = np.random.default_rng(1).integers(0, 255, (90, 150), np.uint8)
    plain, full = (segment(image, TWO, iterations=1, start=start) for start in (None, np.ones(image.shape, bool)))
    different = plain.foreground[0, 0] != full.foreground[0, 0]
    assert different[:40, :40].any() and different[-40:, -40:].any()


MASK = np.zeros((40, 50), np.uint8)


@pytest.mark.parametrize(
    ("start", "pinned", "sentence"),
    [
        (MASK[1:], None, "start mask of image is 39 x 50 pixels, the image is 40 x 50"),
        (MASK[None], None, "start mask of image is 1 x 40 x 50 pixels"),
        (MASK + 7, None, "has label 7; Some knows 0 background, 1 class 1, and 255 is unknown"),
        (MASK.astype(np.int32) - 1, None, "has label -1"),
        (MASK.astype(np.float32), None, "holds float32 values"),
        (MASK + 255, None, "knows no pixel"),
        (MASK, MASK[:, 1:] == 0, "image of pinned pixels of image is 40 x 49"),
        (MASK + 255, MASK == 0, "2000 pinned pixels of image are unknown"),
        (None, MASK == 0, "no start mask says what they are"),
        (None, MASK + 3, "image of pinned pixels of image has label 3"),
        (Prediction(np.zeros((1, 2, 40, 50), np.float32), 0.5, "x", ""), None, "has 2 foreground classes, Some has 1"),
        (Prediction(np.zeros((1, 1, 9, 50), np.float32), 0.5, "x", ""), None, "prediction to start from of image is 9"),
    ],
)
def test_what_does_not_fit_is_a_sentence(start, pinned, sentence):
    with pytest.raises(ImageError) as caught:
        segment(MASK, TWO, start=start, pinned=pinned)
    assert sentence in str(caught.value)


def test_what_is_begun_from_is_read_as_it_is_meant():
    assert read_start(None, None, MASK.shape, TWO.card) is None
    assert read_start(None, MASK + 255, MASK.shape, TWO.card) is None
    assert read_start(MASK, MASK > 0, MASK.shape, TWO.card).pinned is None
    yes = np.arange(2000).reshape(40, 50) % 2 == 0
    start = read_start(yes, yes, MASK.shape, TWO.card)
    np.testing.assert_array_equal(start.labels, yes)
    np.testing.assert_array_equal(start.pinned, np.where(yes, 1, UNKNOWN))


def test_a_model_that_was_not_trained_for_it_says_so_and_does_it():
    untrained = LoadedModel(TWO.card.model_copy(update={"training": {}}), TWO.network, TWO.device)
    assert goes_on_from_masks(TWO.card) and not goes_on_from_masks(untrained.card)
    with pytest.warns(UserWarning, match="Some was not trained to go on from a mask"):
        found = segment(MASK, untrained, start=MASK)
    np.testing.assert_array_equal(found.foreground, segment(MASK, TWO, start=MASK).foreground)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        segment(MASK, untrained)
