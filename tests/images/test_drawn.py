"""Drawn pictures: the same for the same seed, of the size asked for, and with truths that look like the thing."""

from itertools import pairwise

import numpy as np
import pytest
from scipy import ndimage

from napari_runet.images.drawn import draw_aerial, draw_fundus, draw_hand, draw_moving_hand
from napari_runet.images.drawn.texture import noise

DRAWERS = {"fundus": draw_fundus, "aerial": draw_aerial, "hand": draw_hand}
# plausible shares of foreground: vessels of a fundus 4-11 %, roads of a town 3-22 %, a hand 7-25 %
SHARES = {"fundus": (0.03, 0.12), "aerial": (0.03, 0.22), "hand": (0.06, 0.25)}
EIGHT = np.ones((3, 3), int)


@pytest.fixture(params=sorted(DRAWERS))
def kind(request):
    return request.param


def largest_share(mask):
    """Share of the foreground that lies in its largest connected part."""
    parts, count = ndimage.label(mask, EIGHT)
    return np.bincount(parts.ravel())[1:].max() / mask.sum() if count else 0.0


def test_the_same_seed_draws_the_same_and_another_seed_another(kind):
    first, again, other = (DRAWERS[kind](seed, 256) for seed in (4, 4, 5))
    for one, two in zip(first, again, strict=True):
        np.testing.assert_array_equal(one, two)
    assert (first[0] != other[0]).mean() > 0.2
    assert (first[1] != other[1]).any()


@pytest.mark.parametrize("size", [200, 384])
def test_image_and_truth_have_the_size_and_types_that_are_promised(kind, size):
    image, truth = DRAWERS[kind](0, size)
    assert image.shape == (size, size, 3) and image.dtype == np.uint8
    assert truth.shape == (size, size) and truth.dtype == np.uint8
    assert set(np.unique(truth)) == {0, 1}
    assert image.std() > 15  # no flat picture


@pytest.mark.parametrize("seed", [0, 1, 2])
def test_a_plausible_share_is_foreground(kind, seed):
    low, high = SHARES[kind]
    assert low < DRAWERS[kind](seed, 512)[1].mean() < high


@pytest.mark.parametrize("seed", [0, 1, 2])
def test_vessels_are_one_tree_from_thick_to_thin_and_darker_than_what_is_beside_them(seed):
    image, truth = draw_fundus(seed, 768)
    assert largest_share(truth) > 0.9
    widths = 2 * ndimage.distance_transform_edt(truth)[truth > 0]
    assert widths.max() > 6
    # more of the tree is thin than thick
    assert (widths < 4).sum() > (widths > 6).sum()
    beside = ndimage.binary_dilation(truth, iterations=8) & ~ndimage.binary_dilation(truth, iterations=3)
    lit = image.max(axis=-1) > 60
    green = image[..., 1].astype(float)
    assert green[(truth > 0) & lit].mean() < 0.85 * green[beside & lit].mean()


def test_outside_the_field_of_view_there_is_black_and_no_vessel():
    image, truth = draw_fundus(0, 384)
    rows, columns = np.mgrid[:384, :384] - 191.5
    outside = np.hypot(rows, columns) > 0.49 * 384
    assert image[outside].mean() < 8
    assert not truth[outside].any()


def test_streets_are_about_seven_pixels_wide_at_a_pixel_a_metre():
    truth = draw_aerial(0, 512)[1]
    distance = ndimage.distance_transform_edt(truth)
    ridge = (distance == ndimage.maximum_filter(distance, 3)) & (truth > 0)
    assert 5 <= np.median(2 * distance[ridge]) <= 9


def test_a_hand_is_one_piece_reaching_the_lower_edge_with_five_tips():
    truth = draw_hand(5, 512)[1]
    assert largest_share(truth) == 1
    assert truth[-1].any() and not truth[0].any()
    # an opening takes the fingers off; what it took is the five of them, and perhaps a few crumbs
    size = 512
    rows, columns = np.mgrid[-24:25, -24:25]
    palm = ndimage.binary_opening(truth, np.hypot(rows, columns) <= 0.036 * size)
    parts, _ = ndimage.label(truth.astype(bool) & ~palm, EIGHT)
    assert (np.bincount(parts.ravel())[1:] > 0.0015 * size * size).sum() == 5


def test_scale_widens_vessels():
    assert draw_fundus(3, 384, scale=2.0)[1].mean() > 1.3 * draw_fundus(3, 384)[1].mean()


@pytest.mark.parametrize(("size", "scale", "words"), [(64, 1.0, "128 pixels"), (256, 9.0, "scale")])
def test_sizes_that_show_nothing_are_refused(kind, size, scale, words):
    with pytest.raises(ValueError, match=words):
        DRAWERS[kind](0, size, scale)


@pytest.mark.parametrize(("grain", "octaves"), [(40.0, 1), (40.0, 3), (1.0, 1)])
def test_noise_is_standardised_and_as_coarse_as_asked(grain, octaves):
    field = noise(np.random.default_rng(0), 256, grain, octaves)
    assert field.shape == (256, 256)
    assert abs(field.mean()) < 1e-9 and field.std() == pytest.approx(1)
    neighbour = (field[:, 1:] * field[:, :-1]).mean()
    assert neighbour > 0.9 if grain > 10 else neighbour < 0.7


def test_a_movie_moves_a_little_from_frame_to_frame_and_cuts_between_scenes():
    movie, truth = draw_moving_hand(3, 200, 12, scenes=2)
    assert movie.shape == (12, 200, 200, 3) and truth.shape == (12, 200, 200)
    np.testing.assert_array_equal(movie[:2], draw_moving_hand(3, 200, 12, scenes=2)[0][:2])
    assert all(0.05 < mask.mean() < 0.3 for mask in truth)
    kept = [(a & b).sum() / (a | b).sum() for a, b in pairwise(truth)]
    assert kept[5] < 0.6 and min(kept[:5] + kept[6:]) > 0.55 and max(kept) < 0.99
    skin = movie[truth > 0].astype(float)
    assert (skin[:, 0] > skin[:, 2]).mean() > 0.95  # the truth lies on the hand
