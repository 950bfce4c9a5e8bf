"""A simulated person who corrects the worst mistakes with a brush; for benchmarks and tests."""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy import ndimage

from napari_runet.corrections.correction import UNKNOWN


@dataclass(frozen=True, slots=True)
class Annotator:
    """How much is corrected in one sitting.

    Parameters
    ----------
    pixels
        At most this many pixels are painted.
    mistakes
        At most this many mistakes are touched, the worst first: those that reach deepest and are largest.
    """

    pixels: int = 200
    mistakes: int = 8

    def correct(
        self, shown: npt.NDArray[np.uint8], truth: npt.NDArray[np.uint8], known: npt.NDArray[np.uint8]
    ) -> npt.NDArray[np.uint8]:
        """Paint on what a layer shows.

        Parameters
        ----------
        shown
            (Y, X) labels of the layer.
        truth
            (Y, X) what is right, 255 where nobody can tell.
        known
            (Y, X) what was corrected before, 255 where nothing was.

        Returns
        -------
        (Y, X) `known` with the new strokes.
        """
        labels = known.copy()
        wrong = (shown != truth) & (truth != UNKNOWN) & (known == UNKNOWN)
        left, longest = self.pixels, max(1, self.pixels // self.mistakes)
        for rows, columns in self._worst(wrong, truth, longest):
            stroke = min(len(rows), left, longest)
            labels[rows[:stroke], columns[:stroke]] = truth[rows[:stroke], columns[:stroke]]
            left -= stroke
            if left <= 0:
                break
        return labels

    def _worst(
        self, wrong: npt.NDArray[np.bool_], truth: npt.NDArray[np.uint8], longest: int
    ) -> list[tuple[npt.NDArray[np.intp], npt.NDArray[np.intp]]]:
        """The first `longest` pixels of each of the worst mistakes, from its deepest point outwards along it."""
        depth = ndimage.distance_transform_edt(wrong)
        found: list[tuple[float, tuple[npt.NDArray[np.intp], npt.NDArray[np.intp]]]] = []
        for label in np.unique(truth[wrong]):
            pieces, count = ndimage.label(wrong & (truth == label), structure=np.ones((3, 3), int))
            sizes = np.bincount(pieces.ravel(), minlength=count + 1)
            deepest = ndimage.maximum(depth, pieces, range(1, count + 1)) if count else []
            badness = np.asarray(deepest) * np.sqrt(sizes[1:])
            boxes = ndimage.find_objects(pieces)
            for number in np.argsort(-badness)[: self.mistakes]:
                box = boxes[number]
                rows, columns = along(pieces[box] == number + 1, depth[box], longest)
                found.append((float(badness[number]), (rows + box[0].start, columns + box[1].start)))
        found.sort(key=lambda entry: -entry[0])
        return [pixels for _, pixels in found[: self.mistakes]]


def along(
    mask: npt.NDArray[np.bool_], depth: npt.NDArray[np.float64], longest: int
) -> tuple[npt.NDArray[np.intp], npt.NDArray[np.intp]]:
    """About the first `longest` pixels of one connected mask, by their way within it from its deepest point."""
    distance = np.full(mask.shape, -1, int)
    reached = np.zeros(mask.shape, bool)
    reached[np.unravel_index(np.argmax(np.where(mask, depth, -1)), mask.shape)] = True
    ring, step = reached, 0
    while ring.any():
        distance[ring] = step
        if np.count_nonzero(reached) >= longest:
            break
        step += 1
        ring = ndimage.binary_dilation(reached, np.ones((3, 3), bool)) & mask & ~reached
        reached |= ring
    rows, columns = np.nonzero(distance >= 0)
    order = np.argsort(distance[rows, columns], kind="stable")
    return rows[order], columns[order]
