"""One click joins two ends, as wide as they are, by the likeliest way."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import ndimage

from napari_runet.corrections.bridging import BridgeError, bridge


def broken_line(gap: int = 30, width: int = 5) -> np.ndarray:
    mask = np.zeros((200, 200), bool)
    mask[100 - width // 2 : 101 + width // 2, 15:185] = True
    mask[:, 100 - gap // 2 : 100 + gap - gap // 2] = False
    return mask


def painted(mask: np.ndarray, found) -> np.ndarray:
    result = mask.copy()
    result[found.rows, found.columns] = True
    return result


def pieces(mask: np.ndarray) -> int:
    return ndimage.label(mask, np.ones((3, 3)))[1]


@given(
    gap=st.integers(8, 60), width=st.sampled_from((1, 3, 5, 9)), dy=st.integers(-4, 4), dx=st.integers(-3, 3),
    turned=st.booleans(),
)  # fmt: skip
@settings(max_examples=40, deadline=None)
def test_a_click_in_the_gap_joins_the_ends_with_their_width(gap, width, dy, dx, turned):
    mask, click = broken_line(gap, width), (100 + dy, 100 + dx)
    if turned:
        mask, click = mask.T.copy(), click[::-1]
    found = bridge(mask, np.zeros(mask.shape, np.float32), click)
    assert not mask[found.rows, found.columns].any()
    result = painted(mask, found)
    assert pieces(mask) == 2 and pieces(result) == 1
    middle = (result.T if turned else result)[:, 100]
    assert abs(int(middle.sum()) - width) <= 2


def test_the_way_follows_the_probabilities():
    mask, probability = broken_line(gap=60), np.zeros((200, 200), np.uint8)
    rows = 100 + np.rint(25 * np.sin(np.linspace(0, np.pi, 60))).astype(int)
    for x, y in zip(range(70, 130), rows, strict=True):
        probability[y - 2 : y + 3, x] = 200
    found = bridge(mask, probability, (112, 100))
    result = painted(mask, found)
    assert pieces(result) == 1 and result[124, 100] and not result[100, 100]
    floats = bridge(mask, probability / 255, (112, 100))
    np.testing.assert_array_equal(floats.rows, found.rows)


def test_the_way_leads_around_what_a_person_set_otherwise():
    mask, forbidden = broken_line(gap=40), np.zeros((200, 200), bool)
    forbidden[90:110, 95:105] = True
    found = bridge(mask, np.zeros(mask.shape), (100, 100), forbidden)
    along = painted(mask, found)[:, 98:102]
    assert pieces(painted(mask, found)) == 1
    assert not along[95:106].any()


def test_an_end_is_joined_to_the_side_of_what_lies_beyond():
    mask = np.zeros((200, 200), bool)
    mask[98:103, 20:90] = True
    mask[20:180, 110:116] = True
    result = painted(mask, bridge(mask, np.zeros(mask.shape), (100, 98)))
    assert pieces(result) == 1
    assert result[100, 91:110].all() and result[:, 100].sum() <= 7


@pytest.mark.parametrize(
    ("mask", "click", "sentence"),
    [
        (broken_line(), (300, 10), "Click on the image"),
        (broken_line(), (-1, 10), "Click on the image"),
        (np.zeros((200, 200), bool), (100, 100), "No line ends near here"),
        (np.ones((200, 200), bool), (100, 100), "No line ends near here"),
        (broken_line(), (100, 50), "There is no gap here"),
        (broken_line(gap=170) | np.eye(200, dtype=bool) & (np.arange(200) < 60), (100, 100), "Only one line|No line"),
    ],
)
def test_where_there_is_nothing_to_join_a_sentence_says_so(mask, click, sentence):
    with pytest.raises(BridgeError, match=sentence):
        bridge(mask, np.zeros(mask.shape), click)
