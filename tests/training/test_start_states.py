"""States a person could have left: what is pinned is true, and nothing else is claimed to be certain."""

import pytest
import torch
from test_loop import data, recipe  # noqa: F401

from napari_runet.networks import State, build
from napari_runet.training.loop import train
from napari_runet.training.losses import UNKNOWN
from napari_runet.training.start_states import StartStates, as_segmentation

CLASSES = 3


@pytest.fixture(scope="module")
def network():
    torch.manual_seed(0)
    return build("dru-4", classes=CLASSES, base_channels=4, hidden_channels=8)


@pytest.fixture(scope="module")
def batch():
    labels = torch.zeros(4, 64, 64, dtype=torch.long)
    labels[:, 10:30, 12:40] = 1
    labels[:, 40:50, 20:60] = 2
    labels[:, :5] = UNKNOWN
    return torch.randn(4, 3, 64, 64), labels


def starts(share, seed=0):
    return StartStates(share, torch.Generator().manual_seed(seed))


def test_without_a_share_the_recurrence_begins_from_nothing(network, batch):
    start = starts(0.0).draw(network, *batch)
    assert start.pins is None and (start.state.segmentation == network.config.initial_segmentation).all()


def test_pinned_pixels_are_known_true_and_one_hot(network, batch):
    images, labels = batch
    truth = as_segmentation(labels, CLASSES, 0.0)
    pinned = 0
    for seed in range(12):
        start = starts(1.0, seed).draw(network, images, labels)
        if start.pins is None:
            continue
        where = start.pins.where.expand_as(truth)
        pinned += int(where.sum())
        assert not start.pins.where[:, 0][labels == UNKNOWN].any()
        assert torch.equal(start.pins.segmentation[where], truth[where])
        assert torch.equal(start.state.segmentation[where], truth[where])
    assert pinned > 1000


def test_a_mask_left_by_a_person_is_labels_or_nothing(network, batch):
    draw, nothing = starts(1.0, 3), network.initial_state(batch[0])
    damaged = 0
    for _ in range(10):
        s = draw._left_by_a_person(nothing, batch[1]).state.segmentation
        assert torch.equal(s, s.round()) and set(s.sum(dim=1).unique().tolist()) <= {0.0, 1.0}
        known = s.sum(dim=1) == 1
        damaged += int((s.argmax(dim=1) != batch[1])[known & (batch[1] != UNKNOWN)].sum())
    assert damaged > 100


def test_a_corrected_state_is_the_networks_own_but_for_the_strokes(network, batch):
    draw, nothing = starts(1.0, 1), network.initial_state(batch[0])
    start = draw._corrected(network, *[batch[0], nothing, batch[1]])
    own = []
    with torch.no_grad():
        state = nothing
        for _ in range(4):
            _, state = network.step(batch[0], state)
            own.append(state)
    same_hidden = [torch.equal(state.hidden, start.state.hidden) for state in own]
    assert sum(same_hidden) == 1
    free = ~start.pins.where.expand_as(start.state.segmentation)
    assert torch.equal(own[same_hidden.index(True)].segmentation[free], start.state.segmentation[free])
    assert 0 < start.pins.where.sum() < 4 * 300 + 1


def test_no_iteration_changes_a_pinned_pixel(network, batch):
    images, labels = batch
    start = starts(1.0, 0)._corrected(network, images, network.initial_state(images), labels)
    seen: list[State] = []
    original = network.step

    def watched(images, state):
        seen.append(state)
        return original(images, state)

    network.step = watched
    try:
        list(network.iterate_from(images, start.state, 4, start.pins))
    finally:
        del network.step
    where = start.pins.where.expand_as(start.pins.segmentation)
    assert len(seen) == 4
    assert all(torch.equal(state.segmentation[where], start.pins.segmentation[where]) for state in seen)
    assert not torch.equal(seen[3].segmentation, seen[1].segmentation)


def test_unknown_pixels_are_as_before_the_first_iteration():
    labels = torch.tensor([[[0, 2], [UNKNOWN, 1]]])
    s = as_segmentation(labels, CLASSES, 0.25)
    assert s[0, :, 0, 0].tolist() == [1, 0, 0] and s[0, :, 0, 1].tolist() == [0, 0, 1]
    assert s[0, :, 1, 0].tolist() == [0.25] * 3


def test_training_with_start_states_resumes_exactly(data, tmp_path):  # noqa: F811
    plan = recipe(start_states=0.8, single_iteration_steps=2, training_steps=6)
    whole = list(train(plan, data, tmp_path / "whole", seed=5))
    seen = []
    list(train(plan, data, tmp_path / "parts", seed=5, stop=lambda: len(seen) == 4 or seen.append(0)))
    resumed = list(train(plan, data, tmp_path / "parts", seed=5, resume=True))
    assert [report.loss for report in resumed] == [report.loss for report in whole[4:]]
