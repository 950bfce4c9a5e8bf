from dataclasses import replace

import numpy as np
import pytest
import torch

import napari_runet
from napari_runet.images.pixel_size import PixelSize
from napari_runet.inference.devices import DeviceChoice
from napari_runet.inference.segmenter import LoadedModel, segment
from napari_runet.models.card import ClassInfo, ModelCard, NetworkConfig
from napari_runet.models.store import ModelError, read_card
from napari_runet.models.weights import load_network, save_network
from napari_runet.networks import build
from napari_runet.settings import FineTuningSettings
from napari_runet.training import fine_tuning, patches
from napari_runet.training.candidate import corrections_digest
from napari_runet.training.correction_loss import CorrectionLoss
from napari_runet.training.correction_trainer import CorrectionTrainer, Tuning
from napari_runet.training.evaluation import evaluate
from napari_runet.training.holding_out import group_labels
from napari_runet.training.loop import TrainingError
from napari_runet.training.new_model import new_model
from napari_runet.training.pairs import DataError, Pair
from napari_runet.training.patches import PatchReader

FAST = Tuning(loss=CorrectionLoss(keep=1.0), learning_rate=5e-3, batch_size=4, crop_size=64, average_decay=0.8)


def stripes(seed, size=96, spots=24, shape=(5, 5)):
    """Dark stripes on a bright ground, and a few labelled spots."""
    rng = np.random.default_rng(seed)
    truth = np.zeros((size, size), np.uint8)
    for row in range(rng.integers(2, 10), size - 8, 18):
        truth[row : row + 7] = 1
    image = (190 - 110 * truth[..., None] + rng.normal(0, 8, (size, size, 3))).clip(0, 255).astype(np.uint8)
    labels = np.full(truth.shape, 255, np.uint8)
    for _ in range(spots):
        y, x = rng.integers(0, size - 6, 2)
        labels[y : y + shape[0], x : x + shape[1]] = truth[y : y + shape[0], x : x + shape[1]]
    return Pair(f"stripes {seed}", image, labels), truth


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    """A tiny model that has learned nothing."""
    torch.manual_seed(4)
    network = build("dru-4", in_channels=3, classes=2, base_channels=4, hidden_channels=8)
    card = ModelCard(
        id="tiny",
        title="Tiny",
        sentence="For tests.",
        network=network.config,
        classes=(ClassInfo(name="ground", color="#000000"), ClassInfo(name="stripe", color="#ffffff")),
        iterations=2,
        tile_size=128,
        tile_overlap=32,
    )
    folder = tmp_path_factory.mktemp("models") / "tiny"
    save_network(folder, card, network)
    card, network = load_network(folder)
    return LoadedModel(card, network, DeviceChoice("cpu", "CPU, as asked."))


def last(model, samples, **options):
    tuning = options.pop("tuning", FAST)
    settings = FineTuningSettings(device="cpu", **{"training_steps": 30, **options})
    *reports, report = fine_tuning.fine_tune(model, samples, settings, tuning=tuning)
    assert all(r.candidate is None for r in reports)
    return report.candidate, reports


def dice(model, pair, truth):
    found = segment(pair.image, model).labels[-1]
    return 2 * (found * truth).sum() / (found.sum() + truth.sum())


def test_a_few_spots_make_a_better_model_and_its_figures_say_so(model):
    before_state = {name: tensor.clone() for name, tensor in model.network.state_dict().items()}
    pair, _ = stripes(0)
    candidate, reports = last(model, [pair], training_steps=50)
    assert candidate.figures.better is True and candidate.figures.method == "held-out"
    assert candidate.figures.after > candidate.figures.before + 0.1
    unseen, truth = stripes(7)
    tuned = LoadedModel(candidate.card, candidate.network(), model.device)
    assert dice(tuned, unseen, truth) > dice(model, unseen, truth) + 0.1
    for name, tensor in model.network.state_dict().items():
        assert torch.equal(tensor, before_state[name])
    assert reports[-1].training_step == 50 and reports[-1].loss < reports[0].loss


