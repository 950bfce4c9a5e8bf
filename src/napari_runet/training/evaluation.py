"""How good a model is on labelled images, as one click would segment them."""

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from napari_runet.images.image_input import ImageInput
from napari_runet.images.thresholding import labels_from, quantise
from napari_runet.inference.segmenter import LoadedModel, iterate
from napari_runet.settings import SegmentationSettings
from napari_runet.training import metrics
from napari_runet.training.losses import UNKNOWN
from napari_runet.training.pairs import DataError, Pair, known_labels

MEANS = (
    "dice", "iou", "precision", "recall", "auc",
    "relaxed_precision", "relaxed_recall", "relaxed_f1", "cldice", "betti0_error",
)  # fmt: skip
"""Figures of the foreground of one image; a model's is the mean over images."""


class _Iteration:
    """What is gathered over the images for one iteration."""

    def __init__(self, classes: int) -> None:
        self.confusion = np.zeros((classes, classes), np.int64)
        self.calibration = metrics.Calibration()
        self.images: list[dict[str, float | None]] = []

    def figures(self, number: int) -> dict[str, Any]:
        interval = metrics.bootstrap_interval([image["dice"] for image in self.images])
        return {
            "iteration": number,
            **{name: metrics.mean([image[name] for image in self.images]) for name in MEANS},
            **metrics.class_means(self.confusion),
            "ece": self.calibration.error(),
            "dice_interval": None if interval is None else list(interval),
        }


def evaluate(
    model: LoadedModel,
    pairs: Sequence[Pair],
    settings: SegmentationSettings | None = None,
    report: Callable[[int], None] = lambda done: None,
) -> dict[str, Any]:
    """Measure a model.

    Parameters
    ----------
    model, pairs
        What is measured, and on what; pixels that are unknown or outside the field of view do not count.
    settings
        Iterations and threshold; the card's by default.
    report
        Called after each image with how many are done.

    Returns
    -------
    Ready for JSON: ``model``, ``sha256``, ``n`` images, ``n_empty`` of which have no foreground and are left out
    of the means over images, ``iterations`` with the figures of each, and ``per_image`` with the Dice of each.
    Undefined figures are None.

    Raises
    ------
    DataError
        When the labels hold a class that the model does not have.
    """
    settings = settings or SegmentationSettings()
    classes = model.card.network.classes
    gathered = [_Iteration(classes) for _ in range(settings.iterations or model.card.iterations)]
    per_image: list[dict[str, Any]] = []
    for done, pair in enumerate(pairs, 1):
        truth = known_labels(pair)
        known = truth != UNKNOWN
        _check_classes(pair, truth[known], classes)
        dice: list[float | None] = []
        source = ImageInput.from_array(pair.image, name=pair.name)
        for step, into in zip(iterate(source, model, settings), gathered, strict=True):
            labels = labels_from(quantise(step.foreground), settings.threshold or model.card.threshold)
            dice.append(_add(into, step.foreground, labels, truth, known))
        per_image.append({"name": pair.name, "dice": dice})
        report(done)
    return {
        "model": model.card.id,
        "sha256": model.card.sha256,
        "n": len(pairs),
        "n_empty": len(pairs) - len(gathered[0].images),
        "iterations": [each.figures(number) for number, each in enumerate(gathered, 1)],
        "per_image": per_image,
    }


def _check_classes(pair: Pair, labels: npt.NDArray[np.uint8], classes: int) -> None:
    highest = int(labels.max(initial=0))
    if highest >= classes:
        raise DataError(f"{pair.name}: the labels hold class {highest}, but the model knows only 0 to {classes - 1}.")


def _add(
    into: _Iteration,
    foreground: npt.NDArray[np.float32],
    labels: npt.NDArray[np.uint8],
    truth: npt.NDArray[np.uint8],
    known: npt.NDArray[np.bool_],
) -> float | None:
    """Count one image at one iteration; returns its Dice coefficient, None without foreground."""
    probability = np.clip(foreground.sum(axis=0), 0, 1)[known]
    positive = truth[known] > 0
    into.confusion += metrics.confusion_matrix(labels[known], truth[known], len(into.confusion))
    into.calibration.add(probability, positive)
    if not positive.any():
        return None
    drawn, real = (labels > 0) & known, (truth > 0) & known
    figures: dict[str, float | None] = {
        **metrics.overlap(drawn, real),
        "auc": metrics.area_under_curve(probability, positive),
        **metrics.relaxed(drawn, real),
        "cldice": metrics.centreline_dice(drawn, real),
        "betti0_error": metrics.betti0_error(drawn, real),
    }
    into.images.append(figures)
    return figures["dice"]
