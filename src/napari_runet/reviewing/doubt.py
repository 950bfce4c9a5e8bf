"""How doubtful each pixel of a prediction is: one score, of four parts; numpy and scipy only.

::

    closeness      how near the probability is to the threshold, and where classes compete, to one another;
                   opened by 3 x 3 pixels, so that the edge every confident object has does not count
    disagreement   how much the last two iterations differ: half the sum over classes of |p_T - p_(T-1)|
    breaks         ends of middle lines, and the gap between two ends that face each other
    islands        pieces that are small beside the largest one

The weights were chosen on training and validation images by ``benchmarks/review.py``.
"""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import skimage
from scipy import ndimage

from napari_runet.images.skeletons import skeleton_ends
from napari_runet.images.thresholding import labels_from, quantise
from napari_runet.reviewing.breaks import find_breaks

WEIGHTS = {"disagreement": 0.54, "closeness": 0.27, "breaks": 0.135, "islands": 0.055}
"""What each part counts; together 1."""
TITLES = {
    "disagreement": "the iterations disagree",
    "closeness": "close to the threshold",
    "breaks": "a line ends or breaks",
    "islands": "a small piece apart",
}
"""The parts in words for people."""
ISLAND_SHARE = 0.02
"""A piece of this share of the largest one's pixels, or more, is no island."""
_END_RADIUS = 4
_OPEN = 3
_ROWS = 256

Probabilities = npt.NDArray[np.uint8 | np.float32]


@dataclass(frozen=True, slots=True, eq=False)
class Doubt:
    """How doubtful the pixels of one plane are.

    Parameters
    ----------
    score
        (Y, X) uint8, 255 times the weighted sum of the parts; 0 where `settled`.
    breaks, islands
        (Y, X) uint8, 255 times these parts.
    last, before
        (K, Y, X) uint8: 255 times the foreground probabilities of the last two iterations; `before` is None after
        a single one.
    threshold
        At which a mask is made of them.
    """

    score: npt.NDArray[np.uint8]
    breaks: npt.NDArray[np.uint8]
    islands: npt.NDArray[np.uint8]
    last: npt.NDArray[np.uint8]
    before: npt.NDArray[np.uint8] | None
    threshold: float

    def parts(self, rows: slice, columns: slice) -> dict[str, float]:
        """What each part contributes to the mean score of a box, were none of it settled."""
        halo = slice(max(0, rows.start - _OPEN), rows.stop + _OPEN), slice(max(0, columns.start - _OPEN), None)
        inner = (
            slice(rows.start - halo[0].start, rows.stop - halo[0].start),
            slice(columns.start - halo[1].start, columns.stop - halo[1].start),
        )
        before = None if self.before is None else self.before[:, *halo]
        pointwise = _pointwise(self.last[:, *halo], before, self.threshold)
        values = {name: float(part[inner].mean()) for name, part in pointwise.items()}
        values["breaks"] = float(self.breaks[rows, columns].mean()) / 255
        values["islands"] = float(self.islands[rows, columns].mean()) / 255
        return {name: weight * values[name] for name, weight in WEIGHTS.items()}


def doubt(
    last: Probabilities,
    before: Probabilities | None,
    threshold: float,
    settled: npt.NDArray[np.bool_] | None = None,
) -> Doubt:
    """Score every pixel of a plane; in bands of rows, so that a large plane needs little memory.

    Parameters
    ----------
    last, before
        (K, Y, X) probabilities of the foreground classes at the last two iterations: float in [0, 1], or uint8,
        255 times that. `before` is None after a single iteration.
    threshold
        In (0, 1), see `labels_from`.
    settled
        (Y, X) bool: pixels that need no look, since a person set them or nothing was computed there.
    """
    now, then = _as_bytes(last), None if before is None else _as_bytes(before)
    mask = labels_from(now, threshold) > 0
    breaks, islands = _breaks(mask), _islands(mask)
    score = np.empty(mask.shape, np.uint8)
    for start in range(0, len(mask), _ROWS):
        rows = slice(start, min(start + _ROWS, len(mask)))
        halo = slice(max(0, rows.start - _OPEN), rows.stop + _OPEN)
        part = _pointwise(now[:, halo], None if then is None else then[:, halo], threshold)
        inner = slice(rows.start - halo.start, rows.stop - halo.start)
        total = WEIGHTS["breaks"] * breaks[rows] + WEIGHTS["islands"] * islands[rows]
        for name, values in part.items():
            total += WEIGHTS[name] * 255 * values[inner]
        score[rows] = np.rint(total)
    if settled is not None:
        score[settled] = 0
    return Doubt(score, breaks, islands, now, then, threshold)


