"""A mask lies exactly on the pixels that it was computed from."""

from itertools import product

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from napari.layers import Image, Labels

from napari_runet.images.axes import Axes
from napari_runet.images.image_input import Region
from napari_runet.plugin.placing import Placement, place
from napari_runet.plugin.reading import Reading, Source, read_layer

ORDERS = ["YX", "TYX", "ZYX", "CYX", "YXC", "TYXC", "TCYX", "TZYX", "CZYX", "CTYX", "TZYXC", "CTZYX"]
DTYPES = ["bool", "uint8", "uint16", "int16", "int32", "float32", "float64"]
number = st.floats(-20, 20, allow_nan=False).map(lambda value: round(value, 3))
stretch = st.floats(0.05, 20).map(lambda value: round(value, 3))


def rotation(ndim: int, angle: float, first: int, second: int) -> np.ndarray:
    matrix = np.eye(ndim)
    c, s = np.cos(angle), np.sin(angle)
    matrix[[first, first, second, second], [first, second, first, second]] = [c, -s, s, c]
    return matrix


@st.composite
def images(draw: st.DrawFn) -> tuple[Image, Reading]:
    order = draw(st.sampled_from(ORDERS))
    rgb = order.endswith("C") and order.count("C") == 1 and draw(st.booleans())
    shape = [draw(st.integers(1, 6)) for _ in order]
    if rgb:
        shape[-1] = draw(st.sampled_from([3, 4]))
    ndim = len(order) - rgb
    axes = draw(st.permutations(range(ndim)))[:2]
    transform = {
        "scale": [draw(stretch) for _ in range(ndim)],
        "translate": [draw(number) for _ in range(ndim)],
        "rotate": rotation(ndim, draw(number), *sorted(axes)),
        "shear": [draw(st.sampled_from([0.0, 0.2, -0.5])) for _ in range(ndim * (ndim - 1) // 2)],
    }
    affine = np.eye(ndim + 1)
    affine[:ndim, ndim] = [draw(number) for _ in range(ndim)]
    affine[:ndim, :ndim] = rotation(ndim, draw(number), *sorted(axes)) @ np.diag([draw(stretch) for _ in range(ndim)])
    labels = [f"axis {position}" for position in range(ndim)]
    data = np.ones(shape, draw(st.sampled_from(DTYPES)))
    image = Image(data, rgb=rgb, affine=affine, units=["um"] * ndim, axis_labels=labels, **transform)
    return image, Reading(Axes(order))


def mask_layer(placement: Placement, plane: np.ndarray) -> Labels:
    return Labels(placement.lift(plane), **placement.transform)


def in_image(position: dict[str, float], source: Source) -> list[float]:
    """Full-resolution coordinates of a pixel of the plane, in the image layer's data."""
    planes = dict(zip(source.input.axes.plane_axes, source.index, strict=True))
    return [
        planes.get(axis, position.get(letter, 0)) * source.factors[axis] for axis, letter in enumerate(source.letters)
    ]


def check(image: Image, source: Source, region: Region | None) -> None:
    placement = place(image, source, region)
    height, width = (region.height, region.width) if region else source.input.plane_shape
    top, left = (region.y, region.x) if region else (0, 0)
    plane = np.arange(height * width, dtype=np.uint8).reshape(height, width)
    layer = mask_layer(placement, plane)
    assert layer.ndim in (image.ndim, image.ndim - 1)
    letters = source.letters[image.ndim - layer.ndim :]
    assert set("YX") <= set(letters)
    channel = letters.find("C")
    assert [layer.data.shape[letters.index(letter)] for letter in "YX"] == [height, width]
    assert all(layer.data.shape[axis] == 1 for axis, letter in enumerate(letters) if letter in "TZ")
    for y, x in product({0, height - 1}, {0, width - 1}):
        here = tuple({"Y": y, "X": x}.get(letter, 0) for letter in letters)
        assert layer.data[here] == plane[y, x]
        expected = image.data_to_world(in_image({"Y": y + top, "X": x + left}, source))
        np.testing.assert_allclose(layer.data_to_world(here), expected[-layer.ndim :], rtol=1e-6, atol=1e-6)
        if channel >= 0:
            last = list(here)
            last[channel] = layer.data.shape[channel] - 1
            assert layer.data[tuple(last)] == plane[y, x]
    assert layer.units == image.units[-layer.ndim :]
    assert layer.axis_labels == image.axis_labels[-layer.ndim :]


@settings(deadline=None, max_examples=120)
@given(made=images(), data=st.data())
def test_mask_lies_on_its_pixels_however_the_image_lies(made: tuple[Image, Reading], data: st.DataObject) -> None:
    image, reading = made
    point = [data.draw(number) for _ in range(image.ndim)]
    source = read_layer(image, point, reading)
    check(image, source, None)
    height, width = source.input.plane_shape
    y, x = data.draw(st.integers(0, height - 1)), data.draw(st.integers(0, width - 1))
    check(image, source, Region(y, x, height - y, width - x))


def test_leading_channels_are_left_out_and_plain_transforms_are_copied() -> None:
    image = Image(np.zeros((3, 40, 50)), scale=[1, 2, 3], translate=[0, 5, 6], units=["pixel", "um", "um"])
    placement = place(image, read_layer(image, [0, 0, 0], Reading(Axes("CYX"))))
    layer = mask_layer(placement, np.zeros((40, 50), np.uint8))
    assert layer.data.shape == (40, 50)
    assert list(layer.scale) == [2, 3]
    assert list(layer.translate) == [5, 6]


def test_a_level_of_a_multiscale_image_is_as_large_as_the_whole() -> None:
    levels = [np.zeros((80, 120)), np.zeros((40, 60)), np.zeros((20, 30))]
    image = Image(levels, multiscale=True, scale=[0.5, 0.25], translate=[3, 4], rotate=30)
    source = read_layer(image, [0, 0], Reading(level=2))
    assert source.input.plane_shape == (20, 30)
    assert source.factors == (4, 4)
    check(image, source, None)
    check(image, source, Region(5, 7, 10, 11))


@pytest.mark.parametrize("point,shown", [((0.0, 0, 0), 0), ((5.1, 0, 0), 2), ((99.0, 0, 0), 4)])
def test_the_plane_shown_is_found_in_world_coordinates(point: tuple[float, ...], shown: int) -> None:
    image = Image(np.zeros((5, 30, 40)), scale=[2, 1, 1], translate=[1, 0, 0])
    assert read_layer(image, point).index == (shown,)
