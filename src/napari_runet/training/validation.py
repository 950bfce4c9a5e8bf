"""How good a network is on held-out pairs, during training."""

import numpy as np

from napari_runet.images.thresholding import labels_from, quantise
from napari_runet.inference.iterations import iterate_plane
from napari_runet.models.card import ModelCard
from napari_runet.networks import IterativeNetwork
from napari_runet.training.losses import UNKNOWN
from napari_runet.training.metrics import overlap
from napari_runet.training.pairs import Pair, as_plane, known_labels


def validate(card: ModelCard, network: IterativeNetwork, pairs: list[Pair], iterations: int) -> tuple[float, ...]:
    """Mean Dice coefficient of the foreground over images, at each iteration, as one click would segment them.

    Images without known foreground are left out.
    """
    scores: list[list[float]] = []
    for pair in pairs:
        truth = known_labels(pair)
        known = truth != UNKNOWN
        if not (truth[known] > 0).any():
            continue
        source = as_plane(pair.image, pair.name)
        steps = iterate_plane(
            card, network, source, iterations=iterations, tile_size=card.tile_size, tile_overlap=card.tile_overlap
        )
        scores.append([])
        for step in steps:
            labels = labels_from(quantise(step.foreground), card.threshold)
            scores[-1].append(overlap(labels[known], truth[known])["dice"] or 0.0)
    return tuple(float(value) for value in np.mean(scores, axis=0)) if scores else (0.0,) * iterations
