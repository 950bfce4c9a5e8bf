"""Figures of merit, in numpy; an undefined one is None, never NaN."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy import ndimage
from skimage.morphology import skeletonize

Mask = npt.NDArray[np.bool_]
RELAXATION = 3
"""Pixels by which a road may be off and still count as found."""


def ratio(numerator: float, denominator: float) -> float | None:
    """The quotient, None where the denominator is 0."""
    return float(numerator / denominator) if denominator else None


def mean(values: Sequence[float | None]) -> float | None:
    """Mean of the defined values, None where there are none."""
    defined = [value for value in values if value is not None]
    return float(np.mean(defined)) if defined else None


def overlap(predicted: npt.NDArray[Any], truth: npt.NDArray[Any]) -> dict[str, float | None]:
    """Dice, IoU, precision and recall of the foreground of two masks, or two arrays of class ids, of one shape.

    With several classes a foreground pixel is right where its class is right.
    """
    there_and_found = (truth > 0) & (predicted == truth)
    both, found, there = int(there_and_found.sum()), int((predicted > 0).sum()), int((truth > 0).sum())
    return {
        "dice": ratio(2 * both, found + there),
        "iou": ratio(both, found + there - both),
        "precision": ratio(both, found),
        "recall": ratio(both, there),
    }


def confusion_matrix(
    predicted: npt.NDArray[np.uint8], truth: npt.NDArray[np.uint8], classes: int
) -> npt.NDArray[np.int64]:
    """(classes, classes) counts: rows are the truth, columns the prediction; both arrays of class ids, 1-d."""
    flat = np.bincount(truth.astype(np.int64) * classes + predicted, minlength=classes * classes)
    return flat.reshape(classes, classes).astype(np.int64)


def class_figures(confusion: npt.NDArray[np.int64]) -> dict[str, list[float | None]]:
    """IoU, precision, recall and F1 of each class, the background among them.

    Precision is the share of what was *predicted* as a class that is of it, recall the share of what *is* of a
    class that was predicted so (the authors' code has the two names the other way round).
    """
    hits, there, found = np.diag(confusion), confusion.sum(axis=1), confusion.sum(axis=0)

    def ratios(numerator: npt.NDArray[np.int64], denominator: npt.NDArray[np.int64]) -> list[float | None]:
        return [ratio(n, d) for n, d in zip(numerator, denominator, strict=True)]

    return {
        "iou": ratios(hits, there + found - hits),
        "precision": ratios(hits, found),
        "recall": ratios(hits, there),
        "f1": ratios(2 * hits, there + found),
    }


def class_means(confusion: npt.NDArray[np.int64]) -> dict[str, float | None]:
    """mIoU, mPrec, mRec and mF1 as the paper defines them: means over the classes, the background among them.

    A class for which a figure is undefined is left out of that mean.
    """
    figures = class_figures(confusion)
    names = {"miou": "iou", "mprec": "precision", "mrec": "recall", "mf1": "f1"}
    return {name: mean(figures[figure]) for name, figure in names.items()}


def area_under_curve(scores: npt.NDArray[np.float32], truth: Mask) -> float | None:
    """Area under the ROC curve, exact: the share of pairs (positive, negative) ranked rightly, ties counting half.

    Parameters
    ----------
    scores, truth
        1-d, of the same length. None where one of the classes is missing.
    """
    positive, negative = np.sort(scores[truth]), np.sort(scores[~truth])
    if not positive.size or not negative.size:
        return None
    below = np.searchsorted(negative, positive, "left").sum(dtype=np.float64)
    not_above = np.searchsorted(negative, positive, "right").sum(dtype=np.float64)
    return float((below + not_above) / 2 / positive.size / negative.size)


def relaxed(predicted: Mask, truth: Mask, pixels: float = RELAXATION) -> dict[str, float | None]:
    """Precision, recall and F1 where a pixel counts that lies within `pixels` of the other mask (Mnih 2013)."""
    precision = ratio(int((predicted & _near(truth, pixels)).sum()), int(predicted.sum()))
    recall = ratio(int((truth & _near(predicted, pixels)).sum()), int(truth.sum()))
    return {
        "relaxed_precision": precision,
        "relaxed_recall": recall,
        "relaxed_f1": _harmonic(precision, recall),
    }


def _near(mask: Mask, pixels: float) -> Mask:
    if not mask.any():
        return mask
    near: Mask = ndimage.distance_transform_edt(~mask) <= pixels
    return near


def _harmonic(a: float | None, b: float | None) -> float | None:
    """Harmonic mean; 0 where both are 0, None where one is undefined."""
    if a is None or b is None:
        return None
    return 2 * a * b / (a + b) if a + b else 0.0


def centreline_dice(predicted: Mask, truth: Mask) -> float | None:
    """The clDice of Shit et al. (2021): how much of each mask's skeleton lies within the other mask."""
    drawn, real = skeletonize(predicted), skeletonize(truth)  # type: ignore[no-untyped-call]
    precision = ratio(int((drawn & truth).sum()), int(drawn.sum()))
    return _harmonic(precision, ratio(int((real & predicted).sum()), int(real.sum())))


def betti0_error(predicted: Mask, truth: Mask) -> int:
    """Difference in the number of connected components (8-connected) of the two masks."""
    eight = np.ones((3, 3), bool)
    return abs(int(ndimage.label(predicted, eight)[1]) - int(ndimage.label(truth, eight)[1]))


class Calibration:
    """Expected calibration error of the foreground's probability, over `bins` equal bins; two of them add up."""

    def __init__(self, bins: int = 15) -> None:
        self.bins = bins
        self.count = np.zeros(bins, np.int64)
        self.confidence = np.zeros(bins)
        self.positives = np.zeros(bins)

    def add(self, probabilities: npt.NDArray[np.float32], truth: Mask) -> None:
        """Count pixels: probabilities in [0, 1] and what they are, 1-d."""
        where = np.minimum((probabilities * self.bins).astype(np.int64), self.bins - 1)
        self.count += np.bincount(where, minlength=self.bins)
        self.confidence += np.bincount(where, probabilities, minlength=self.bins)
        self.positives += np.bincount(where, truth, minlength=self.bins)

    def __add__(self, other: "Calibration") -> "Calibration":
        both = Calibration(self.bins)
        both.count = self.count + other.count
        both.confidence = self.confidence + other.confidence
        both.positives = self.positives + other.positives
        return both

    def error(self) -> float | None:
        """Mean over pixels of | mean probability - share of positives | of their bin."""
        return ratio(float(np.abs(self.confidence - self.positives).sum()), int(self.count.sum()))


def redraws(count: int, draws: int = 2000, seed: int = 0) -> npt.NDArray[np.int64]:
    """(draws, count) positions of images drawn again with replacement: the bootstrap's, always the same."""
    return np.random.default_rng(seed).integers(0, count, (draws, count))


def percentile_interval(values: npt.NDArray[np.float64], level: float = 0.95) -> tuple[float, float]:
    """The middle `level` of the values."""
    low, high = np.quantile(values, [(1 - level) / 2, (1 + level) / 2])
    return float(low), float(high)


def bootstrap_interval(values: Sequence[float | None]) -> tuple[float, float] | None:
    """95 % of the mean when images are drawn again with replacement; None for fewer than two defined values."""
    defined = np.array([value for value in values if value is not None], np.float64)
    if defined.size < 2:
        return None
    return percentile_interval(defined[redraws(defined.size)].mean(axis=1))
