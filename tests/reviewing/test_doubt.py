"""The score of each pixel, against an independent computation, for any plane."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from napari_runet.images.skeletons import skeleton_ends
from napari_runet.images.thresholding import quantise
from napari_runet.reviewing import doubt as module
from napari_runet.reviewing.breaks import find_breaks
from napari_runet.reviewing.doubt import WEIGHTS, doubt


def line(gap: int = 12, *, shape: tuple[int, int] = (80, 160)) -> np.ndarray:
    """(1, Y, X) uint8: a line of 5 pixels' width with a gap in its middle."""
    plane = np.zeros(shape, np.uint8)
    plane[38:43, 20:140] = 255
    plane[38:43, 80 - gap // 2 : 80 + gap - gap // 2] = 0
    return plane[np.newaxis]


def test_a_certain_mask_of_one_piece_is_in_no_doubt_but_at_its_ends():
    plane = line(gap=0)
    found = doubt(plane, plane, 0.5)
    _, columns = np.nonzero(found.score)
    assert columns.size and (np.minimum(abs(columns - 22), abs(columns - 137)) <= 6).all()
    assert not found.islands.any()


def test_what_the_parts_say_at_single_pixels():
    before, last = (np.full((1, 40, 40), value, np.uint8) for value in (51, 102))  # 0.2 and 0.4
    found = doubt(last, before, 0.5)
    parts = found.parts(slice(10, 20), slice(10, 20))
    assert parts["closeness"] == pytest.approx(WEIGHTS["closeness"] * 0.8, abs=1e-6)
    assert parts["disagreement"] == pytest.approx(WEIGHTS["disagreement"] * 0.2, abs=1e-6)
    expected = 255 * (WEIGHTS["closeness"] * 0.8 + WEIGHTS["disagreement"] * 0.2)
    assert abs(found.score[15, 15] - expected) <= 0.5


def test_classes_that_compete_are_in_doubt_though_the_background_is_out_of_question():
    level = np.full((2, 30, 30), 127, np.uint8)
    clear = np.stack([np.full((30, 30), 250, np.uint8), np.zeros((30, 30), np.uint8)])
    assert doubt(level, None, 0.5).parts(slice(5, 9), slice(5, 9))["closeness"] > 0.4 * WEIGHTS["closeness"]
    assert doubt(clear, None, 0.5).parts(slice(5, 9), slice(5, 9))["closeness"] < 0.1 * WEIGHTS["closeness"]


def test_one_class_turning_into_another_is_disagreement():
    first = np.stack([np.full((30, 30), 255, np.uint8), np.zeros((30, 30), np.uint8)])
    found = doubt(first[::-1].copy(), first, 0.5)
    assert found.parts(slice(5, 9), slice(5, 9))["disagreement"] == pytest.approx(WEIGHTS["disagreement"])


def test_a_gap_is_found_between_ends_that_face_each_other_and_only_there():
    ends = skeleton_ends(line(gap=12)[0] > 0)
    (found,) = find_breaks(ends)
    assert {found.first.x > 80, found.second.x > 80} == {True, False}
    assert abs(found.first.y - 40) <= 2 and 12 <= abs(found.first.x - found.second.x) <= 20
    assert find_breaks(skeleton_ends(line(gap=70)[0] > 0)) == []
    wider = find_breaks(skeleton_ends(line(gap=24)[0] > 0))
    assert wider[0].strength < found.strength


def test_two_lines_side_by_side_do_not_face_each_other():
    mask = np.zeros((80, 160), bool)
    mask[20:25, 20:100] = mask[34:39, 20:100] = True
    assert find_breaks(skeleton_ends(mask)) == []


def test_an_end_points_out_of_its_structure():
    ends = skeleton_ends(line(gap=0)[0] > 0)
    assert len(ends) == 2
    for end in ends:
        assert end.direction == pytest.approx((0, 1 if end.x > 80 else -1), abs=0.25)


def test_where_the_plane_cuts_a_line_off_nothing_ends():
    mask = np.zeros((60, 80), bool)
    mask[28:33] = True
    assert skeleton_ends(mask) == []


def test_a_small_piece_beside_a_large_one_is_an_island_and_equal_pieces_are_none():
    mask = np.zeros((100, 100), np.uint8)
    mask[10:60, 10:60] = 255
    mask[80:84, 80:84] = 255
    found = doubt(mask[np.newaxis], None, 0.5)
    assert found.islands[81, 81] > 0 and not found.islands[:70, :70].any()
    cells = np.zeros((100, 100), np.uint8)
    for y in (10, 40, 70):
        cells[y : y + 12, 10:22] = cells[y : y + 12, 50:62] = 255
    assert not doubt(cells[np.newaxis], None, 0.5).islands.any()


@given(
    shape=st.tuples(st.integers(1, 70), st.integers(1, 70)),
    classes=st.integers(1, 3),
    seed=st.integers(0, 1000),
    rows=st.integers(3, 40),
    threshold=st.sampled_from((0.1, 0.5, 0.8)),
)
@settings(max_examples=40, deadline=None)
def test_bands_floats_and_settled_pixels(shape, classes, seed, rows, threshold):
    rng = np.random.default_rng(seed)
    planes = rng.random((2, classes, *shape), np.float32) / classes
    settled = rng.random(shape) < 0.3
    whole = doubt(quantise(planes[1]), quantise(planes[0]), threshold)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(module, "_ROWS", rows)
        banded = doubt(planes[1], planes[0], threshold, settled)
    np.testing.assert_array_equal(banded.score, np.where(settled, 0, whole.score))
    box = slice(shape[0] // 3, shape[0]), slice(shape[1] // 4, shape[1])
    assert sum(whole.parts(*box).values()) == pytest.approx(whole.score[box].mean() / 255, abs=0.003)
