"""At which size a model sees an image's structures at its best, from a few looks that cost little."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy import ndimage

from napari_runet.images.image_input import Region
from napari_runet.images.structure_width import structure_width

SIDE = 512
"""Pixels of a look, rows and columns at most."""
MOST_LOOKS = 5
CLOSE = 1.3
"""A look is believed when the structures in it are within this factor of the best width."""
LARGEST = 3.0
SMALLEST = 1 / 16
MOST_PIXELS = 4096 * 4096
"""A plane is not enlarged beyond this."""

Look = Callable[[float, Region], npt.NDArray[np.bool_]]
"""From a scale and a box of the plane, in its own pixels, to the mask there, (y, x) at that scale."""


@dataclass(frozen=True, slots=True)
class PixelSize:
    """What was found out.

    Parameters
    ----------
    scale
        By how much the image is enlarged for the network; 1 where it is near enough as it is.
    width
        How wide the structures are in the image's own pixels, None where none were found.
    """

    scale: float = 1.0
    width: float | None = None

    def sentence(self, best: float) -> str:
        """For people; empty where the image was taken as it is."""
        if self.scale == 1.0 or self.width is None:
            return ""
        return (
            f"Structures here are about {self.width:.0f} pixels wide and the model is at its best at {best:.0f}, "
            f"so the image was segmented at {self.scale:.2g} times its size."
        )


AS_IT_IS = PixelSize()


def find_pixel_size(plane_shape: tuple[int, int], look: Look, *, best: float, low: float, high: float) -> PixelSize:
    """Estimate how wide the structures are, and by how much to rescale the plane for the model.

    The first look is at the whole plane, reduced. What is found tells at which scale the structures would have the
    model's best width; the next look is at that scale, where there is most to see, until a look shows structures
    near that width. As soon as the width found is one that the model handles, the plane is taken as it is.

    Parameters
    ----------
    plane_shape
        Rows and columns.
    look
        Runs the model.
    best, low, high
        The width of structures, in pixels, that the model sees best, and from where to where it sees them well.
    """
    height, width = plane_shape
    whole = Region(0, 0, height, width)
    scale, box, estimate = min(1.0, SIDE / max(plane_shape)), whole, None
    for _ in range(MOST_LOOKS):
        mask = look(scale, box)
        found = structure_width(mask)
        if found is None:
            if scale >= 1:
                return PixelSize(1.0, estimate)  # nothing where something was expected: better not to touch it
            # too thin to be seen from so far away
            scale = min(1.0, 4 * scale)
            box = _window(whole, scale, (height / 2, width / 2))
            continue
        estimate = found / scale
        if low <= estimate <= high:
            return PixelSize(1.0, estimate)
        following = min(max(scale * best / found, SMALLEST), LARGEST)
        if 1 / CLOSE < following / scale < CLOSE:
            break
        centre = _densest(mask, box, scale, SIDE / following)
        scale, box = following, _window(whole, following, centre)
    if estimate is None:
        return PixelSize()
    largest = min(LARGEST, max(1.0, float(np.sqrt(MOST_PIXELS / (height * width)))))
    return PixelSize(round(min(max(best / estimate, SMALLEST), largest), 3), estimate)


def _window(whole: Region, scale: float, centre: tuple[float, float]) -> Region:
    """The box around a point that is at most `SIDE` pixels at a scale, inside the plane."""
    rows, columns = (min(length, max(1, round(SIDE / scale))) for length in (whole.height, whole.width))
    y = min(max(0, round(centre[0] - rows / 2)), whole.height - rows)
    x = min(max(0, round(centre[1] - columns / 2)), whole.width - columns)
    return Region(y, x, rows, columns)


def _densest(mask: npt.NDArray[np.bool_], box: Region, scale: float, side: float) -> tuple[float, float]:
    """The middle, as row and column of the plane, of the square of `side` pixels that holds most of a mask."""
    size = max(3, min(round(side * scale), *mask.shape))
    spread = ndimage.uniform_filter(mask.astype(np.float32), size=size, mode="constant")
    y, x = np.unravel_index(int(spread.argmax()), mask.shape)
    return box.y + float(y) / scale, box.x + float(x) / scale
