"""The estimate of the pixel size, with a drawn plane and a stand-in for the network whose sight is limited."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import ndimage
from skimage.transform import resize

from napari_runet.images.pixel_size import LARGEST, SIDE, PixelSize, find_pixel_size

SIGHT = {"best": 6.0, "low": 3.3, "high": 10.5}


class Looks:
    """Sees the lines of a plane as a network does: thick ones are drawn thinner than they are."""

    def __init__(self, width, side):
        y, x = np.mgrid[:side, :side]
        self.mask = np.abs((y - 0.1 * x) % (side / 4) - side / 8) < width / 2
        self.width = width
        self.pixels = 0

    def __call__(self, scale, box):
        rows, columns = (max(1, round(length * scale)) for length in (box.height, box.width))
        self.pixels += rows * columns
        part = resize(self.mask[box.slices].astype(np.float32), (rows, columns), order=1, anti_aliasing=scale < 1)
        seen = part > 0.5
        # as measured of the retina model: vessels of 19 pixels are drawn 13 wide
        lost = max(0.0, 0.6 * (self.width * scale - 9))
        return seen & (ndimage.distance_transform_edt(seen) > lost / 2)


@settings(max_examples=15, deadline=None)
@given(st.floats(5, 9.5), st.sampled_from([300, 700, 1500]))
def test_structures_that_the_model_sees_well_are_left_alone(width, side):
    assert find_pixel_size((side, side), Looks(width, side), **SIGHT).scale == 1.0


@pytest.mark.parametrize("factor", [2.5, 3.0, 5.0])
@pytest.mark.parametrize("side", [900, 2400])
def test_structures_that_are_too_wide_are_made_smaller(factor, side):
    found = find_pixel_size((side, side), Looks(6 * factor, side), **SIGHT)
    assert found.scale == pytest.approx(1 / factor, rel=0.35)
    assert found.width == pytest.approx(6 * factor, rel=0.35)


@pytest.mark.parametrize("side", [400, 1200])
def test_structures_that_are_too_thin_are_made_larger(side):
    found = find_pixel_size((side, side), Looks(2.2, side), **SIGHT)
    assert 1.5 < found.scale <= LARGEST


def test_thin_structures_of_a_large_plane_are_found_from_near():
    assert find_pixel_size((3000, 3000), Looks(5, 3000), **SIGHT).scale == 1.0


def test_looks_cost_no_more_than_a_few_small_images():
    looks = Looks(40, 3000)
    find_pixel_size((3000, 3000), looks, **SIGHT)
    assert looks.pixels <= 5 * (SIDE + 1) ** 2


@pytest.mark.parametrize("shape", [(1, 1), (3, 2000), (400, 400), (3000, 2000)])
def test_nothing_to_see_is_taken_as_it_is(shape):
    seen = []

    def nothing(scale, box):
        seen.append(scale)
        return np.zeros((max(1, round(box.height * scale)), max(1, round(box.width * scale))), bool)

    assert find_pixel_size(shape, nothing, **SIGHT) == PixelSize()
    assert seen[-1] == 1.0


def test_a_large_plane_is_not_enlarged_beyond_memory():
    found = find_pixel_size((20_000, 20_000), lambda *_: np.tile(np.arange(512) % 12 < 1, (512, 1)), **SIGHT)
    assert found.scale <= 1.0


def test_what_is_said():
    assert PixelSize(0.361, 18.8).sentence(6.8) == (
        "Structures here are about 19 pixels wide and the model is at its best at 7, so the image was segmented at "
        "0.36 times its size."
    )
    assert PixelSize(1.0, 6.0).sentence(6.8) == PixelSize().sentence(6.8) == ""
