"""A simulated person who corrects all that is wrong in a part of the picture, and then marks that part as reviewed."""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy import ndimage

from napari_runet.corrections.annotator import Annotator
from napari_runet.corrections.correction import UNKNOWN

Plane = npt.NDArray[np.uint8]
Box = tuple[slice, slice]


@dataclass(frozen=True, slots=True)
class Corrected:
    """What was done in one sitting: `labels` (Y, X), 255 where nobody said anything, and what it took."""

    labels: Plane
    painted: int
    reviewed: int


@dataclass(frozen=True, slots=True)
class AnnotatorInView:
    """How a person works who reviews.

    Parameters
    ----------
    pixels
        At most this many pixels are painted.
    strokes
        Of them so many on the worst mistakes of the image, which may be too large to paint whole.
    boxes
        At most this many boxes are reviewed.
    sides
        Sides of the boxes in pixels. Of all boxes whose mistakes can be painted with what is left, the one is taken
        that has the most mistakes, larger boxes counting more in proportion to their side.
    tolerance
        An outline that is off by so many pixels is not seen. In a reviewed box it stays, and is vouched for.
    """

    pixels: int = 200
    strokes: int = 100
    boxes: int = 4
    sides: tuple[int, ...] = (32, 48, 64, 96, 128)
    tolerance: int = 1

    def correct(self, shown: Plane, truth: Plane, known: Plane) -> Corrected:
        """Paint on what a layer shows, and review.

        Parameters
        ----------
        shown, truth, known
            (Y, X) labels: of the layer; what is right, 255 where nobody can tell; and what was said before, 255
            where nothing was.
        """
        labels = Annotator(self.strokes, mistakes=4).correct(shown, truth, known) if self.strokes else known.copy()
        left, reviewed = self.pixels - int((labels != known).sum()), 0
        seen = self.seen(shown, truth) & (labels == UNKNOWN)
        for number in range(self.boxes):
            free = (truth != UNKNOWN) & (labels == UNKNOWN)
            if number % 2:  # a view of the structure, with little wrong
                box = self._best_box(seen, free, (truth > 0) & free, left)
            else:  # a view of the worst
                box = self._best_box(seen, free, seen, left if self.boxes - number <= 2 else left // 2)
            if box is None:
                break
            paint, free = seen[box], (labels[box] == UNKNOWN) & (truth[box] != UNKNOWN)
            left -= int(paint.sum())
            reviewed += int((free & ~paint).sum())
            labels[box] = np.where(free, np.where(paint, truth[box], shown[box]), labels[box])
            seen[box] = False
        if left:  # what no box was found for
            strokes = Annotator(left, mistakes=max(1, left // 25)).correct(shown, truth, labels)
            left -= int((strokes != labels).sum())
            labels = strokes
        return Corrected(labels, self.pixels - left, reviewed)

    def seen(self, shown: Plane, truth: Plane) -> npt.NDArray[np.bool_]:
        """(Y, X): the mistakes that a person sees."""
        wrong = (shown != truth) & (truth != UNKNOWN)
        near = np.ones((2 * self.tolerance + 1,) * 2, bool)
        for there, said in {*zip(truth[wrong].tolist(), shown[wrong].tolist(), strict=True)}:
            moved = ndimage.binary_dilation(truth == said, near) & ndimage.binary_dilation(shown == there, near)
            wrong &= ~(moved & (truth == there) & (shown == said))
        return wrong

    def _best_box(
        self, seen: npt.NDArray[np.bool_], free: npt.NDArray[np.bool_], wanted: npt.NDArray[np.bool_], left: int
    ) -> Box | None:
        """The box with the most wanted pixels whose mistakes can be painted; most of it is new."""
        best, found = 0.0, None
        for side in self.sides:
            if min(seen.shape) < side:
                continue
            step = max(8, side // 4)
            need, new, worth = (_box_sums(part, side)[::step, ::step] for part in (seen, free, wanted))
            worth = np.where((need <= left) & (new > 0.8 * side**2), worth, 0)
            if worth.max() > best:
                best = float(worth.max())
                y, x = (step * int(i) for i in np.unravel_index(np.argmax(worth), worth.shape))
                found = slice(y, y + side), slice(x, x + side)
        return found


def _box_sums(mask: npt.NDArray[np.bool_], side: int) -> npt.NDArray[np.int64]:
    """(Y - side + 1, X - side + 1): how many pixels of each box are set, by its upper left corner."""
    total = np.pad(mask.astype(np.int64).cumsum(0).cumsum(1), ((1, 0), (1, 0)))
    return total[side:, side:] - total[:-side, side:] - total[side:, :-side] + total[:-side, :-side]
