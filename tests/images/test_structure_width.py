"""The width of lines, rings and discs whose width is known."""

import numpy as np
import pytest
from scipy import ndimage

from napari_runet.images.skeletons import middle_lines
from napari_runet.images.structure_width import _to_background, structure_width

Y, X = np.mgrid[:200, :300]


@pytest.mark.parametrize("width", [1, 3, 5, 9, 21])
def test_straight_lines(width):
    mask = np.zeros((200, 300), bool)
    mask[60 : 60 + width] = mask[:, 120 : 120 + width] = True
    assert structure_width(mask) == pytest.approx(width, rel=0.12)


@pytest.mark.parametrize("width", [3, 8, 20])
def test_rings_at_any_angle(width):
    radius = np.hypot(Y - 100, X - 150)
    assert structure_width(np.abs(radius - 60) < width / 2) == pytest.approx(width, rel=0.25)


def test_many_thin_lines_and_one_blob_are_thin():
    mask = (Y % 20 < 3) & (X < 200)
    mask |= np.hypot(Y - 100, X - 250) < 45
    assert structure_width(mask) < 4


def test_twice_as_large_is_twice_as_wide():
    mask = np.abs(Y - 100 - 40 * np.sin(X / 30)) < 5
    twice = ndimage.zoom(mask.astype(np.uint8), 2, order=0) > 0
    assert structure_width(twice) / structure_width(mask) == pytest.approx(2, rel=0.1)


def test_what_has_no_width():
    assert structure_width(np.zeros((50, 50), bool)) is None
    assert structure_width(np.ones((50, 50), bool)) is None
    speck = np.zeros((50, 50), bool)
    speck[10:14, 10:30] = True
    assert structure_width(speck) is None


@pytest.mark.parametrize("spread", [0, 1, 2, 6, 12])
def test_distances_are_those_of_the_transform(spread):
    mask = ndimage.binary_dilation(np.random.default_rng(spread).random((90, 70)) < 0.02, iterations=spread + 1)
    mask[:, :5], mask[40, 40] = True, False
    lines = middle_lines(mask)
    np.testing.assert_array_equal(_to_background(mask, lines), ndimage.distance_transform_edt(mask)[lines])