def _as_bytes(foreground: Probabilities) -> npt.NDArray[np.uint8]:
    if foreground.dtype == np.uint8:
        return np.asarray(foreground, np.uint8)
    return quantise(np.asarray(foreground, np.float32))


def _pointwise(
    last: npt.NDArray[np.uint8], before: npt.NDArray[np.uint8] | None, threshold: float
) -> dict[str, npt.NDArray[np.float32]]:
    """The two parts that need no more than the pixels around: (Y, X) float32 in [0, 1]."""
    now = last.astype(np.float32) / np.float32(255)
    closeness: npt.NDArray[np.float32] = ndimage.grey_opening(_closeness(now, threshold), (_OPEN, _OPEN))
    if before is None:
        return {"closeness": closeness, "disagreement": np.zeros_like(closeness)}
    change = now - before.astype(np.float32) / np.float32(255)
    moved = (np.abs(change).sum(axis=0) + np.abs(change.sum(axis=0))) / 2  # the background takes what is left
    return {"closeness": closeness, "disagreement": np.minimum(moved, np.float32(1))}


def _closeness(now: npt.NDArray[np.float32], threshold: float) -> npt.NDArray[np.float32]:
    """1 at the threshold and 0 at certainty, falling linearly; with several classes 1 also where two are level."""
    best = now.max(axis=0)
    background = np.clip(1 - now.sum(axis=0), 0, 1)
    total = best + background
    ratio = np.divide(best, total, out=np.zeros_like(best), where=total > 0)
    t = np.float32(threshold)
    near = 1 - np.where(ratio >= t, (ratio - t) / (1 - t), (t - ratio) / t)
    if len(now) > 1:
        second = np.partition(now, -2, axis=0)[-2]
        rivals = np.divide(second, best, out=np.zeros_like(best), where=best > 0)
        near = np.maximum(near, rivals * best)
    return np.asarray(near, np.float32)


def _breaks(mask: npt.NDArray[np.bool_]) -> npt.NDArray[np.uint8]:
    """Ends as discs of half strength, and gaps between ends that face each other as lines up to full strength."""
    drawn = np.zeros(mask.shape, np.uint8)
    ends = skeleton_ends(mask)
    for end in ends:
        drawn[skimage.draw.disk((end.y, end.x), _END_RADIUS, shape=mask.shape)] = 128  # type: ignore[no-untyped-call]
    for found in find_breaks(ends):
        strength = np.uint8(128 + round(127 * found.strength))
        for y, x in zip(*found.gap, strict=True):
            box = slice(max(0, y - 2), y + 3), slice(max(0, x - 2), x + 3)
            np.maximum(drawn[box], strength, out=drawn[box])
    return drawn


def _islands(mask: npt.NDArray[np.bool_]) -> npt.NDArray[np.uint8]:
    """Small pieces, the smaller the stronger."""
    pieces, count = ndimage.label(mask, structure=np.ones((3, 3), int))
    if count < 2:
        return np.zeros(mask.shape, np.uint8)
    sizes = np.bincount(pieces.ravel())
    limit = ISLAND_SHARE * sizes[1:].max()
    strength = np.clip(1 - sizes / limit, 0, 1) * 255
    strength[0] = 0
    drawn: npt.NDArray[np.uint8] = np.rint(strength).astype(np.uint8)[pieces]
    return drawn
