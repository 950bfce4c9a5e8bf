"""What a stroke may have been painted on: never what a person set, connected to it, from careful to bold."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import ndimage

from napari_runet.corrections.correction import UNKNOWN
from napari_runet.corrections.growing import guesses, looks
from napari_runet.corrections.spreading import spread
from napari_runet.images.thresholding import labels_from


def drawn(seed: int, classes: int, shape=(23, 31), share=0.2):
    """Three random foregrounds, an image, pinned labels, and which of these are new strokes."""
    rng = np.random.default_rng(seed)
    foregrounds = rng.dirichlet(np.ones(classes), (3, *shape)).transpose(0, 3, 1, 2)[:, 1:]
    pinned = np.where(rng.random(shape) < share, rng.integers(0, classes, shape), UNKNOWN).astype(np.uint8)
    strokes = (pinned != UNKNOWN) & (rng.random(shape) < 0.5)
    return (255 * foregrounds).astype(np.uint8), rng.integers(0, 4000, (*shape, 2), np.uint16), pinned, strokes


@given(seed=st.integers(0, 10_000), classes=st.integers(2, 4), share=st.sampled_from((0.0, 0.01, 0.3, 1.0)))
def test_what_grows_leaves_what_a_person_set_and_what_is_not_connected_to_a_new_stroke(seed, classes, share):
    (base, moved, own), image, pinned, strokes = drawn(seed, classes, share=share)
    how = {"pinned": pinned, "strokes": strokes, "threshold": 0.5}
    found = spread(base, moved, base, **how)
    offered = guesses(found, base, own, looks(image, own), **how)
    assert 1 <= len(offered) <= 4
    for grown in offered:
        changed = (grown != found).any(axis=0)
        assert not (changed & (pinned != UNKNOWN)).any()
        labels = labels_from(grown, 0.5)
        assert np.isin(labels[changed], pinned[strokes]).all()
        for label in range(classes) if classes == 2 else ():  # of more, one stroke may cut off what another grew to
            pieces, _ = ndimage.label(labels == label, np.ones((3, 3)))
            assert np.isin(pieces[changed & (labels == label)], pieces[strokes & (pinned == label)]).all()


def test_a_stroke_grows_over_the_rest_of_the_thing_and_no_further():
    own = np.zeros((1, 3, 12), np.uint8)
    own[0, 1] = [60, 61, 60, 70, 80, 20, 70, 0, 200, 180, 180, 250]  # unsure, a gap, and something found
    base, strokes = own.copy(), np.zeros((3, 12), bool)
    pinned = np.full((3, 12), UNKNOWN, np.uint8)
    strokes[1, 2:4], pinned[1, 2:4] = True, 1  # on what was missed
    strokes[1, 9], pinned[1, 9] = True, 0  # on what was found and is wrong
    careful, bold, *_ = guesses(base, base, own, looks(own[0], own), pinned=pinned, strokes=strokes, threshold=0.5)
    free = pinned == UNKNOWN
    assert np.flatnonzero((labels_from(careful, 0.5) == 1)[1] & free[1]).tolist() == [4, 8, 11]
    # as sure as most of the stroke: 80 comes, 61 and 20 do not; as doubtful as what is erased: 180 goes, 200 stays
    assert labels_from(careful, 0.5)[1, 10] == 0
    assert not labels_from(careful, 0.5)[[0, 2]].any()
    assert np.flatnonzero((labels_from(bold, 0.5) == 1)[1] & free[1]).tolist() == [1, 4, 8, 11], "61 comes, too"


def test_a_stroke_that_says_too_little_does_not_grow():
    own = np.full((1, 30, 30), 100, np.uint8)
    strokes = np.zeros((30, 30), bool)
    for length, grows in ((9, False), (300, True)):
        strokes[:] = False
        strokes.ravel()[:length] = True
        pinned = np.where(strokes, 1, UNKNOWN).astype(np.uint8)
        offered = guesses(own, own, own, looks(own[0], own), pinned=pinned, strokes=strokes, threshold=0.5)
        assert any((grown != own).any() for grown in offered) == grows


@pytest.mark.parametrize("factor", (1.0, 1e-4, 300.0))
def test_what_the_network_does_not_see_at_all_is_found_by_its_looks(factor):
    image = np.random.default_rng(0).normal(50, 4, (60, 80))
    image[30:33, 5:75] += 60
    own, strokes = np.zeros((1, 60, 80), np.uint8), np.zeros((60, 80), bool)
    strokes[30:33, 20:35] = True
    pinned = np.where(strokes, 1, UNKNOWN).astype(np.uint8)
    careful, alike = guesses(own, own, own, looks(image * factor, own), pinned=pinned, strokes=strokes, threshold=0.5)
    assert not careful[0][~strokes].any()
    road = np.zeros((60, 80), bool)
    road[30:33, 5:75] = True
    found = alike[0] > 127
    assert found[road & ~strokes].mean() > 0.5 and found[~road].mean() < 0.02


@pytest.mark.parametrize("value", (0.0, np.nan, np.inf))
def test_an_image_that_shows_nothing_is_no_hindrance(value):
    own, strokes = np.zeros((1, 20, 20), np.uint8), np.zeros((20, 20), bool)
    strokes[5, 5:9] = True
    pinned = np.where(strokes, 1, UNKNOWN).astype(np.uint8)
    (only,) = guesses(
        own, own, own, looks(np.full((20, 20, 3), value), own), pinned=pinned, strokes=strokes, threshold=0.5
    )
    assert not only.any()
