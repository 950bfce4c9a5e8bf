"""Joining two ends of a thin structure across the gap between them, by one click."""

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import skimage
from scipy import ndimage

from napari_runet.images.skeletons import TRACED, SkeletonEnd, middle_lines, skeleton_ends

REACH = 96
"""Ends are looked for within this many pixels of the click, along rows and columns."""
_SIDE_COSTS = 1.5
"""Joining an end to the side of a structure is chosen where two ends would be this much further apart."""
_CHEAPEST = 0.03
_FORBIDDEN = 20.0
_SAME_PIECE = 3.0
_AWAY = -0.3
"""Ends that look away from each other by more than this (a cosine) are not joined."""
_ON_TIP = 6.0
"""A click on the structure itself counts as one into the gap when an end is this near, in pixels."""


class BridgeError(ValueError):
    """There is nothing to join here; the message says why."""


@dataclass(frozen=True, slots=True)
class Bridge:
    """What a bridge paints.

    Parameters
    ----------
    rows, columns
        (n,) pixels of the plane that are not of the class yet.
    ends
        The two (row, column) that were joined.
    """

    rows: npt.NDArray[np.intp]
    columns: npt.NDArray[np.intp]
    ends: tuple[tuple[int, int], tuple[int, int]]


def bridge(
    mask: npt.NDArray[np.bool_],
    probability: npt.NDArray[Any],
    click: tuple[int, int],
    forbidden: npt.NDArray[np.bool_] | None = None,
) -> Bridge:
    """Join the two ends that a click lies between.

    The way is the cheapest one through the probabilities (`skimage.graph.route_through_array`), as wide as the
    structure is at its ends. Where no second end is near, the end is joined to the side of the structure beyond the
    click.

    Parameters
    ----------
    mask
        (Y, X) bool: where the class is shown now.
    probability
        (Y, X) of the class: float in [0, 1], or uint8, 255 times that.
    click
        Row and column.
    forbidden
        (Y, X) bool: pixels that a person gave another class; the way leads around them where it can.

    Raises
    ------
    BridgeError
        When the click is outside the plane or in the middle of the structure, or there are no two ends around it,
        or nothing lies between them.
    """
    if not all(0 <= at < length for at, length in zip(click, mask.shape, strict=True)):
        raise BridgeError("Click on the image, between the two ends.")
    box = tuple(
        slice(max(0, at - REACH), min(length, at + REACH + 1)) for at, length in zip(click, mask.shape, strict=True)
    )
    corner = np.array([part.start for part in box])
    near, here = mask[box], np.array(click, float) - corner
    first, second = _pair(near, here)
    cost = 1 - probability[box].astype(np.float32) / (255 if probability.dtype == np.uint8 else 1)
    cost = np.where(near, 0, np.maximum(cost, 0)) + _CHEAPEST
    if forbidden is not None:
        cost = np.where(forbidden[box], _FORBIDDEN, cost)
    way, _ = skimage.graph.route_through_array(cost, first.at, second.at)  # type: ignore[no-untyped-call]
    painted = _stamp(np.array(way), first.width, second.width, near.shape) & ~near
    if not painted.any():
        raise BridgeError("These two ends are joined already; zoom in, and click into the gap.")
    rows, columns = np.nonzero(painted)
    ends = (first.on(corner), second.on(corner))
    return Bridge(rows + corner[0], columns + corner[1], ends)


@dataclass(frozen=True, slots=True)
class _Anchor:
    """Where a bridge begins: a pixel, and how wide the structure is there."""

    at: tuple[int, int]
    width: float

    def on(self, corner: npt.NDArray[np.intp]) -> tuple[int, int]:
        return self.at[0] + int(corner[0]), self.at[1] + int(corner[1])