def test_the_card_names_parent_corrections_settings_and_figures(model, tmp_path):
    pair, _ = stripes(0)
    candidate, _ = last(model, [pair], training_steps=3, seed=5, name="Stripes of mine")
    card = candidate.save(tmp_path / "stripes-2")
    assert card == read_card(tmp_path / "stripes-2")
    assert card.parent == model.card.sha256 and card.sha256 != card.parent and card.id == "stripes-2"
    assert card.title == "Stripes of mine"
    assert card.training["corrections"] == corrections_digest([pair])
    assert card.training["settings"]["seed"] == card.training["seed"] == 5
    figures = card.metrics["fine_tuning"]
    assert {"before", "after", "better", "training_steps", "seconds"} <= set(figures)
    assert figures["training_steps"] == 3
    with pytest.raises(ModelError, match="already"):
        candidate.save(tmp_path / "stripes-2")


def test_the_same_seed_and_steps_give_the_same_candidate(model):
    pair, _ = stripes(1)
    first, _ = last(model, [pair], training_steps=4, seed=3)
    second, _ = last(model, [pair], training_steps=4, seed=3)
    other, _ = last(model, [pair], training_steps=4, seed=4)
    assert all(torch.equal(first.state[name], second.state[name]) for name in first.state)
    assert any(not torch.equal(first.state[name], other.state[name]) for name in first.state)


def test_a_candidate_that_became_worse_is_told_to_be_so(model):
    pair, _ = stripes(0)
    good, _ = last(model, [pair], training_steps=50)
    taught = LoadedModel(good.card.model_copy(update={"sha256": "1" * 64}), good.network(), model.device)
    loss = CorrectionLoss(keep=0.0)
    ruinous = Tuning(loss=loss, learning_rate=3.0, crop_size=64, gradient_clip=1e3, average_decay=0.0)
    bad, _ = last(taught, [pair], training_steps=12, tuning=ruinous)
    assert bad.figures.better is False
    assert bad.figures.after <= bad.figures.before


def test_held_out_pixels_are_never_trained_on(model, monkeypatch):
    pair, _ = stripes(0)
    trained, judged = [], []
    original = patches.PatchReader.patches

    def note(self, groups, most, *rest):
        groups = list(groups)
        (judged if most == fine_tuning.MOST_HELD_PATCHES else trained).append(groups)
        return original(self, groups, most, *rest)

    monkeypatch.setattr(patches.PatchReader, "patches", note)
    last(model, [pair], training_steps=2)
    places = [{tuple(p) for group in part for p in group.points} for part in (trained[0], judged[0])]
    assert places[0] and places[1] and not places[0] & places[1]
    assert places[0] | places[1] == {tuple(p) for p in np.argwhere(pair.labels != 255)}


@pytest.mark.parametrize("case", ["one pixel", "one class", "whole image", "two strokes"])
def test_any_amount_of_corrections_gives_a_candidate_that_says_what_it_knows(model, case):
    pair, truth = stripes(2)
    labels = np.full(truth.shape, 255, np.uint8)
    if case == "one pixel":
        labels[40, 40] = 1
    elif case == "one class":
        labels[truth == 1] = 1
    elif case == "whole image":
        labels = truth.copy()
    else:
        labels[10:13, 10:20], labels[70:73, 60:70] = truth[10:13, 10:20], truth[70:73, 60:70]
    candidate, _ = last(model, [Pair("case", pair.image, labels)], training_steps=4)
    figures = candidate.figures
    if case == "one pixel":
        assert figures.better is None and figures.before is None and "too few" in figures.reason
    elif case == "two strokes":
        assert figures.method == "cross-validation" and figures.before is not None
    else:
        assert figures.method == ("held-out" if case == "whole image" else "cross-validation")
        assert 0 <= figures.before <= 1 and figures.better in (True, False, None)
    assert all(torch.isfinite(tensor).all() for tensor in candidate.state.values())


def test_stop_ends_within_one_training_step_and_keeps_a_candidate(model):
    pair, _ = stripes(0)
    steps = []
    settings = FineTuningSettings(device="cpu", seconds=3600)
    reports = fine_tuning.fine_tune(model, [pair], settings, stop=lambda: len(steps) >= 3, tuning=FAST)
    for report in reports:
        steps.append(report)
    assert report.candidate is not None
    assert report.candidate.figures.training_steps == 4
    assert report.candidate.figures.method == "held-out"


