"""How wide the structures of a mask are."""

import numpy as np
import numpy.typing as npt
from scipy import ndimage

from napari_runet.images.skeletons import middle_lines

FEWEST = 32
"""Pixels of middle line below which a width would be that of a speck."""


def structure_width(mask: npt.NDArray[np.bool_]) -> float | None:
    """The typical width of what a mask shows, in pixels.

    The geometric mean, over the middle lines, of the width there: twice the distance to the background, less one.
    A structure that is cut by the border is taken to go on beyond it.

    Parameters
    ----------
    mask
        (Y, X) bool.

    Returns
    -------
    At least 1; None where the middle lines have fewer than `FEWEST` pixels.
    """
    lines = middle_lines(mask)
    if int(lines.sum()) < FEWEST or mask.all():
        return None
    widths = 2 * ndimage.distance_transform_edt(mask)[lines] - 1
    return float(np.exp(np.log(widths).mean()))
