"""Breaks of thin structures: ends of middle lines that face each other across a gap."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import scipy
import skimage

from napari_runet.images.skeletons import SkeletonEnd

WIDEST_GAP = 40.0
"""Ends further apart than this, in pixels, are not taken for a break."""
SHARPEST_TURN = np.cos(np.deg2rad(50))
"""Both ends point towards each other to within this (as a cosine)."""


@dataclass(frozen=True, slots=True)
class Break:
    """Two ends that face each other.

    Parameters
    ----------
    first, second
        The ends.
    strength
        In [0, 1]: the narrower the gap and the straighter the line through both ends, the higher.
    """

    first: SkeletonEnd
    second: SkeletonEnd
    strength: float

    @property
    def gap(self) -> tuple[npt.NDArray[np.intp], npt.NDArray[np.intp]]:
        """Rows and columns of the straight line between the ends."""
        return skimage.draw.line(self.first.y, self.first.x, self.second.y, self.second.x)  # type: ignore[no-untyped-call, no-any-return]


def find_breaks(ends: Sequence[SkeletonEnd]) -> list[Break]:
    """The breaks among the ends of a mask's middle lines, each end in its strongest one alone; the strongest first."""
    if len(ends) < 2:
        return []
    tree = scipy.spatial.cKDTree(np.array([end.position for end in ends]))
    candidates = []
    for i, j in tree.query_pairs(WIDEST_GAP):
        strength = _strength(ends[i], ends[j])
        if strength > 0:
            candidates.append((strength, i, j))
    candidates.sort(key=lambda entry: (-entry[0], entry[1], entry[2]))
    taken: set[int] = set()
    found = []
    for strength, i, j in candidates:
        if i not in taken and j not in taken:
            taken.update((i, j))
            found.append(Break(ends[i], ends[j], strength))
    return found


def _strength(first: SkeletonEnd, second: SkeletonEnd) -> float:
    across = second.position - first.position
    gap = float(np.linalg.norm(across))
    if gap == 0:
        return 0.0
    straight = min(float(first.direction @ across), float(second.direction @ -across)) / gap
    if straight < SHARPEST_TURN:
        return 0.0
    return straight * max(0.0, 1 - gap / (WIDEST_GAP + 1))
