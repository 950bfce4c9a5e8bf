"""The losses against naive loops."""

import numpy as np
import pytest
import torch

from napari_runet.training.losses import UNKNOWN, recurrent_loss, single_loss, soft_dice_loss


@pytest.fixture
def batch():
    generator = torch.Generator().manual_seed(0)
    logits = [torch.randn(2, 3, 4, 5, generator=generator) for _ in range(3)]
    target = torch.randint(0, 3, (2, 4, 5), generator=generator)
    target[0, :2] = UNKNOWN
    return logits, target


def naive_cross_entropy(logits, target):
    terms = []
    for (b, y, x), label in np.ndenumerate(target.numpy()):
        if label != UNKNOWN:
            scores = logits[b, :, y, x].double().numpy()
            terms.append(np.log(np.exp(scores).sum()) - scores[label])
    return np.mean(terms)


def naive_dice(logits, target):
    losses = []
    for k in (1, 2):
        overlap = total = 0.0
        for (b, y, x), label in np.ndenumerate(target.numpy()):
            if label != UNKNOWN:
                scores = np.exp(logits[b, :, y, x].double().numpy())
                p = scores[k] / scores.sum()
                overlap += p * (label == k)
                total += p + (label == k)
        losses.append(1 - (2 * overlap + 1) / (total + 1))
    return np.mean(losses)


@pytest.mark.parametrize("alpha", [0.4, 1.0])
@pytest.mark.parametrize("dice_weight", [0.0, 0.5])
def test_loss_of_the_paper(batch, alpha, dice_weight):
    logits, target = batch
    weights = [alpha**2, alpha, 1]
    terms = [naive_cross_entropy(step, target) + dice_weight * naive_dice(step, target) for step in logits]
    expected = np.dot(weights, terms) / sum(weights)
    found = recurrent_loss(logits, target, alpha=alpha, dice_weight=dice_weight)
    assert float(found) == pytest.approx(expected, rel=1e-5)


def test_unknown_pixels_have_no_gradient(batch):
    logits, target = batch
    scores = logits[0].clone().requires_grad_()
    single_loss(scores, target, dice_weight=0.5).backward()
    assert (scores.grad[0, :, :2] == 0).all()
    assert (scores.grad[0, :, 2:].abs().sum(dim=0) > 0).all()


def test_nothing_known_is_no_loss_and_no_nan():
    scores = torch.randn(1, 2, 4, 4, requires_grad=True)
    loss = single_loss(scores, torch.full((1, 4, 4), UNKNOWN), dice_weight=0.0)
    loss.backward()
    assert float(loss.detach()) == 0 and (scores.grad == 0).all()


def test_perfect_overlap():
    target = torch.tensor([[[0, 1], [1, 0]]])
    logits = 50.0 * torch.stack([1.0 - target, target.float()], dim=1)
    assert float(soft_dice_loss(logits, target)) == pytest.approx(0, abs=1e-6)
