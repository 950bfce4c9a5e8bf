"""How the dimensions of files are read, and when a person is asked."""

import pytest

from napari_runet.batch.axes_of_files import axes_of_file
from napari_runet.images.image_input import ImageError


@pytest.mark.parametrize(
    ("shape", "said", "channels", "order"),
    [
        ((200, 300), "YX", 3, "YX"),
        ((200, 300, 3), "YXS", 3, "YXC"),
        ((3, 200, 300), "SYX", 3, "CYX"),
        ((3, 200, 300), "ZYX", 3, "ZYX"),  # the file says so, though it could be colours
        ((5, 200, 300), "IYX", 3, "TYX"),  # five pages are no colours of this model
        ((5, 200, 300), "QYX", 1, "TYX"),
        ((9, 200, 300, 3), "QYXS", 3, "TYXC"),
        ((9, 200, 300, 3), "QQQQ", 3, "TYXC"),
        ((4, 2, 200, 300), "TZYX", 3, "TZYX"),
        ((200, 300, 3), "", 3, "YXC"),
        ((2, 5, 3, 200, 300), "TZCYX", 3, "TZCYX"),
    ],
)
def test_what_is_certain_is_read(shape, said, channels, order):
    axes, asked = axes_of_file("a.tif", shape, said, channels)
    assert (axes.order, asked) == (order, False)


@pytest.mark.parametrize(
    ("shape", "said", "channels", "asks"),
    [
        ((3, 200, 300), "IYX", 3, ("--axes TYX", "--axes CYX")),
        ((5, 200, 300), "QYX", 5, ("--axes TYX", "--axes CYX")),
        ((5, 3, 200, 300), "QQYX", 3, ("--axes TCYX", "--axes TZYX")),
        ((2, 200, 300), "", 2, ("--axes TYX", "--axes CYX")),
    ],
)
def test_what_could_be_two_things_is_asked(shape, said, channels, asks):
    with pytest.raises(ImageError, match="does not say what its dimensions are") as caught:
        axes_of_file("a.tif", shape, said, channels)
    assert all(word in str(caught.value) for word in asks)
    for word in asks:
        order = word.split()[1]
        axes, asked = axes_of_file("a.tif", shape, said, channels, order.lower())
        assert (axes.order, asked) == (order, True)
        assert axes_of_file("a.tif", shape[-2:], "YX", channels, order)[0].order == "YX", "this file says it itself"


@pytest.mark.parametrize(
    ("shape", "said", "asked", "says"),
    [
        ((3, 200, 300), "IYX", "TZYX", "names 4"),
        ((3, 200, 300), "IYX", "XYQ", "no axis order"),
        ((2, 2, 2, 2, 20, 30), "QQQQYX", "", "cannot be read"),
        ((2, 3, 20, 30, 3), "ZCYXS", "", "no axis order"),
    ],
)
def test_what_cannot_be_read_is_a_sentence(shape, said, asked, says):
    with pytest.raises(ImageError, match=says):
        axes_of_file("a.tif", shape, said, 3, asked)
