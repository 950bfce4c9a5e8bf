"""How good a model is on labelled images, as one click would segment them."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from napari_runet.images.thresholding import labels_from, quantise
from napari_runet.inference.segmenter import LoadedModel, iterate
from napari_runet.settings import SegmentationSettings
from napari_runet.training import metrics
from napari_runet.training.losses import UNKNOWN
from napari_runet.training.pairs import DataError, Pair, as_plane, known_labels

MEANS = (
    "dice", "iou", "precision", "recall", "auc",
    "relaxed_precision", "relaxed_recall", "relaxed_f1", "cldice", "betti0_error",
)  # fmt: skip
"""Figures of the foreground of one image; a model's is the mean over images."""
Figures = dict[str, float | None]


@dataclass(frozen=True, slots=True)
class Measurement:
    """What was measured of one image at one iteration.

    Parameters
    ----------
    confusion
        (classes, classes) pixels, rows the truth, columns the prediction.
    calibration
        Of the foreground's probability.
    figures
        `MEANS` of the image, None where it has no foreground.
    """

    confusion: npt.NDArray[np.int64]
    calibration: metrics.Calibration
    figures: Figures | None


@dataclass(frozen=True, slots=True)
class Evaluation:
    """A model's measurements: the images' names, and for each image one measurement an iteration."""

    model: str
    sha256: str
    classes: tuple[str, ...]
    names: tuple[str, ...]
    images: tuple[tuple[Measurement, ...], ...]


def evaluate(
    model: LoadedModel,
    pairs: Sequence[Pair],
    settings: SegmentationSettings | None = None,
    report: Callable[[int], None] = lambda done: None,
) -> Evaluation:
    """Measure a model.

    Parameters
    ----------
    model, pairs
        What is measured, and on what; pixels that are unknown or outside the field of view do not count.
    settings
        Iterations and threshold; the card's by default.
    report
        Called after each image with how many are done.

    Raises
    ------
    DataError
        When the labels hold a class that the model does not have.
    """
    settings = settings or SegmentationSettings()
    names, images = [], []
    for done, pair in enumerate(pairs, 1):
        truth = known_labels(pair)
        _check_classes(pair, truth, model.card.network.classes)
        source = as_plane(pair.image, pair.name)
        threshold = settings.threshold or model.card.threshold
        names.append(pair.name)
        images.append(
            tuple(
                measure(step.foreground, labels_from(quantise(step.foreground), threshold), truth)
                for step in iterate(source, model, settings)
            )
        )
        report(done)
    classes = model.card.class_names
    return Evaluation(model.card.id, model.card.sha256, classes, tuple(names), tuple(images))


def _check_classes(pair: Pair, truth: npt.NDArray[np.uint8], classes: int) -> None:
    highest = int(truth[truth != UNKNOWN].max(initial=0))
    if highest >= classes:
        raise DataError(f"{pair.name}: the labels hold class {highest}, but the model knows only 0 to {classes - 1}.")


def measure(
    foreground: npt.NDArray[np.float32], labels: npt.NDArray[np.uint8], truth: npt.NDArray[np.uint8]
) -> Measurement:
    """Compare one prediction with the truth.

    Parameters
    ----------
    foreground
        (K, Y, X), probability of each foreground class.
    labels, truth
        (Y, X) class ids; the truth is `UNKNOWN` where nothing counts.
    """
    known = truth != UNKNOWN
    probability = np.clip(foreground.sum(axis=0), 0, 1)[known]
    positive = truth[known] > 0
    confusion = metrics.confusion_matrix(labels[known], truth[known], len(foreground) + 1)
    calibration = metrics.Calibration()
    calibration.add(probability, positive)
    if not positive.any():
        return Measurement(confusion, calibration, None)
    drawn, real = (labels > 0) & known, (truth > 0) & known
    figures: Figures = {
        **metrics.overlap(labels[known], truth[known]),
        "auc": metrics.area_under_curve(probability, positive),
        **metrics.relaxed(drawn, real),
        "cldice": metrics.centreline_dice(drawn, real),
        "betti0_error": metrics.betti0_error(drawn, real),
    }
    return Measurement(confusion, calibration, figures)
