"""What a correction changes around it, found by going on from a mask with it and without it.

A recurrent network that goes on from a mask changes it also where nobody corrected anything, and not always for the
better. What the correction itself brings about is what differs between two runs: both begin from the same mask and
pinned pixels, and only one of them has the new strokes. Of that, only what goes the way of the strokes is taken: a
stroke that adds a class adds, a stroke that erases erases. (Measured with ``benchmarks/refine.py``: of the pixels that
were taken 0.83 were right this way, and 0.47 without it.)
"""

import numpy as np
import numpy.typing as npt

from napari_runet.corrections.correction import UNKNOWN, bounding_box
from napari_runet.images.image_input import Region
from napari_runet.images.thresholding import labels_from

Foreground = npt.NDArray[np.uint8]
Labels = npt.NDArray[np.uint8]

ITERATIONS = 2
"""How many iterations a correction is followed for."""
REACH = 96
"""How far a correction is followed, in pixels: what lies further off hardly feels it in two iterations."""
LARGEST = 512
"""Side of the largest surroundings, in pixels, where strokes lie far apart."""


def new_strokes(known: Labels, shown: Labels, followed: Labels) -> npt.NDArray[np.bool_]:
    """The corrections that have not been followed yet, and say something else than what is shown.

    Parameters
    ----------
    known
        (Y, X) uint8 what people have set, `UNKNOWN` elsewhere.
    shown
        (Y, X) uint8 what the network made of the plane.
    followed
        (Y, X) uint8 what was known when strokes were last followed.
    """
    return np.asarray((known != UNKNOWN) & (known != followed) & (known != shown))


def surroundings(strokes: npt.NDArray[np.bool_], within: Region, reach: int = REACH) -> Region | None:
    """The box around strokes that they can change; None where there are none within the region.

    Parameters
    ----------
    strokes
        (Y, X) bool, of the whole plane.
    within
        The box of the plane that was segmented.
    reach
        How far around them, in pixels; less where the box would be larger than `LARGEST`.
    """
    box = bounding_box(strokes[within.slices])
    if box is None:
        return None
    starts, stops = [], []
    for part, corner, length in zip(box, (within.y, within.x), (within.height, within.width), strict=True):
        margin = max(0, min(reach, (LARGEST - (part.stop - part.start)) // 2))
        start, stop = max(0, part.start - margin), min(length, part.stop + margin)
        starts.append(corner + start)
        stops.append(corner + stop)
    return Region(starts[0], starts[1], stops[0] - starts[0], stops[1] - starts[1])


def spread(
    base: Foreground,
    with_strokes: Foreground,
    without: Foreground,
    *,
    pinned: Labels,
    strokes: npt.NDArray[np.bool_],
    threshold: float,
) -> Foreground:
    """What was there, with what changed because of the strokes, and with what people have set.

    Parameters
    ----------
    base
        (K, Y, X) uint8, 255 times the probability of each foreground class: what both runs began from.
    with_strokes, without
        The same after some iterations with and without the new strokes.
    pinned
        (Y, X) uint8 all that people have set, `UNKNOWN` elsewhere.
    strokes
        (Y, X) bool: the new ones.
    threshold
        In (0, 1).

    Returns
    -------
    (K, Y, X) uint8; where a person has set a pixel, exactly that, certain.
    """
    reached, unmoved = labels_from(with_strokes, threshold), labels_from(without, threshold)
    wanted = np.unique(pinned[strokes])
    because = (reached != unmoved) & np.isin(reached, wanted)
    found: Foreground = np.where(because, with_strokes, base)
    where = pinned != UNKNOWN
    for number, plane in enumerate(found, 1):
        plane[where] = 255 * (pinned[where] == number).astype(np.uint8)
    return found