def test_ctrl_c_in_the_middle_keeps_a_candidate(model, monkeypatch):
    pair, _ = stripes(0)
    original = CorrectionTrainer.train_step

    def interrupted(self, progress):
        if self.training_step == 2:
            raise KeyboardInterrupt
        return original(self, progress)

    monkeypatch.setattr(CorrectionTrainer, "train_step", interrupted)
    candidate, _ = last(model, [pair], training_steps=500)
    assert candidate.figures.training_steps == 2


def test_a_loss_that_is_not_a_number_ends_with_a_sentence_and_no_candidate(model, monkeypatch):
    pair, _ = stripes(0)
    monkeypatch.setattr(CorrectionLoss, "__call__", lambda self, logits, batch: logits[0].sum() * float("nan"))
    with pytest.raises(TrainingError, match="not a number at training step 1, so there is no candidate"):
        last(model, [pair])


def test_bad_corrections_are_refused_with_a_sentence(model):
    pair, _ = stripes(0)
    with pytest.raises(DataError, match="Nothing is corrected yet"):
        last(model, [Pair("none", pair.image, np.full_like(pair.labels, 255))])
    with pytest.raises(DataError, match="Nothing is corrected yet"):
        last(model, [])
    labels = pair.labels.copy()
    labels[0, 0] = 7
    with pytest.raises(DataError, match="labelled 7"):
        last(model, [Pair("seven", pair.image, labels)])


def test_only_what_lies_around_corrections_is_read_of_a_large_image(model):
    class Large:
        shape, dtype, ndim = (4096, 4096, 3), np.dtype(np.uint8), 3
        reads = ()

        def __getitem__(self, key):
            rows, columns = (range(*part.indices(4096)) for part in key[:2])
            Large.reads += (len(rows) * len(columns),)
            return np.random.default_rng(0).integers(0, 255, (len(rows), len(columns), 3), dtype=np.uint8)

    labels = np.full((4096, 4096), 255, np.uint8)
    for k in range(10):
        labels[400 * k : 400 * k + 6, 300 * k : 300 * k + 20] = k % 2
    candidate, _ = last(model, [Pair("large", Large(), labels)], training_steps=2)
    assert candidate.figures.training_steps == 2
    largest = (patches.CELL + 2 * patches.MARGIN) ** 2
    around = [pixels for pixels in Large.reads if pixels <= largest]
    strips = [pixels for pixels in Large.reads if pixels > largest]  # to measure the intensities, at most all
    assert around and 0 < sum(strips) <= 4096**2


def test_a_part_of_a_plane_is_normalised_as_the_plane_is(model):
    rng = np.random.default_rng(3)
    plane = rng.integers(0, 256, (200, 160, 3), np.uint8)
    plane[:64, :64] //= 8  # the part is dark, so that its own intensities are others
    labels = np.full((200, 160), 255, np.uint8)
    labels[10:20, 10:20] = 1
    part = Pair("part", plane[:64, :64], labels[:64, :64], measured=plane)
    (group,) = group_labels(part.labels, 0)
    (whole,), (mine,), (alone,) = (
        PatchReader([pair], model.card, model.network).patches([group], 1, 0)
        for pair in (Pair("plane", plane, labels), part, replace(part, measured=None))
    )
    assert torch.equal(whole.image[:, :64, :64], mine.image)
    assert (mine.image - alone.image).abs().mean() > 0.5


def test_images_are_learned_from_at_the_pixel_size_at_which_they_are_segmented(model, monkeypatch):
    pair, _ = stripes(1)
    pair.labels[40, 10:60] = 1  # a stroke one pixel wide
    assert patches.as_seen(pair, model) is pair  # the card says nothing of widths
    monkeypatch.setattr(patches, "pixel_size_of", lambda *_: PixelSize(0.5, 12.0))
    seen = patches.as_seen(pair, model)
    assert seen.image.shape == (48, 48, 3) and seen.labels.shape == (48, 48)
    assert (seen.labels[20, 6:29] == 1).all(), "the stroke is whole"
    assert set(np.unique(seen.labels)) <= {0, 1, 255}
    # averaged over what a pixel covers, of what the network would see at full size
    low, high = np.percentile(pair.image, [0.5, 99.5], axis=(0, 1))
    full = np.clip(2 * (pair.image - low) / (high - low) - 1, -1, 1)
    assert np.abs(seen.image[:] - full.reshape(48, 2, 48, 2, 3).mean(axis=(1, 3))).mean() < 0.1
    candidate, _ = last(model, [pair], training_steps=2)
    assert candidate.figures.training_steps >= 2
    assert candidate.card.training["corrections"] == corrections_digest([pair]), "of what the person gave"