def _pair(mask: npt.NDArray[np.bool_], click: npt.NDArray[np.float64]) -> tuple[_Anchor, _Anchor]:
    """The two ends on either side of a click, or an end and the side of what lies beyond."""
    ends = skeleton_ends(mask)
    if not ends:
        raise BridgeError("No line ends near here; click into a gap, close to where a line ends.")
    nearest = min(float(np.linalg.norm(end.position - click)) for end in ends)
    if mask[tuple(click.astype(int))] and nearest > _ON_TIP:
        raise BridgeError("There is no gap here; click between two ends, beside the structure.")
    pieces, _ = ndimage.label(mask, structure=np.ones((3, 3), int))
    depth = ndimage.distance_transform_edt(mask)
    pairs = [
        (_distance(first, second, pieces, click), first, second)
        for number, first in enumerate(ends)
        for second in ends[:number]
        if _between(first.position, second.position, click)
    ]
    cost, first, second = min(pairs, key=lambda entry: entry[0], default=(np.inf, ends[0], ends[0]))
    side = _side(mask, pieces, depth, ends, click)
    if side is not None and side[0] * _SIDE_COSTS < cost:
        return side[1], side[2]
    if not np.isfinite(cost):
        raise BridgeError("Only one line ends near here; click between two ends, or paint it.")
    return _anchor(first, depth), _anchor(second, depth)


def _between(first: npt.NDArray[np.float64], second: npt.NDArray[np.float64], click: npt.NDArray[np.float64]) -> bool:
    """Whether two points lie on different sides of a third."""
    return float((first - click) @ (second - click)) <= 0


def _distance(
    first: SkeletonEnd, second: SkeletonEnd, pieces: npt.NDArray[np.intp], click: npt.NDArray[np.float64]
) -> float:
    """How far apart two ends are by way of the click; further where they look aside, or are of one piece."""
    across = second.position - first.position
    gap = max(float(np.linalg.norm(across)), 1e-6)
    facing = min(float(first.direction @ across), float(second.direction @ -across)) / gap
    if facing < _AWAY:
        return np.inf
    same = _SAME_PIECE if pieces[first.y, first.x] == pieces[second.y, second.x] else 1.0
    way = np.linalg.norm(first.position - click) + np.linalg.norm(second.position - click)
    return float(way) * (2 - facing) * same


def _side(
    mask: npt.NDArray[np.bool_],
    pieces: npt.NDArray[np.intp],
    depth: npt.NDArray[np.float64],
    ends: list[SkeletonEnd],
    click: npt.NDArray[np.float64],
) -> tuple[float, _Anchor, _Anchor] | None:
    """The nearest end, and the middle line of another piece on the other side of the click; and how far apart."""
    end = min(ends, key=lambda end: float(np.linalg.norm(end.position - click)))
    rows, columns = np.nonzero(middle_lines(mask) & (pieces != pieces[end.y, end.x]))
    beyond = np.stack([rows, columns], axis=1) - click
    beyond = np.where(((beyond @ (end.position - click)) <= 0)[:, None], beyond, np.inf)
    distance = np.linalg.norm(beyond, axis=1)
    if not len(distance) or not np.isfinite(distance.min()):
        return None
    nearest = int(distance.argmin())
    start = _anchor(end, depth)
    other = _Anchor((int(rows[nearest]), int(columns[nearest])), start.width)
    return float(distance[nearest] + np.linalg.norm(end.position - click)), start, other


def _anchor(end: SkeletonEnd, depth: npt.NDArray[np.float64]) -> _Anchor:
    """An end, and the width of its structure a little way back, where the tip does not narrow it."""
    back = end.position - np.outer(np.arange(3, TRACED), end.direction)
    rows, columns = np.rint(back).astype(int).T
    inside = (rows >= 0) & (columns >= 0) & (rows < depth.shape[0]) & (columns < depth.shape[1])
    radii = depth[rows[inside], columns[inside]]
    radii = radii[radii > 0]
    return _Anchor((end.y, end.x), float(2 * np.median(radii) - 1) if len(radii) else 1.0)


def _stamp(way: npt.NDArray[np.intp], first: float, second: float, shape: tuple[int, ...]) -> npt.NDArray[np.bool_]:
    """All pixels within half a width of the way; the width goes from the first to the second along it."""
    painted = np.zeros(shape, bool)
    for (y, x), width in zip(way, np.linspace(first, second, len(way)), strict=True):
        reach = int(np.ceil(width / 2))
        box = slice(max(0, y - reach), y + reach + 1), slice(max(0, x - reach), x + reach + 1)
        rows, columns = np.ogrid[box[0].start : min(box[0].stop, shape[0]), box[1].start : min(box[1].stop, shape[1])]
        painted[box] |= (rows - y) ** 2 + (columns - x) ** 2 <= (width / 2) ** 2
    return painted
