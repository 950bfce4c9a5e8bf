"""Which corrections are trained on and which only judge: whole strokes and regions, never single pixels."""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy import ndimage

from napari_runet.training.losses import UNKNOWN

GROUP_SIDE = 32
"""Strokes and regions of more pixels than a square of this side are cut into such squares."""
MIN_GROUPS = 6
MIN_HELD_PIXELS = 20


@dataclass(frozen=True, slots=True)
class Group:
    """Labelled pixels that belong together: `points` (n, 2) rows and columns in image number `image`.

    `counts` maps a class to its number of pixels.
    """

    image: int
    points: npt.NDArray[np.int32]
    counts: dict[int, int]

    @property
    def size(self) -> int:
        """Number of pixels."""
        return len(self.points)


@dataclass(frozen=True, slots=True)
class Split:
    """Groups to train on, and groups to judge by."""

    trained: tuple[Group, ...]
    held_out: tuple[Group, ...]


def group_labels(labels: npt.NDArray[np.uint8], image: int = 0) -> list[Group]:
    """Strokes and regions of a label plane (Y, X), `UNKNOWN` where nothing is labelled.

    Pixels at most six apart belong to one stroke; large ones are cut by a grid.
    """
    rows, columns = np.nonzero(labels != UNKNOWN)
    if rows.size == 0:
        return []
    top, left = rows.min(), columns.min()
    known = labels[top : rows.max() + 1, left : columns.max() + 1] != UNKNOWN
    near = ndimage.maximum_filter(known, size=7) if known.size > 1 else known
    pieces, _ = ndimage.label(near, structure=np.ones((3, 3), int))
    piece = pieces[rows - top, columns - left]
    large = np.bincount(piece) > GROUP_SIDE**2
    square = np.where(large[piece], (rows // GROUP_SIDE) * (1 << 15) + columns // GROUP_SIDE, 0)
    key = piece.astype(np.int64) * (1 << 31) + square
    order = np.argsort(key, kind="stable")
    points = np.stack([rows, columns], axis=1).astype(np.int32)[order]
    starts = np.flatnonzero(np.diff(key[order], prepend=-1))
    return [_group(image, part, labels) for part in np.split(points, starts[1:])]


def _group(image: int, points: npt.NDArray[np.int32], labels: npt.NDArray[np.uint8]) -> Group:
    classes, counts = np.unique(labels[points[:, 0], points[:, 1]], return_counts=True)
    return Group(image, points, {int(k): int(n) for k, n in zip(classes, counts, strict=True)})


def hold_out(groups: list[Group], share: float, seed: int) -> Split | None:
    """Set aside about `share` of the labelled pixels, in whole groups.

    Every class that is labelled stays in training, and foreground is among what is held out where there is any.

    Returns
    -------
    None when there is too little to set anything aside.
    """
    if share == 0 or len(groups) < MIN_GROUPS:
        return None
    order = list(np.random.default_rng(seed).permutation(len(groups)))
    left: dict[int, int] = {}
    for group in groups:
        for k in group.counts:
            left[k] = left.get(k, 0) + 1
    wanted = max(MIN_HELD_PIXELS, share * sum(group.size for group in groups))
    held: set[int] = set()
    size = 0
    # one group of each class first, so that the judgement is not on one class alone
    firsts = [next((i for i in order if k in groups[i].counts), None) for k in sorted(left, reverse=True)]
    for i in [*(first for first in firsts if first is not None), *order]:
        if i in held or size >= wanted or any(left[k] <= 1 for k in groups[i].counts):
            continue
        if size + groups[i].size > 2.5 * wanted:
            continue
        held.add(i)
        size += groups[i].size
        for k in groups[i].counts:
            left[k] -= 1
    if size < MIN_HELD_PIXELS or len(held) < 2:
        return None
    return _split(groups, held)


def folds(groups: list[Group], count: int, seed: int) -> list[Split]:
    """`count` splits, each group held out by exactly one; empty when there are fewer groups than that."""
    if len(groups) < count:
        return []
    order = np.random.default_rng(seed).permutation(len(groups))
    return [_split(groups, {int(i) for i in order[fold::count]}) for fold in range(count)]


def _split(groups: list[Group], held: set[int]) -> Split:
    return Split(
        tuple(group for i, group in enumerate(groups) if i not in held),
        tuple(group for i, group in enumerate(groups) if i in held),
    )
