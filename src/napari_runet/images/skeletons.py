"""The middle lines of thin structures, and where they end."""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import skimage
from scipy import ndimage

TRACED = 10
"""How many pixels back from an end its direction is measured over."""
SHORTEST = 3
"""An end that is followed back over fewer pixels than this has no direction, and is left out."""
_NEIGHBOURS = tuple((dy, dx) for dy in (-1, 0, 1) for dx in (-1, 0, 1) if dy or dx)


@dataclass(frozen=True, slots=True)
class SkeletonEnd:
    """Where a middle line ends.

    Parameters
    ----------
    y, x
        The last pixel of the line.
    direction
        (2,) unit vector (rows, columns) that points on, out of the structure.
    """

    y: int
    x: int
    direction: npt.NDArray[np.float64]

    @property
    def position(self) -> npt.NDArray[np.float64]:
        """(2,) row and column."""
        return np.array([self.y, self.x], float)


def middle_lines(mask: npt.NDArray[np.bool_]) -> npt.NDArray[np.bool_]:
    """The skeleton of a mask, (Y, X) bool: lines one pixel wide."""
    return np.asarray(skimage.morphology.skeletonize(mask))  # type: ignore[no-untyped-call]


def skeleton_ends(mask: npt.NDArray[np.bool_]) -> list[SkeletonEnd]:
    """The ends of the middle lines of a mask, (Y, X) bool; not those at the border of the plane, where it is cut off.

    An end is a pixel of the skeleton with one neighbour; it points on from where the line was `TRACED` pixels
    before, or at the last junction.
    """
    skeleton = np.pad(middle_lines(mask), 1)
    neighbours = ndimage.convolve(skeleton.view(np.uint8), np.ones((3, 3), np.uint8), mode="constant")
    rows, columns = np.nonzero(skeleton & (neighbours == 2))
    ends = []
    for y, x in zip(rows.tolist(), columns.tolist(), strict=True):
        way = _follow(skeleton, y, x)
        if len(way) > SHORTEST:
            outward = np.subtract(way[0], way[-1]).astype(float)
            end = SkeletonEnd(y - 1, x - 1, outward / np.linalg.norm(outward))
            if not _is_cut_off(mask, end):
                ends.append(end)
    return ends


def _is_cut_off(mask: npt.NDArray[np.bool_], end: SkeletonEnd) -> bool:
    """Whether the structure goes on from its end to the border of the plane."""
    steps = np.arange(1, max(mask.shape))
    ahead = np.rint(end.position + np.outer(steps, end.direction)).astype(int)
    inside = ((ahead >= 0) & (ahead < np.array(mask.shape))).all(axis=1)
    return bool(mask[tuple(ahead[inside].T)].all())


def _follow(skeleton: npt.NDArray[np.bool_], y: int, x: int) -> list[tuple[int, int]]:
    """The pixels of a padded skeleton from an end on, up to a junction or `TRACED` pixels."""
    way, seen = [(y, x)], {(y, x)}
    while len(way) <= TRACED:
        y, x = way[-1]
        onward = [
            (y + dy, x + dx) for dy, dx in _NEIGHBOURS if skeleton[y + dy, x + dx] and (y + dy, x + dx) not in seen
        ]
        if len(onward) != 1:
            break
        seen.update(onward)
        way.append(onward[0])
    return way
