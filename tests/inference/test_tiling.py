"""Tiles cover the plane, and their weights add up to one."""

from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from napari_runet.inference.tiling import blending_weights, spans, tiles


@given(st.integers(1, 700), st.integers(1, 700), st.integers(16, 256), st.integers(0, 127))
def test_weights_add_up_to_one_everywhere(height, width, size, overlap):
    total = np.zeros((height, width))
    for tile in tiles(height, width, size, min(overlap, size // 2)):
        assert tile.weight.shape == (tile.rows.stop - tile.rows.start, tile.columns.stop - tile.columns.start)
        assert tile.weight.min() > 0
        total[tile.rows, tile.columns] += tile.weight
    np.testing.assert_allclose(total, 1, atol=1e-5)


@given(st.integers(1, 5000), st.integers(16, 1024), st.integers(0, 511))
def test_spans_have_one_length_and_overlap_enough(length, size, overlap):
    overlap = min(overlap, size // 2)
    parts = spans(length, size, overlap)
    assert parts[0][0] == 0 and parts[-1][1] == length
    lengths = {stop - start for start, stop in parts}
    assert len(lengths) == 1 and max(lengths) <= size
    for (_, stop), (start, _) in pairwise(parts):
        assert stop - start >= overlap


def test_no_more_tiles_than_needed():
    assert spans(1000, 1000, 100) == [(0, 1000)]
    assert len(spans(1900, 1000, 100)) == 2
    assert len(spans(1901, 1000, 100)) == 3


@given(st.integers(1025, 20000))
def test_little_is_computed_twice(length):
    parts = spans(length, 1024, 128)
    assert sum(stop - start for start, stop in parts) <= length + (len(parts) - 1) * 128 + 16 * len(parts)


def test_overlap_as_large_as_a_tile_is_refused():
    with pytest.raises(ValueError, match="cannot overlap"):
        spans(100, 32, 32)


def test_one_tile_fades_into_the_next_evenly():
    left, right = blending_weights(22, [(0, 12), (8, 22)])
    np.testing.assert_allclose(left, [1] * 8 + [7 / 8, 5 / 8, 3 / 8, 1 / 8])
    np.testing.assert_allclose(right, [1 / 8, 3 / 8, 5 / 8, 7 / 8] + [1] * 10)


def test_a_tile_between_two_others_fades_on_both_sides():
    _, middle, _ = blending_weights(20, [(0, 8), (6, 14), (12, 20)])
    np.testing.assert_allclose(middle, [1 / 4, 3 / 4, 1, 1, 1, 1, 3 / 4, 1 / 4])
