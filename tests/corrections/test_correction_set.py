from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from napari_runet.corrections.correction import PAINTED, REVIEWED, UNKNOWN, Correction, Counts
from napari_runet.corrections.correction_set import CorrectionSet
from napari_runet.corrections.history import Stroke, StrokeHistory
from napari_runet.images.image_input import Region
from napari_runet.training.losses import UNKNOWN as UNKNOWN_IN_TRAINING

SHAPE = (6, 7)


class NaiveSet:
    """The same rule, pixel by pixel in dictionaries, with whole copies as history."""

    def __init__(self, layer):
        self.layer = layer.copy()
        self.painted = {}
        self.reviewed = set()
        self.done, self.undone = [], []

    def stroke(self, pixels, value):
        before = self.layer.copy(), dict(self.painted)
        changed = [p for p in pixels if self.layer[p] != value]
        if not changed:
            return
        for p in changed:
            self.layer[p] = value
            self.painted[p] = True
        self.done.append((before, (self.layer.copy(), dict(self.painted))))
        self.undone.clear()

    def undo(self):
        if self.done:
            entry = self.done.pop()
            self.undone.append(entry)
            self.layer, self.painted = entry[0][0].copy(), dict(entry[0][1])

    def redo(self):
        if self.undone:
            entry = self.undone.pop()
            self.done.append(entry)
            self.layer, self.painted = entry[1][0].copy(), dict(entry[1][1])

    def labels(self):
        result = np.full(self.layer.shape, UNKNOWN, np.uint8)
        for p in set(self.painted) | self.reviewed:
            result[p] = self.layer[p]
        return result


pixels = st.lists(st.tuples(st.integers(0, SHAPE[0] - 1), st.integers(0, SHAPE[1] - 1)), min_size=1, max_size=6)
boxes = st.tuples(st.integers(0, 4), st.integers(0, 5), st.integers(1, 4), st.integers(1, 4))
acts = st.lists(
    st.one_of(
        st.tuples(st.just("stroke"), pixels, st.integers(0, 2)),
        st.tuples(st.just("undo")),
        st.tuples(st.just("redo")),
        st.tuples(st.just("review"), boxes),
    ),
    max_size=14,
)


@settings(max_examples=150, deadline=None)
@given(acts, st.integers(0, 2**32 - 1), st.booleans())
def test_any_sequence_of_acts_gives_what_the_naive_model_gives(sequence, seed, told):
    start = np.random.default_rng(seed).integers(0, 3, SHAPE).astype(np.uint8)
    naive, ours, replayed = NaiveSet(start), CorrectionSet(SHAPE), CorrectionSet(SHAPE)
    for act, *arguments in sequence:
        before = naive.layer.copy()
        if act == "review":
            y, x, height, width = arguments[0]
            region = Region(y, x, height, width)
            naive.reviewed |= {
                (i, j) for i in range(y, min(y + height, SHAPE[0])) for j in range(x, min(x + width, SHAPE[1]))
            }
            change = ours.review(region, before)
        else:
            getattr(naive, act)(*arguments)
            if not told and act == "stroke" and _takes_back(naive, ours, before):
                return  # told nothing, a stroke that exactly takes back the last one counts as its undo
            change = ours.update_from_difference(before, naive.layer, act if told else None)
        if change is not None:
            replayed.apply(change)
        assert np.array_equal(ours.labels, naive.labels())
        assert ours.counts == replayed.counts == counted(ours)
    assert np.array_equal(replayed.labels, ours.labels)
    assert np.array_equal(replayed.flags, ours.flags)
    assert replayed.regions == ours.regions
    again = CorrectionSet(SHAPE)
    again.apply(ours.snapshot())
    assert np.array_equal(again.labels, ours.labels) and np.array_equal(again.flags, ours.flags)


def counted(ours):
    """The counts, from all pixels; `counts` is kept up from change to change."""
    painted, known = (ours.flags & PAINTED) != 0, int((ours.flags != 0).sum())
    added, removed = int((painted & (ours.labels != 0)).sum()), int((painted & (ours.labels == 0)).sum())
    return Counts(added, removed, len(ours.regions), known)


def _takes_back(naive, ours, before):
    if not np.any(before != naive.layer) or len(naive.done) < 2:
        return False
    last_before, last_after = naive.done[-2][0][0], naive.done[-2][1][0]
    same_pixels = np.array_equal(last_before != last_after, before != naive.layer)
    return same_pixels and np.array_equal(naive.layer[before != naive.layer], last_before[before != naive.layer])


def test_untouched_pixels_are_unknown_and_counts_tell_added_from_removed():
    corrections = CorrectionSet((4, 5))
    before = np.zeros((4, 5), np.uint8)
    before[0] = 1
    after = before.copy()
    after[1, :3], after[0, 0] = 1, 0
    corrections.update_from_difference(before, after)
    assert (corrections.labels != UNKNOWN).sum() == 4
    assert str(corrections.counts) == "3 px added, 1 removed, 0 regions reviewed"
    corrections.review(Region(0, 0, 4, 5), after)
    assert (corrections.labels == after).all()
    assert str(corrections.counts) == "3 px added, 1 removed, 1 region reviewed"


