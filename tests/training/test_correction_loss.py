"""What fine-tuning minimises, against loops; and what the old model is asked."""

import numpy as np
import pytest
import torch

from napari_runet.inference.backends.choosing import has_fast_bfloat16
from napari_runet.inference.devices import DeviceChoice
from napari_runet.inference.segmenter import LoadedModel
from napari_runet.models.card import ClassInfo, ModelCard
from napari_runet.networks import build
from napari_runet.settings import FineTuningSettings
from napari_runet.training.correction_loss import CorrectionLoss
from napari_runet.training.correction_sampler import MILD, AnywhereSampler, CorrectionBatch, CorrectionSampler
from napari_runet.training.correction_trainer import STROKES_ALONE, CorrectionTrainer, Tuning
from napari_runet.training.patches import Patch, reviewed


def softmax(scores):
    powers = np.exp(scores - scores.max())
    return powers / powers.sum()


def test_corrections_pull_and_old_answers_hold_but_beside_mistakes():
    generator = torch.Generator().manual_seed(0)
    logits = torch.randn(1, 2, 9, 9, generator=generator)
    old = torch.softmax(torch.randn(1, 2, 9, 9, generator=generator), dim=1)
    labels = torch.full((1, 9, 9), 255)
    labels[0, 4, 4], labels[0, 0, 0], labels[0, 8, 8] = (int(old[0, 1, 4, 4] < 0.5), 0, 0)  # the first is a mistake
    old[0, :, 0, 0] = old[0, :, 8, 8] = torch.tensor([0.9, 0.1])
    untouched = labels == 255
    untouched[0, 0, 5] = False  # held out
    found = CorrectionLoss(keep=3.0, doubt_radius=1)([logits], CorrectionBatch(logits, labels, old, untouched))
    weights, corrected, kept, trusted = {0: 1 / 4, 1: 1 / 2} if labels[0, 4, 4] == 1 else {0: 1 / 3}, 0.0, 0.0, 0.0
    for y in range(9):
        for x in range(9):
            p, q = softmax(logits[0, :, y, x].double().numpy()), old[0, :, y, x].double().numpy()
            label = int(labels[0, y, x])
            if label != 255:
                corrected -= weights[label] * np.log(p[label])
            elif untouched[0, y, x] and max(abs(y - 4), abs(x - 4)) > 1:
                kept += q.max() * (q * np.log(q / p)).sum()
                trusted += q.max()
    assert float(found) == pytest.approx(corrected + 3 * kept / trusted, rel=1e-5)


@pytest.fixture
def model():
    torch.manual_seed(0)
    network = build("dru-4", in_channels=3, classes=2, base_channels=2, hidden_channels=4).eval()
    classes = (ClassInfo(name="ground", color="#000000"), ClassInfo(name="line", color="#ffffff"))
    card = ModelCard(id="t", title="T", sentence="T.", network=network.config, classes=classes, iterations=2)
    return LoadedModel(card, network, DeviceChoice("cpu", "CPU, as asked."))


def patches():
    rng = torch.Generator().manual_seed(1)
    image = torch.rand(3, 80, 90, generator=rng).half()
    labels = torch.full((80, 90), 255, dtype=torch.uint8)
    labels[40:44, 30:40] = 1
    old = torch.full((2, 80, 90), 0.5).half()
    return [Patch(image, labels, labels == 255, old)]


def test_elsewhere_the_old_model_is_asked_about_the_crop_as_it_is_shown(model):
    trainer = CorrectionTrainer(model, patches(), Tuning(crop_size=32), seed=0)
    batch = trainer.anywhere.draw(2)
    asked = trainer._asked(batch, depth=2)
    with torch.no_grad():
        expected = torch.softmax(model.network(batch.images, 2)[-1], dim=1)
    assert torch.allclose(asked.old, expected, atol=1e-6) and not torch.allclose(asked.old, batch.old, atol=1e-3)


@pytest.mark.parametrize("through_time", [True, False])
def test_a_training_step_moves_the_copy_and_not_the_model(model, through_time):
    tuning = Tuning(crop_size=32, through_time=through_time, batch_size=1, anywhere=1, learning_rate=1e-2)
    trainer = CorrectionTrainer(model, patches(), tuning, seed=0)
    before = {name: tensor.clone() for name, tensor in model.network.state_dict().items()}
    losses = [trainer.train_step(part / 12) for part in range(12)]
    assert np.mean(losses[-4:]) < np.mean(losses[:4])
    assert all(torch.equal(tensor, before[name]) for name, tensor in model.network.state_dict().items())
    assert any(not torch.equal(tensor, before[name]) for name, tensor in trainer.state().items())


def test_training_in_bfloat16_keeps_the_weights_in_float32_and_learns_the_same(model):
    def lost(precision):
        trainer = CorrectionTrainer(model, patches(), Tuning(crop_size=32, anywhere=1, precision=precision), seed=0)
        losses = [trainer.train_step(part / 6) for part in range(6)]
        assert all(tensor.dtype == torch.float32 for tensor in trainer.state().values())
        return trainer.in_bfloat16, losses

    assert Tuning().precision == FineTuningSettings().precision == "auto"
    exact, rounded = lost("float32"), lost("auto")
    assert (exact[0], rounded[0]) == (False, has_fast_bfloat16())
    assert rounded[1] == pytest.approx(exact[1], rel=0.05)
    assert (rounded[1] == exact[1]) is not rounded[0]


def test_crops_from_anywhere_also_show_places_without_a_label():
    sampler = AnywhereSampler(patches(), 32, Tuning().wide, torch.Generator().manual_seed(0))
    batch = sampler.draw(12)
    labelled = (batch.labels != 255).flatten(1).any(dim=1)
    assert labelled.any() and not labelled.all()
    assert not (batch.untouched & (batch.labels != 255)).any()


def said(wrong, right):
    """A patch of which so many columns were wrong, and so many right, in the eyes of a person; all foreground."""
    labels = torch.full((200, 400), 255, dtype=torch.uint8)
    labels[100, 30 : 30 + wrong] = 1
    labels[100, 300 : 300 + right] = 1
    line = torch.zeros(200, 400)
    line[:, 200:] = 1.0
    return Patch(torch.zeros(3, 200, 400).half(), labels, labels == 255, torch.stack([1 - line, line]).half())


def test_what_was_wrong_is_shown_as_often_as_what_was_right():
    sampler = CorrectionSampler([said(2, 60)], 32, MILD, torch.Generator().manual_seed(0))
    batch = sampler.draw(80)
    of_wrong = [bool((batch.old[i, 1] < 0.5).any()) for i in range(80)]  # the half of the patch that is wrong
    assert 25 < sum(of_wrong) < 55


@pytest.mark.parametrize(("wrong", "right", "alone"), [(10, 30, False), (10, 10, False), (30, 10, True)])
def test_near_corrections_old_answers_are_held_only_where_nothing_was_reviewed(model, wrong, right, alone):
    parts = [said(wrong, right)]
    assert reviewed(parts) is not alone
    trainer = CorrectionTrainer(model, parts, Tuning(crop_size=32), 0)
    assert bool(trainer.sampler.draw(8).untouched.any()) is alone
    assert trainer.anywhere.draw(8).untouched.any()
    assert trainer.loss.keep == Tuning().loss.keep * (STROKES_ALONE if alone else 1)
