"""From probabilities to labels: the one place where a threshold becomes a mask."""

from typing import Any

import numpy as np
import numpy.typing as npt


def quantise(probabilities: npt.NDArray[np.floating[Any]]) -> npt.NDArray[np.uint8]:
    """Probabilities in [0, 1] as uint8, round(255 p)."""
    quantised: npt.NDArray[np.uint8] = np.rint(np.clip(probabilities, 0, 1) * 255).astype(np.uint8)
    return quantised


def as_float(foreground: npt.NDArray[Any]) -> npt.NDArray[np.float32]:
    """Probabilities as float32 in [0, 1], from those or from uint8 round(255 p)."""
    if foreground.dtype == np.uint8:
        return foreground.astype(np.float32) / np.float32(255)
    return np.asarray(foreground, np.float32)


def labels_from(
    foreground: npt.NDArray[np.uint8], threshold: float, out: npt.NDArray[np.uint8] | None = None
) -> npt.NDArray[np.uint8]:
    """Label each pixel with its most probable foreground class, or 0.

    Class k wins against the background where ``p_k / (p_k + p_0) >= threshold``: with two classes that is
    ``p_1 >= threshold``, and with a threshold of 0.5 it is the most probable class of all.

    Parameters
    ----------
    foreground
        (K, Y, X) uint8, 255 times the probability of each foreground class.
    threshold
        In (0, 1).
    out
        (Y, X) uint8 to write into.

    Returns
    -------
    (Y, X) uint8, 0 for background, k + 1 for the k-th foreground class.
    """
    if foreground.shape[0] == 1:
        lowest = np.uint8(min(255, int(np.ceil(255 * threshold))))
        labels: npt.NDArray[np.uint8] = (foreground[0] >= lowest).view(np.uint8)
    else:
        labels = _most_probable(foreground, threshold)
    if out is None:
        return labels
    out[...] = labels
    return out


def _most_probable(foreground: npt.NDArray[np.uint8], threshold: float) -> npt.NDArray[np.uint8]:
    best = foreground.argmax(axis=0)
    probability = np.take_along_axis(foreground, best[None], axis=0)[0].astype(np.float32)
    background = np.maximum(255 - foreground.sum(axis=0, dtype=np.float32), 0)
    wins = (probability * (1 - threshold) >= background * threshold) & (probability > 0)
    return np.where(wins, best + 1, 0).astype(np.uint8)
