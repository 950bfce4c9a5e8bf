"""What a stroke changes around it: never what a person set, and nothing where nothing was corrected."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from napari_runet.corrections.correction import UNKNOWN
from napari_runet.corrections.spreading import LARGEST, new_strokes, spread, surroundings
from napari_runet.images.image_input import Region
from napari_runet.images.thresholding import labels_from


def drawn(seed: int, classes: int, shape=(23, 31), share=0.2):
    """Three random foregrounds, pinned labels, and which of these are new strokes."""
    rng = np.random.default_rng(seed)
    foregrounds = rng.dirichlet(np.ones(classes), (3, *shape)).transpose(0, 3, 1, 2)[:, 1:]
    pinned = np.where(rng.random(shape) < share, rng.integers(0, classes, shape), UNKNOWN).astype(np.uint8)
    strokes = (pinned != UNKNOWN) & (rng.random(shape) < 0.5)
    return (255 * foregrounds).astype(np.uint8), pinned, strokes


@given(seed=st.integers(0, 10_000), classes=st.integers(2, 4), share=st.sampled_from((0.0, 0.01, 0.3, 1.0)))
def test_what_a_person_set_never_changes(seed, classes, share):
    (base, moved, unmoved), pinned, strokes = drawn(seed, classes, share=share)
    for threshold in (0.2, 0.5, 0.9):
        found = spread(base, moved, unmoved, pinned=pinned, strokes=strokes, threshold=threshold)
        where = pinned != UNKNOWN
        np.testing.assert_array_equal(labels_from(found, threshold)[where], pinned[where])


@given(seed=st.integers(0, 10_000), classes=st.integers(2, 4))
def test_only_what_differs_because_of_the_strokes_changes_and_only_their_way(seed, classes):
    (base, moved, unmoved), pinned, strokes = drawn(seed, classes)
    found = spread(base, moved, unmoved, pinned=pinned, strokes=strokes, threshold=0.5)
    free = pinned == UNKNOWN
    changed = (found != base).any(axis=0) & free
    after, before = labels_from(moved, 0.5), labels_from(unmoved, 0.5)
    assert not (changed & (after == before)).any()
    assert np.isin(after[changed], pinned[strokes]).all()
    expected = free & (after != before) & np.isin(after, pinned[strokes])
    np.testing.assert_array_equal(found[:, expected], moved[:, expected])


@given(seed=st.integers(0, 10_000), classes=st.integers(2, 4))
def test_with_nothing_corrected_nothing_is_added_to_going_on(seed, classes):
    (base, moved, _), _, _ = drawn(seed, classes)
    nothing = np.full(base.shape[1:], UNKNOWN, np.uint8)
    found = spread(base, moved, moved, pinned=nothing, strokes=nothing != UNKNOWN, threshold=0.5)
    np.testing.assert_array_equal(found, base)


def test_strokes_are_what_was_set_since_and_says_something_else():
    known = np.array([[1, 1, 0, UNKNOWN, 1]], np.uint8)
    shown = np.array([[0, 1, 1, 1, 0]], np.uint8)
    followed = np.array([[UNKNOWN, UNKNOWN, UNKNOWN, UNKNOWN, 1]], np.uint8)
    np.testing.assert_array_equal(new_strokes(known, shown, followed), [[True, False, True, False, False]])


@given(
    shape=st.tuples(st.integers(1, 900), st.integers(1, 900)),
    corner=st.tuples(st.integers(0, 899), st.integers(0, 899)),
    side=st.integers(1, 300),
)
def test_surroundings_hold_the_strokes_and_stay_inside_and_small(shape, corner, side):
    strokes = np.zeros(shape, bool)
    strokes[corner[0] : corner[0] + side, corner[1] : corner[1] + side] = True
    whole = Region(0, 0, *shape)
    box = surroundings(strokes, whole)
    assert (box is None) == (not strokes.any())
    if box is not None:
        assert strokes[box.slices].sum() == strokes.sum()
        assert box.y >= 0 and box.x >= 0 and box.y + box.height <= shape[0] and box.x + box.width <= shape[1]
        assert max(box.height, box.width) <= LARGEST
        inner = Region(shape[0] // 4, shape[1] // 4, max(1, shape[0] // 2), max(1, shape[1] // 2))
        part = surroundings(strokes, inner)
        if part is not None:
            assert part.y >= inner.y and part.y + part.height <= inner.y + inner.height


def test_strokes_are_followed_so_far_around_them_as_there_is_plane():
    strokes = np.zeros((1000, 1200), bool)
    strokes[400:410, 600:601] = True
    assert surroundings(strokes, Region(0, 0, 1000, 1200), 30) == Region(370, 570, 70, 61)
    assert surroundings(strokes, Region(0, 0, 1000, 1200)) == Region(304, 504, 202, 193)
    assert surroundings(strokes, Region(390, 580, 25, 50), 30) == Region(390, 580, 25, 50)
    assert surroundings(strokes, Region(395, 560, 300, 60), 30) == Region(395, 570, 45, 50)


def test_strokes_far_apart_are_followed_less_far():
    strokes = np.zeros((1000, 1200), bool)
    strokes[400, 500] = strokes[400, 979] = True  # 480 columns: 16 are left on either side
    assert surroundings(strokes, Region(0, 0, 1000, 1200), 30) == Region(370, 484, 61, 512)
    strokes[400, 1099] = True
    assert surroundings(strokes, Region(0, 0, 1000, 1200), 30) == Region(370, 500, 61, 600)