@pytest.mark.parametrize("scale", [1.0, 0.5])
@pytest.mark.parametrize("grey", [lambda image: image[..., 0], lambda image: image[..., :1]], ids=["YX", "YXC"])
def test_grey_images_are_learned_from_however_they_come(model, monkeypatch, grey, scale):
    monkeypatch.setattr(patches, "pixel_size_of", lambda *_: PixelSize(scale, 12.0))
    pair, _ = stripes(1)
    grey = replace(pair, image=grey(pair.image), measured=grey(pair.image))
    candidate, _ = last(model, [grey], training_steps=2)
    colour = replace(pair, image=np.repeat(pair.image[..., :1], 3, axis=-1))
    expected, _ = last(model, [colour], training_steps=2)
    for name, tensor in expected.state.items():
        torch.testing.assert_close(candidate.state[name], tensor, rtol=0, atol=1e-5)


@pytest.mark.parametrize("parent", [False, True])
def test_a_model_that_was_taught_is_not_said_to_be_untrained(model, tmp_path, parent):
    save_network(tmp_path / "old", model.card, model.network)
    names = (ClassInfo(name="ground", color="#000000"), ClassInfo(name="stripe", color="#ffffff"))
    made = new_model(tmp_path / "made", "made", names, parent=tmp_path / "old" if parent else None)
    assert "fine-tune to teach it stripe" in made.sentence
    candidate, _ = last(napari_runet.load_model(tmp_path / "made", "cpu"), [stripes(1)[0]], training_steps=2)
    assert candidate.card.sentence == "Finds stripe, as it was taught by corrections."
    candidate, _ = last(model, [stripes(1)[0]], training_steps=2)
    assert candidate.card.sentence == model.card.sentence


@pytest.mark.parametrize("name", ["dru-4", "sru-2", "rec-simple"])
def test_a_model_for_grey_images_begins_as_its_parent_for_colours(tmp_path, name):
    """It reads its own last mask, and grey is what all three colours have in common."""
    torch.manual_seed(5)
    config = NetworkConfig(name=name, base_channels=4, hidden_channels=4)
    classes = (ClassInfo(name="ground", color="#000000"), ClassInfo(name="stripe", color="#ffffff"))
    card = ModelCard(id="old", title="Old", sentence="For a test.", network=config, classes=classes)
    save_network(tmp_path / "old", card, build(config))
    new_model(tmp_path / "grey", "grey", classes, channels=1, parent=tmp_path / "old")
    (_, parent), (_, child) = load_network(tmp_path / "old"), load_network(tmp_path / "grey")
    grey = torch.rand(1, 1, 32, 32)
    with torch.inference_mode():
        expected = [parent.eval()(grey.expand(1, 3, 32, 32), 3), child.eval()(grey, 3)]
    torch.testing.assert_close(*expected)


def test_channels_that_are_no_colours_are_learned_from_too(tmp_path):
    classes = (ClassInfo(name="ground", color="#000000"), ClassInfo(name="stripe", color="#ffffff"))
    card = new_model(tmp_path / "two", "two", classes, channels=2)
    pair, _ = stripes(1)
    pair = replace(pair, image=pair.image[..., :2])
    candidate, _ = last(napari_runet.load_model(tmp_path / "two", "cpu"), [pair], training_steps=2)
    assert candidate.card.network == card.network
    evaluated = evaluate(napari_runet.load_model(tmp_path / "two", "cpu"), [pair])
    assert evaluated.images[0][0].confusion.sum() == (pair.labels != 255).sum()


def test_fine_tune_is_part_of_the_public_api():
    assert napari_runet.fine_tune is fine_tuning.fine_tune
    assert napari_runet.FineTuningSettings is FineTuningSettings
    assert napari_runet.CorrectionSet((2, 2)).counts.known == 0
