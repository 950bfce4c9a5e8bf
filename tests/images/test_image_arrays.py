"""Axes, planes, intensities and thresholds against naive computations, for any dtype, order and size."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from napari_runet.images.axes import Axes, describe, possible_axes, read_axes
from napari_runet.images.image_input import ImageError, ImageInput, Region
from napari_runet.images.normalisation import measure_range, normalise
from napari_runet.images.prediction import Prediction
from napari_runet.images.thresholding import labels_from, quantise

DTYPES = ["uint8", "int8", "uint16", "int16", "uint32", "int32", "float32", "float64", "bool"]


@settings(deadline=None)
@given(st.permutations("TZCYX"), st.sets(st.sampled_from("TZC")), st.sampled_from(DTYPES), st.data())
def test_a_plane_is_the_same_pixels_whatever_their_order(letters, kept, dtype, data):
    order = "".join(letter for letter in letters if letter in kept | {"Y", "X"})
    sizes = {"T": 2, "Z": 3, "C": 3, "Y": 5, "X": 7}
    array = np.arange(np.prod([sizes[k] for k in order])).reshape([sizes[k] for k in order]).astype(dtype)
    source = ImageInput.from_array(array, axes=Axes(order))
    stepped = [k for k in order if k in "TZ"]
    index = tuple(data.draw(st.integers(0, sizes[k] - 1)) for k in stepped)
    plane = source.plane(index)
    assert plane.shape == (5, 7, 3 if "C" in order else 1) and plane.dtype == array.dtype
    for y, x, c in np.ndindex(plane.shape):
        place = dict(zip(stepped, index, strict=True)) | {"Y": y, "X": x, "C": c}
        assert plane[y, x, c] == array[tuple(place[k] for k in order)]


def test_a_region_is_a_part_of_the_plane():
    array = np.random.default_rng(0).random((3, 20, 30))
    source = ImageInput.from_array(array, axes=Axes("CYX"))
    part = source.plane(region=Region(4, 5, 6, 7))
    np.testing.assert_array_equal(part, source.plane()[4:10, 5:12])


def test_one_channel_at_the_end_is_one_channel():
    array = np.random.default_rng(0).integers(0, 255, (8, 9, 1), np.uint8)
    np.testing.assert_array_equal(ImageInput.from_array(array).plane(), array)


def test_alpha_is_dropped():
    array = np.random.default_rng(0).integers(0, 255, (8, 9, 4), np.uint8)
    np.testing.assert_array_equal(ImageInput.from_array(array).plane(), array[..., :3])


@pytest.mark.parametrize(
    ("shape", "options", "order"),
    [
        ((10, 12), {}, "YX"),
        ((10, 12, 3), {"rgb": True}, "YXC"),
        ((10, 12, 3), {}, "YXC"),
        ((3, 10, 12), {}, "CYX"),
        ((12, 100, 120), {}, "TYX"),
        ((12, 100, 120), {"axis_labels": ("z", "y", "x")}, "ZYX"),
        ((3, 100, 120), {"axis_labels": ("time", "row", "column")}, "TYX"),
        ((12, 100, 120, 3), {"rgb": True}, "TYXC"),
        ((2, 5, 100, 120), {}, "TZYX"),
        ((5, 4, 3), {"axis_labels": ("axis -3", "axis -2", "axis -1")}, "TYX"),
    ],
)
def test_how_arrays_are_read(shape, options, order):
    assert read_axes(shape, **options).order == order


@given(st.lists(st.integers(1, 9), min_size=2, max_size=5), st.booleans())
def test_every_way_to_read_an_array_names_each_dimension(shape, rgb):
    if rgb and len(shape) < 3:
        return
    for axes in possible_axes(shape, rgb=rgb):
        assert len(axes.order) == len(shape)
        assert not rgb or axes.order.endswith("C")


def test_what_people_are_told():
    assert describe((1024, 768, 3), np.dtype("uint8"), Axes("YXC")) == "1024 x 768, RGB, 8 bit"
    told = describe((12, 64, 32), np.dtype("uint16"), Axes("TYX"), (3,))
    assert told == "12 frames, 64 x 32, grey, 16 bit; frame 4 shown"


@pytest.mark.parametrize(
    ("array", "message"),
    [
        (np.zeros((0, 5)), "is empty"),
        (np.zeros((5, 5), complex), "complex128 values"),
        (np.zeros(5), "at least two dimensions"),
        (np.zeros((1,) * 6), "6 dimensions"),
        (np.array([["a", "b"]]), "values"),
    ],
)
def test_what_cannot_be_an_image(array, message):
    with pytest.raises(ImageError, match=message):
        ImageInput.from_array(array)


@given(
    arrays.arrays(np.uint8, st.tuples(st.integers(1, 3), st.integers(1, 5), st.integers(1, 5))),
    st.floats(0.01, 0.99),
)
def test_labels_by_the_rule(foreground, threshold):
    foreground = (foreground // len(foreground)).astype(np.uint8)  # probabilities add up to at most 1
    labels = labels_from(foreground, threshold)
    for y, x in np.ndindex(labels.shape):
        values = foreground[:, y, x].astype(float) / 255
        best = int(values.argmax())
        background = max(0.0, 1 - values.sum())
        wins = values[best] > 0 and values[best] * (1 - threshold) >= background * threshold - 1e-7
        sure = abs(values[best] * (1 - threshold) - background * threshold) > 1e-5
        if sure:
            assert labels[y, x] == (best + 1 if wins else 0)
    out = np.empty_like(labels)
    assert labels_from(foreground, threshold, out=out) is out
    np.testing.assert_array_equal(out, labels)


def test_half_is_the_most_probable_class():
    random = np.random.default_rng(0).dirichlet(np.ones(4), (30, 30)).transpose(2, 0, 1).astype(np.float32)
    prediction = Prediction(random[None, 1:], 0.5, "model", "0" * 64)
    clear = np.sort(random, axis=0)[-1] - np.sort(random, axis=0)[-2] > 0.01
    np.testing.assert_array_equal(prediction.labels[0][clear], random.argmax(axis=0)[clear])
    np.testing.assert_allclose(prediction.probabilities[0], random, atol=1e-6)


def test_kept_probabilities_are_rounded():
    np.testing.assert_array_equal(quantise(np.array([0, 0.5, 1, 1.2, -1, 0.1])), [0, 128, 255, 255, 0, 26])


@pytest.mark.parametrize("per_channel", [True, False])
@pytest.mark.parametrize("dtype", DTYPES[:-1])
def test_normalisation_by_percentiles(per_channel, dtype):
    array = (np.random.default_rng(0).random((40, 30, 3)) * [50, 100, 120]).astype(dtype)
    found = measure_range(ImageInput.from_array(array), (), 1, 99, per_channel=per_channel)
    axis = (0, 1) if per_channel else (0, 1, 2)
    low, high = (np.percentile(array.astype(float), q, axis=axis) for q in (1, 99))
    np.testing.assert_allclose(found.low, np.broadcast_to(low, 3), rtol=1e-5)
    np.testing.assert_allclose(found.high, np.broadcast_to(high, 3), rtol=1e-5)
    expected = np.clip(2 * (array - low) / (high - low) - 1, -2, 2)
    np.testing.assert_allclose(normalise(array, found), expected, atol=1e-4)


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16, np.int32, np.float64])
@pytest.mark.parametrize("size", [1, 2, 7, 1000])
def test_intensities_are_percentiles_of_few_and_many_pixels(dtype, size):
    array = np.random.default_rng(size).integers(0, 256, (1, size)).astype(dtype)
    found = measure_range(ImageInput.from_array(array), (), 0.5, 99.5, per_channel=True)
    expected = np.percentile(array, [0.5, 99.5]).astype(np.float32)
    np.testing.assert_allclose([found.low[0], found.high[0]], expected, rtol=1e-6)


def test_normalisation_takes_any_layout_and_what_is_no_number():
    array = np.random.default_rng(0).random((7, 9, 3)).astype(np.float32)
    array[0, 0], array[1, 1, 1] = (np.nan, np.inf, -np.inf), np.nan
    found = measure_range(ImageInput.from_array(array), (), 1, 99, per_channel=True)
    expected = normalise(array, found)
    np.testing.assert_array_equal(expected[0, 0], [-1, 2, -2])
    assert expected[1, 1, 1] == -1
    for other in (np.moveaxis(np.moveaxis(array, -1, 0).copy(), 0, -1), np.asfortranarray(array), array[::-1][::-1]):
        np.testing.assert_array_equal(normalise(other, found), expected)


@given(st.floats(1e-3, 1e4), st.floats(-1e4, 1e4))
def test_brightness_and_contrast_do_not_matter(scale, offset):
    array = np.random.default_rng(0).random((20, 20))

    def run(values):
        return normalise(values[..., None], measure_range(ImageInput.from_array(values), (), 1, 99, per_channel=True))

    np.testing.assert_allclose(run(array), run(array * scale + offset), atol=2e-2 + 4e-3 * abs(offset) / scale)


def test_large_planes_are_measured_on_a_sample():
    array = np.random.default_rng(0).integers(0, 1000, (3000, 2000)).astype(np.uint16)
    found = measure_range(ImageInput.from_array(array), (), 1, 99, per_channel=True)
    np.testing.assert_allclose([found.low[0], found.high[0]], np.percentile(array, [1, 99]), atol=5)
