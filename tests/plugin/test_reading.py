from dataclasses import replace
from types import SimpleNamespace

import dask.array
import numpy as np
import pytest
from napari.layers import Image

from napari_runet.images.axes import Axes
from napari_runet.images.image_input import ImageError
from napari_runet.models.card import ModelCard
from napari_runet.plugin.reading import Reading, other_readings, read_layer, why_not

ORIGIN = (0.0, 0.0, 0.0)


@pytest.mark.parametrize(
    "shape,dtype,rgb,line",
    [
        ((1024, 512), "uint16", False, "1024 x 512, grey, 16 bit"),
        ((1024, 1024, 3), "uint8", True, "1024 x 1024, RGB, 8 bit"),
        ((64, 64, 4), "uint8", True, "64 x 64, RGBA, alpha left out, 8 bit"),
        ((12, 64, 64), "uint16", False, "12 frames, 64 x 64, grey, 16 bit; frame 1 shown"),
        ((3, 64, 64), "float32", False, "64 x 64, RGB, 32 bit float"),
        ((1, 1), "bool", False, "1 x 1, grey, yes/no"),
    ],
)
def test_one_line_says_how_the_data_is_read(shape: tuple[int, ...], dtype: str, rgb: bool, line: str) -> None:
    assert read_layer(Image(np.zeros(shape, dtype), rgb=rgb), ORIGIN).description == line


def test_axis_labels_decide() -> None:
    image = Image(np.zeros((3, 64, 64)), axis_labels=["z", "y", "x"])
    assert read_layer(image, ORIGIN).input.axes == Axes("ZYX")


@pytest.mark.parametrize(
    "scale,order", [((5, 1, 1), "ZYX"), ((2, 0.5, 0.5), "ZYX"), ((1, 0.5, 0.5), "CYX"), ((0.5, 0.5, 0.5), "CYX")]
)
def test_three_planes_at_a_distance_of_their_own_are_no_colours(scale: tuple[float, ...], order: str) -> None:
    image = Image(np.zeros((3, 64, 64)), scale=scale)
    assert read_layer(image, ORIGIN).input.axes == Axes(order)
    named = Image(np.zeros((3, 64, 64)), scale=scale, axis_labels=["c", "y", "x"])
    assert read_layer(named, ORIGIN).input.axes == Axes("CYX")


def test_a_chosen_reading_holds_until_the_dimensions_differ() -> None:
    image = Image(np.zeros((12, 64, 64)))
    assert read_layer(image, ORIGIN, Reading(Axes("CYX"))).input.channels == 12
    assert read_layer(Image(np.zeros((64, 64))), ORIGIN, Reading(Axes("CYX"))).input.axes == Axes("YX")


def test_every_reading_is_offered_with_a_line() -> None:
    offered = dict(other_readings(Image(np.zeros((5, 64, 64), np.uint8))))
    assert offered[Axes("ZYX")] == "Z, Y, X:  5 planes, 64 x 64, grey, 8 bit"
    assert {axes.order for axes in offered} == {"TYX", "ZYX", "CYX", "YXC"}


def test_the_comfortable_level_is_chosen_and_named() -> None:
    levels = [dask.array.zeros((n, n), dtype="uint8", chunks=1024) for n in (16384, 8192, 4096, 2048)]
    source = read_layer(Image(levels, multiscale=True), ORIGIN)
    assert source.description == "4096 x 4096, grey, 8 bit; level 2 (of 0 to 3)"
    assert read_layer(Image(levels, multiscale=True), ORIGIN, Reading(level=3)).input.plane_shape == (2048, 2048)


@pytest.mark.parametrize(
    "data,part",
    [
        (np.zeros((0, 30)), "empty"),
        (np.zeros((3, 0, 30)), "empty"),
        (np.zeros((30, 30), np.complex64), "complex64"),
        (np.zeros((1, 1, 1, 1, 8, 8)), "6 dimensions"),
    ],
)
def test_what_cannot_be_read_is_a_sentence(data: np.ndarray, part: str) -> None:
    # napari itself refuses some of these in Image(...), but not when they are put into a layer later
    layer = SimpleNamespace(data=data, ndim=data.ndim, rgb=False, multiscale=False, axis_labels=(), name="photo")
    with pytest.raises(ImageError, match=part):
        read_layer(layer, ORIGIN)


def test_what_a_model_cannot_segment_is_a_sentence(card: ModelCard) -> None:
    seven = Image(np.zeros((7, 64, 64)), name="seven")
    assert "7 channels and Some reads 3" in why_not(read_layer(seven, ORIGIN, Reading(Axes("CYX"))), card)
    nothing = Image(np.full((64, 64), np.nan), name="holes")
    assert "no finite number" in why_not(read_layer(nothing, ORIGIN), card)
    nearly = np.full((64, 64), np.nan)
    nearly[5, 5] = 1
    assert why_not(read_layer(Image(nearly), ORIGIN), card) == ""
    assert why_not(read_layer(Image(np.zeros((64, 64, 4), np.uint8), rgb=True), ORIGIN), card) == ""


def test_data_that_would_have_to_be_loaded_is_not_touched(card: ModelCard) -> None:
    def never(block: np.ndarray) -> np.ndarray:
        raise AssertionError("loaded")

    lazy = dask.array.zeros((64, 64), chunks=32).map_blocks(never, dtype=float, meta=np.empty((0, 0)))
    source = read_layer(Image(np.zeros((64, 64))), ORIGIN)
    source = replace(source, input=replace(source.input, array=lazy))
    assert why_not(source, card) == ""
