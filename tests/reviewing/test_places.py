"""The order of places, and that none comes back."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from napari_runet.reviewing.doubt import Doubt, doubt
from napari_runet.reviewing.places import rank, side_of_places
from napari_runet.reviewing.queue import ReviewQueue


def scored(score: np.ndarray) -> Doubt:
    """Doubt with this score and no parts."""
    nothing = np.zeros((1, *score.shape), np.uint8)
    return replace(doubt(nothing, None, 0.5), score=score.astype(np.uint8))


@given(shape=st.tuples(st.integers(1, 400), st.integers(1, 400)), seed=st.integers(0, 1000), most=st.integers(1, 60))
@settings(max_examples=40, deadline=None)
def test_places_lie_in_the_plane_do_not_overlap_and_come_in_order(shape, seed, most):
    score = np.random.default_rng(seed).integers(0, 256, shape).astype(np.uint8)
    places = rank(scored(score), most)
    assert 0 < len(places) <= most or not score.any()
    taken = np.zeros(shape, bool)
    side = side_of_places(shape)
    for place in places:
        assert 0 <= place.y < place.y + place.height <= shape[0] and 0 <= place.x < place.x + place.width <= shape[1]
        assert not taken[place.box].any()
        taken[place.box] = True
        assert place.score == pytest.approx(score[place.box].sum() / 255 / side**2)
    assert [place.score for place in places] == sorted((place.score for place in places), reverse=True)


def test_the_most_doubtful_spot_comes_first_and_certain_planes_have_no_place():
    score = np.zeros((300, 400))
    score[200:220, 300:320] = 200
    score[50:60, 50:60] = 100
    first, second = rank(scored(score))
    assert first.y <= 200 and first.y + first.height >= 220 and first.x <= 300 and first.x + first.width >= 320
    assert second.y <= 50 < second.y + second.height
    assert rank(scored(np.zeros((300, 400)))) == []


def test_the_reason_names_the_heaviest_part_first():
    before, last = (np.full((1, 60, 60), value, np.uint8) for value in (0, 110))
    place = rank(doubt(last, before, 0.5))[0]
    assert place.reason.startswith("close to the threshold") or place.reason.startswith("the iterations disagree")
    shares = [int(word.rstrip("%")) for word in place.reason.replace(",", "").split() if word.endswith("%")]
    assert shares == sorted(shares, reverse=True) and 95 <= sum(shares) <= 105


def spots() -> Doubt:
    score = np.zeros((300, 300))
    for number, y in enumerate((20, 100, 180, 260)):
        score[y : y + 16, 100:116] = 200 - 20 * number
    return scored(score)


def test_a_place_that_was_seen_corrected_or_reviewed_does_not_come_back():
    queue, known = ReviewQueue(spots()), np.zeros((300, 300), bool)
    first, second, third, fourth = queue.left(known)
    queue.mark_seen(first)
    y, x = (round(at) for at in second.centre)
    known[y - 1 : y + 2, x - 1 : x + 2] = True  # a small stroke in its middle
    known[third.box] = True  # reviewed
    assert queue.left(known) == [fourth]
    known[fourth.y, fourth.x] = True  # something else at its corner
    assert queue.left(known) == [fourth]
    known[255:300, 90:130] = True
    assert queue.left(known) == []
    assert queue.left() == [second, third, fourth]  # an undo brings a corrected place back, not one that was seen


def test_a_new_prediction_of_the_same_plane_keeps_what_was_seen():
    queue = ReviewQueue(spots())
    first = queue.left()[0]
    queue.mark_seen(first)
    moved = ReviewQueue(replace(spots(), score=np.roll(spots().score, 5, axis=1)), queue.seen)
    assert len(moved.left()) == 3
    assert all(not (place.y <= first.centre[0] < place.y + place.height) for place in moved.left())
