"""The estimate by which candidates are judged, against a sum over single pixels."""

import numpy as np
import pytest
import torch

from napari_runet.models.card import ClassInfo, ModelCard, NetworkConfig
from napari_runet.training import judging
from napari_runet.training.budget import Budget
from napari_runet.training.fine_tuning import best_move, moved
from napari_runet.training.judging import Overlap, Tally, judge, tally
from napari_runet.training.patches import Patch

CLASSES = (ClassInfo(name="ground", color="#000000"), ClassInfo(name="line", color="#ffffff"))
CARD = ModelCard(id="some", title="Some", sentence="For tests.", network=NetworkConfig(), classes=CLASSES)


def patch(seed=0, size=12, *, reviewed=False):
    """A patch with random old answers, of which a few pixels are labelled: as wrong, or most of them as right."""
    rng = np.random.default_rng(seed)
    line = rng.random((size, size)) ** 2
    right = rng.random((size, size)) < (0.8 if reviewed else 0.2)
    said = np.where(right, line >= 0.5, line < 0.5)
    labels = np.where(rng.random((size, size)) < 0.2, said, 255).astype(np.uint8)
    untouched = (labels == 255) & (rng.random((size, size)) < 0.9)  # the others are labelled for training
    old = torch.from_numpy(np.stack([1 - line, line])).half()
    return Patch(torch.zeros(3, size, size).half(), torch.from_numpy(labels), torch.from_numpy(untouched), old)


def naive_dice(parts, answers, *, reviewed):
    """Dice on labelled pixels, a pixel of the outline forgiven, and on others of which the old answers were sure."""
    hits, total = [0, 0], [0, 0]
    for part, answer in zip(parts, answers, strict=True):
        labels = part.labels.numpy()
        for (y, x), label in np.ndenumerate(labels):
            old = float(part.old[1, y, x])
            around = slice(max(0, y - 1), y + 2), slice(max(0, x - 1), x + 2)
            if label != 255:
                total[0] += int(label == 1) + int(answer[y, x] == 1)
                hits[0] += int(label == 1 and (answer[around] == 1).any())
                hits[0] += int(answer[y, x] == 1 and (labels[around] == 1).any())
            elif part.untouched[y, x] and max(old, float(part.old[0, y, x])) >= 0.9:
                total[1] += int(old >= 0.5) + int(answer[y, x] == 1)
                hits[1] += 2 * int(old >= 0.5 and answer[y, x] == 1)
    return hits[0] / total[0] if reviewed else (hits[0] / total[0] + hits[1] / total[1]) / 2


def answers_of(monkeypatch, answers):
    """Have the network answer with these masks, one patch after the other."""
    left = [torch.from_numpy(np.stack([1 - a, a]).astype(np.float32)) for a in answers]
    monkeypatch.setattr(judging, "probabilities", lambda *_: left.pop(0))


@pytest.mark.parametrize("reviewed", [True, False])
def test_the_estimate_is_that_of_a_sum_over_pixels(monkeypatch, reviewed):
    parts = [patch(0, reviewed=reviewed), patch(1, reviewed=reviewed)]
    answers = [np.random.default_rng(seed).integers(0, 2, (12, 12)) for seed in (5, 6)]
    old = [(part.old[1].float().numpy() >= 0.5).astype(int) for part in parts]
    found = tally(CARD, None, parts)
    assert found.reviewed is reviewed
    assert found.dice == pytest.approx(naive_dice(parts, old, reviewed=reviewed), rel=1e-4)
    answers_of(monkeypatch, answers)
    assert tally(CARD, object(), parts).dice == pytest.approx(naive_dice(parts, answers, reviewed=reviewed), rel=1e-4)


@pytest.mark.parametrize(("after", "better"), [(0.52, True), (0.502, None), (0.498, None), (0.48, False)])
def test_what_is_too_close_is_left_to_the_eye(after, better):
    def found(dice):
        total = np.array([0, 1000])
        overlap = Overlap(np.array([0, round(2000 * dice)]), total, total)
        return Tally(overlap, Overlap(2 * total, total, total), confirmed=900)

    figures = judge(found(0.5), found(after), "held-out", 1.0, Budget(1))
    assert figures.better is better and ("too close" in figures.reason) is (better is None)


@pytest.mark.parametrize(("spoiled", "better"), [(0, True), (10, True), (200, None)])
def test_a_candidate_is_better_only_if_it_does_not_spoil_what_was_right(monkeypatch, spoiled, better):
    truth = np.zeros((40, 40), int)
    truth[10:14] = truth[24:28] = 1
    line = np.where(truth == 1, 0.97, 0.02)
    line[24:28, :20] = 0.3  # half of a line is missed
    labels = np.full((40, 40), 255, np.uint8)
    labels[24:28, 4:12] = 1
    old = torch.from_numpy(np.stack([1 - line, line])).half()
    part = Patch(torch.zeros(3, 40, 40).half(), torch.from_numpy(labels), torch.from_numpy(labels == 255), old)
    before = tally(CARD, None, [part])
    assert before.agreement == 1 and before.dice == 0.5  # not 0, for being wrong where it was corrected
    answer = truth.copy()
    answer.flat[np.flatnonzero(truth == 0)[:spoiled]] = 1
    answers_of(monkeypatch, [answer])
    after = tally(CARD, object(), [part])
    figures = judge(before, after, "held-out", 0.5, Budget(1))
    assert figures.better is better
    assert figures.moved == 0.5 and (figures.kept == 1) is (spoiled == 0)


def test_of_moves_that_are_about_as_good_the_smallest_is_taken(monkeypatch):
    class Found:
        def __init__(self, dice, agreement=0.9, reviewed=False):
            self.dice, self.agreement, self.reviewed = dice, agreement, reviewed

    assert best_move({0.25: Found(0.5), 0.5: Found(0.599), 0.75: Found(0.6), 1.0: Found(0.55)}) == 0.5
    assert best_move({0.25: Found(0.5), 1.0: Found(0.55)}) == 1.0
    reviewed = {0.5: Found(0.6, reviewed=True), 1.0: Found(0.597, reviewed=True)}
    assert best_move(reviewed) == 1.0  # and the largest, where the evidence is better
    assert best_move({**reviewed, 1.0: Found(0.59, reviewed=True)}) == 0.5
    assert best_move({0.25: Found(0.5), 1.0: Found(0.9, 0.6)}) == 0.25  # it turned over what was sure
    assert best_move({0.25: Found(0.5, 0.1), 1.0: Found(0.9, 0.6)}) == 0.25
    assert 0 < best_move({}) < 1 and best_move({}, (1.0,)) == 1.0  # a model from nothing goes all the way
    old = {"w": torch.tensor([1.0, 2.0]), "n": torch.tensor(3)}
    new = {"w": torch.tensor([3.0, 0.0]), "n": torch.tensor(5)}
    assert moved(old, new, 0.25)["w"].tolist() == [1.5, 1.5] and int(moved(old, new, 0.25)["n"]) == 5
    assert old["w"].tolist() == [1.0, 2.0]
