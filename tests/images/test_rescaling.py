"""Views of a plane: the same values whatever box is read, and masks that come back where they belong."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from skimage.transform import downscale_local_mean

from napari_runet.images import rescaling
from napari_runet.images.axes import Axes
from napari_runet.images.image_input import ImageInput, Region
from napari_runet.images.normalisation import IntensityRange, normalise
from napari_runet.images.rescaling import View, ViewedPlane, brought_back

RANGE = IntensityRange(np.zeros(3, np.float32), np.full(3, 255, np.float32))


def smooth(height, width):
    y, x = np.mgrid[:height, :width]
    waves = [127 + 100 * np.sin(y / 9 + k) * np.cos(x / 7) for k in range(3)]
    return np.stack(waves, axis=-1).astype(np.uint8)


def viewed(array, view, **options):
    return ViewedPlane(ImageInput.from_array(array, axes=Axes("YXC")), (), RANGE, view, **options)


def back(foreground, view, shape):
    parts = list(brought_back(foreground, view, shape))
    assert [start for start, _ in parts] == np.cumsum([0, *(part.shape[1] for _, part in parts[:-1])]).tolist()
    return np.concatenate([part for _, part in parts], axis=1)


@given(st.integers(1, 90), st.integers(1, 90), st.floats(0.1, 4), st.booleans(), st.booleans(), st.integers(0, 2**31))
@settings(max_examples=60, deadline=None)
def test_a_box_has_the_values_of_the_whole(height, width, scale, flip_rows, flip_columns, seed):
    plane = viewed(smooth(height, width), View(scale, flip_rows, flip_columns))
    rng = np.random.default_rng(seed)
    rows, columns = (np.sort(rng.integers(0, length + 1, 2)) for length in plane.shape[:2])
    box = np.s_[rows[0] : rows[1], columns[0] : columns[1]]
    np.testing.assert_allclose(plane[box], plane[:, :][box], atol=2e-4)
    assert plane[:, :].shape == plane.shape


def test_the_native_view_is_the_normalised_plane():
    array = smooth(40, 31)
    np.testing.assert_array_equal(viewed(array, View())[:, :], normalise(array, RANGE))
    normal = normalise(array, RANGE)
    np.testing.assert_array_equal(viewed(array, View(flip_rows=True))[:, :], normal[::-1])
    np.testing.assert_array_equal(viewed(array, View(flip_columns=True))[3:9, 2:5], normal[3:9, ::-1][:, 2:5])


def test_a_smaller_view_averages_and_a_larger_one_interpolates():
    array = smooth(60, 80)
    half = viewed(array, View(0.5))[:, :]
    expected = downscale_local_mean(normalise(array, RANGE), (2, 2, 1))
    np.testing.assert_allclose(half, expected, atol=0.03)
    twice = viewed(array, View(2.0))[:, :]
    assert twice.shape == (120, 160, 3)
    means = twice.reshape(60, 2, 80, 2, 3).mean(axis=(1, 3))
    np.testing.assert_allclose(means[1:-1, 1:-1], normalise(array, RANGE)[1:-1, 1:-1], atol=0.03)


def test_a_region_is_a_plane_of_its_own():
    array = smooth(60, 80)
    region = Region(8, 16, 24, 40)
    cut = viewed(np.ascontiguousarray(array[region.slices]), View(0.5, flip_rows=True))
    np.testing.assert_array_equal(viewed(array, View(0.5, flip_rows=True), region=region)[:, :], cut[:, :])


def test_planes_of_stacks_alpha_and_pixels_that_are_no_numbers():
    stack = np.stack([smooth(20, 30), smooth(20, 30)[::-1]]).astype(np.float32)
    stack[1, 5, 5] = np.nan
    image = ImageInput.from_array(np.moveaxis(stack, -1, 1), axes=Axes("TCYX"))
    plane = ViewedPlane(image, (1,), RANGE, View(0.5))
    assert plane.shape == (10, 15, 3) and np.isfinite(plane[:, :]).all()
    np.testing.assert_allclose(plane[5:, :], viewed(smooth(20, 30)[::-1], View(0.5))[5:, :], atol=1e-6)
    rgba = np.concatenate([smooth(20, 30), np.full((20, 30, 1), 7, np.uint8)], axis=-1)
    assert viewed(rgba, View(2)).shape == (40, 60, 3)


def test_the_image_of_a_view_is_read_like_any_other():
    image = viewed(smooth(50, 70), View(0.7)).as_input()
    assert image.plane_shape == (35, 49) and image.channels == 3
    assert image.plane((), Region(3, 4, 5, 6)).shape == (5, 6, 3)


@pytest.mark.parametrize("dtype", [np.float32, np.uint8])
@pytest.mark.parametrize("view", [View(0.5), View(2.0, True, True), View(0.31, True), View(1.0, False, True)])
def test_masks_come_back_to_where_they_were(view, dtype):
    """A disc that is segmented perfectly in the view lies on the disc of the plane."""
    y, x = np.mgrid[:700, :300]
    disc = (y - 480) ** 2 + (x - 100) ** 2 < 60**2
    array = np.repeat((255 * disc)[..., None], 3, axis=-1).astype(np.uint8)
    seen = (viewed(array, view)[:, :, 0] + 1) / 2
    foreground = np.stack([seen, 1 - seen])
    foreground = np.rint(255 * foreground).astype(np.uint8) if dtype == np.uint8 else foreground
    found = back(foreground, view, (700, 300))
    assert found.dtype == dtype and found.shape == (2, 700, 300)
    half = 127.5 if dtype == np.uint8 else 0.5
    drawn = found[0] > half
    assert 2 * (drawn & disc).sum() / (drawn.sum() + disc.sum()) > 0.98
    assert ((found[1] > half) != drawn).mean() > 0.99


@pytest.mark.parametrize("band", [1, 100, 1000])
@pytest.mark.parametrize("view", [View(0.3), View(1.7, True, True), View(1.0, True)])
def test_how_much_is_read_at_a_time_changes_nothing(monkeypatch, band, view):
    array = smooth(61, 83)
    whole = viewed(array, view)[:, :]
    monkeypatch.setattr(rescaling, "BAND", band)
    np.testing.assert_allclose(viewed(array, view)[:, :], whole, atol=2e-4)
    assert viewed(array, view)[5:5, :].shape == (0, whole.shape[1], 3)


def test_a_small_view_of_a_large_plane_never_reads_much_of_it():
    most = 0

    class Watched(np.ndarray):
        def __getitem__(self, key):
            nonlocal most
            found = super().__getitem__(key)
            most = max(most, found.size)
            return found

    array = np.zeros((8000, 3000, 3), np.uint8).view(Watched)
    assert viewed(array, View(1 / 16))[:, :].shape == (500, 188, 3)
    assert 0 < most < 2 * 3 * rescaling.BAND