def test_painting_a_pixel_back_by_hand_says_that_it_was_right():
    corrections = CorrectionSet((1, 3))
    layers = [np.array([row], np.uint8) for row in ([0, 0, 0], [1, 1, 0], [0, 1, 0])]
    corrections.update_from_difference(layers[0], layers[1], "stroke")
    corrections.update_from_difference(layers[1], layers[2], "stroke")
    assert corrections.labels.tolist() == [[0, 1, UNKNOWN]]


def test_an_undo_of_two_strokes_at_once_makes_both_unknown_again():
    corrections = CorrectionSet((1, 3))
    layers = [np.array([row], np.uint8) for row in ([0, 0, 0], [1, 0, 0], [1, 1, 0])]
    corrections.update_from_difference(layers[0], layers[1], "stroke")
    corrections.update_from_difference(layers[1], layers[2], "stroke")
    corrections.update_from_difference(layers[2], layers[0], "undo")
    assert (corrections.labels == UNKNOWN).all()


def test_an_undo_after_all_was_forgotten_says_nothing_about_its_pixels():
    corrections = CorrectionSet((1, 3))
    layers = [np.array([row], np.uint8) for row in ([0, 0, 0], [1, 1, 0], [0, 1, 1])]
    corrections.update_from_difference(layers[0], layers[1], "stroke")
    corrections.update_from_difference(layers[1], layers[2], "stroke")
    corrections.forget()
    corrections.update_from_difference(layers[2], layers[1], "undo")
    corrections.update_from_difference(layers[1], layers[0], "undo")
    assert (corrections.labels == UNKNOWN).all()
    corrections.update_from_difference(layers[0], layers[1], "redo")
    assert corrections.labels.tolist() == [[1, 1, UNKNOWN]]


def test_taking_a_review_back_leaves_strokes_and_other_reviews():
    corrections = CorrectionSet((2, 4))
    before = np.zeros((2, 4), np.uint8)
    after = before.copy()
    after[0, 0] = 1
    corrections.update_from_difference(before, after)
    corrections.review(Region(0, 0, 2, 3), after)
    corrections.review(Region(0, 2, 2, 2), after)
    corrections.take_back_review(0)
    assert corrections.flags.tolist() == [[PAINTED, 0, REVIEWED, REVIEWED], [0, 0, REVIEWED, REVIEWED]]
    assert corrections.labels[0, 0] == 1 and corrections.labels[1, 0] == UNKNOWN
    corrections.forget()
    assert not corrections.flags.any() and not corrections.regions


def test_a_masked_region_reviews_only_what_it_encloses():
    corrections = CorrectionSet((4, 4))
    mask = np.array([[True, False], [True, True]])
    corrections.review(Region(-1, 2, 2, 2, mask), np.full((4, 4), 1, np.uint8))
    assert np.argwhere(corrections.labels == 1).tolist() == [[0, 2], [0, 3]]


def test_pinning_never_changes_a_pixel_that_a_person_set():
    rng = np.random.default_rng(3)
    labels = rng.choice([0, 1, 2, UNKNOWN], (9, 8)).astype(np.uint8)
    prediction = rng.integers(0, 3, (3, 9, 8)).astype(np.uint8)
    pinned = Correction(labels).pin(prediction)
    for plane, old in zip(pinned, prediction, strict=True):
        for place in np.ndindex(9, 8):
            assert plane[place] == (old[place] if labels[place] == UNKNOWN else labels[place])
    with pytest.raises(ValueError, match="correction is"):
        Correction(labels).pin(prediction[:, :5])


def test_the_digest_depends_on_labels_and_plane_only():
    labels = np.full((3, 3), UNKNOWN, np.uint8)
    assert Correction(labels).digest == CorrectionSet((3, 3)).digest
    assert Correction(labels).digest != Correction(labels, (1,)).digest
    labels = labels.copy()
    labels[1, 1] = 0
    assert Correction(labels).digest != CorrectionSet((3, 3)).digest


def test_refusals_change_nothing():
    corrections = CorrectionSet((2, 2))
    zeros = np.zeros((2, 2), np.int64)
    with pytest.raises(ValueError, match="numbered from 0 to 254"):
        corrections.update_from_difference(zeros, zeros + 255)
    with pytest.raises(ValueError, match="the plane that is corrected"):
        corrections.update_from_difference(zeros, np.zeros((3, 2), np.uint8))
    with pytest.raises(ValueError, match="outside the image"):
        corrections.review(Region(5, 5, 2, 2), zeros)
    with pytest.raises(ValueError, match="no pixel"):
        corrections.review(Region(0, 0, 2, 2, np.zeros((2, 2), bool)), zeros)
    assert not corrections.flags.any() and not corrections.regions
    assert UNKNOWN == UNKNOWN_IN_TRAINING


def test_only_so_many_strokes_are_remembered():
    history, box, mask = StrokeHistory(most=3), (slice(0, 1), slice(0, 1)), np.ones((1, 1), bool)
    values = [np.array([number], np.uint8) for number in range(6)]
    for before, after in pairwise(values):
        history.add(Stroke(box, mask, before, after, np.array([False])))
    assert [history.undo(box, mask, value) is not None for value in reversed(values[:-1])] == [True] * 3 + [False] * 2
