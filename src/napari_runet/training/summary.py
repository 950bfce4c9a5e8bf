"""From measurements of images to a model's figures, those of a group of images, and the difference of two models."""

import re
from collections.abc import Sequence
from typing import Any

import numpy as np

from napari_runet.training import metrics
from napari_runet.training.evaluation import MEANS, Evaluation, Measurement


def summary(evaluation: Evaluation, *, by_prefix: bool = False) -> dict[str, Any]:
    """All figures, ready for JSON.

    Returns
    -------
    ``model``, ``sha256``, ``n`` images, ``n_empty`` of which have no foreground and are left out of the means over
    images, ``iterations`` with the figures of each, and ``per_image`` with the Dice of each. With `by_prefix` also
    ``groups``: the same for the images whose names begin alike. Undefined figures are None.
    """
    content: dict[str, Any] = {
        "model": evaluation.model,
        "sha256": evaluation.sha256,
        **_figures_of(evaluation, range(len(evaluation.names))),
        "per_image": [
            {"name": name, "dice": [None if each.figures is None else each.figures["dice"] for each in image]}
            for name, image in zip(evaluation.names, evaluation.images, strict=True)
        ],
    }
    if by_prefix:
        content["groups"] = {
            prefix: _figures_of(evaluation, chosen) for prefix, chosen in groups_of(evaluation.names).items()
        }
    return content


def groups_of(names: Sequence[str]) -> dict[str, list[int]]:
    """Positions of the names that begin with the same letters, by these letters in lower case."""
    groups: dict[str, list[int]] = {}
    for position, name in enumerate(names):
        letters = re.match(r"[^\W\d_]*", name)
        groups.setdefault(letters.group().lower() if letters else "", []).append(position)
    return dict(sorted(groups.items()))


def _figures_of(evaluation: Evaluation, chosen: Sequence[int]) -> dict[str, Any]:
    images = [evaluation.images[position] for position in chosen]
    by_iteration = list(zip(*images, strict=True))
    return {
        "n": len(images),
        "n_empty": sum(image[0].figures is None for image in images),
        "iterations": [
            {"iteration": number, **_row(column, evaluation.classes)} for number, column in enumerate(by_iteration, 1)
        ],
    }


def _row(measurements: Sequence[Measurement], classes: Sequence[str]) -> dict[str, Any]:
    """The figures of one iteration over some images."""
    figures = [each.figures for each in measurements if each.figures is not None]
    confusions = np.stack([each.confusion for each in measurements])
    confusion = confusions.sum(axis=0)
    means = {name: metrics.mean([each[name] for each in figures]) for name in MEANS}
    intervals = {name: metrics.bootstrap_interval([each[name] for each in figures]) for name in MEANS}
    by_class = metrics.class_figures(confusion)
    return {
        **means,
        **metrics.class_means(confusion),
        "ece": sum((each.calibration for each in measurements), start=metrics.Calibration()).error(),
        "intervals": {
            **{name: None if interval is None else list(interval) for name, interval in intervals.items()},
            "miou": _miou_interval(confusions),
        },
        "classes": [
            {"name": name, **{figure: values[k] for figure, values in by_class.items()}}
            for k, name in enumerate(classes)
        ],
    }


def _miou_interval(confusions: np.ndarray[Any, np.dtype[np.int64]]) -> list[float] | None:
    """95 % of the mean IoU when images are drawn again, each time with one confusion matrix of all."""
    if len(confusions) < 2:
        return None
    draws = metrics.redraws(len(confusions))
    counts = np.stack([np.bincount(draw, minlength=len(confusions)) for draw in draws])
    drawn = np.tensordot(counts, confusions, axes=1)
    values = [value for each in drawn if (value := metrics.class_means(each)["miou"]) is not None]
    return list(metrics.percentile_interval(np.array(values))) if values else None


def difference(first: Evaluation, second: Evaluation, figure: str = "dice") -> dict[str, Any]:
    """How much better `second` is than `first` on the same images, each at its last iteration.

    Returns
    -------
    ``difference``, the mean over images of the figure's change, and ``interval``, 95 % of it when images are drawn
    again, the same for both models.
    """
    changes: list[float | None] = []
    for one, other in zip(first.images, second.images, strict=True):
        before, after = ((each[-1].figures or {}).get(figure) for each in (one, other))
        changes.append(None if before is None or after is None else after - before)
    interval = metrics.bootstrap_interval(changes)
    return {
        "model": second.model,
        "against": first.model,
        "figure": figure,
        "difference": metrics.mean(changes),
        "interval": None if interval is None else list(interval),
    }
