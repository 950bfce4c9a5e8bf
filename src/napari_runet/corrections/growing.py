"""How a stroke grows over the rest of the thing that it is painted on, most of which it does not cover.

A stroke says that the network was wrong about a thing. What the rest of that thing is can only be guessed, so several
guesses are offered, from careful to bold: a person sees at a glance which of them is right. Each takes connected
pixels that were shown as what the stroke was painted on. The first three ask what the network, before anybody corrected
it, thought of them; the last asks whether they look more like the stroke than like the rest of what is shown the same.
"""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy import ndimage

from napari_runet.corrections.correction import UNKNOWN
from napari_runet.corrections.spreading import Foreground, Labels
from napari_runet.images.thresholding import labels_from

Scores = npt.NDArray[np.floating]

_AROUND = np.ones((3, 3), bool)


@dataclass(frozen=True, slots=True)
class Guess:
    """How far a stroke grows; all numbers were chosen on validation images.

    Parameters
    ----------
    most_of_a_stroke
        The share of a stroke's own pixels that lie within what it grows to.
    most_growth
        A stroke that would grow to more than this many times its own pixels does not grow: it says too little.
    adds_from, erases_to
        A stroke that adds a class grows over pixels of at least this probability, one that erases over pixels of at
        most this.
    """

    most_of_a_stroke: float
    most_growth: int
    adds_from: float = 0.0
    erases_to: float = 1.0

    def level(self, sure: Scores, label: int, threshold: float) -> float:
        """The least that a pixel must have for a stroke with these (N,) of its own to grow over it."""
        least, most = min(self.adds_from, threshold), threshold
        if not label:
            least, most = -max(self.erases_to, threshold), -threshold
        return float(np.clip(np.quantile(sure, 1 - self.most_of_a_stroke), least, most))


BY_PROBABILITY = (
    Guess(0.75, 10, adds_from=0.15, erases_to=0.9),
    Guess(0.9, 20, adds_from=0.1, erases_to=0.95),
    Guess(1.0, 60, adds_from=0.02, erases_to=0.99),
)
ALIKE = Guess(0.85, 10)
_BLURS = (1, 3)
_ENOUGH = 50_000
"""So many pixels tell what a thing looks like."""
_APART = 3
"""Pixels this close to a stroke say nothing about what does not look like it."""


def guesses(
    found: Foreground,
    base: Foreground,
    own: Foreground,
    seen: Scores,
    *,
    pinned: Labels,
    strokes: npt.NDArray[np.bool_],
    threshold: float,
) -> list[Foreground]:
    """What was found, with each new stroke grown to the rest of the thing it is painted on: a few guesses.

    Parameters
    ----------
    found
        (K, Y, X) uint8 from `spreading.spread`.
    base
        (K, Y, X) uint8: what was shown when the strokes were painted.
    own
        (K, Y, X) uint8: what the network said before anybody corrected it.
    seen
        (Y, X, F) from `looks`.
    pinned, strokes, threshold
        As of `spreading.spread`.

    Returns
    -------
    One to four different (K, Y, X) uint8, careful ones first; pixels that a person has set are those of `found`.
    """
    grown = [found.copy() for _ in (*BY_PROBABILITY, ALIKE)]
    shown, free = labels_from(base, threshold), pinned == UNKNOWN
    for label in np.unique(pinned[strokes]):
        # the less sure of a class, the more of the background
        sure = own[label - 1] / 255 if label else -(own.max(axis=0) / 255)
        pieces, count = ndimage.label(strokes & (pinned == label) & (shown != label), _AROUND)
        for piece in (pieces == number for number in range(1, count + 1)):
            thing = np.isin(shown, np.unique(shown[piece]))
            alike = _alike(seen, piece, thing)
            ways = [(guess, sure, guess.level(sure[piece], label, threshold)) for guess in BY_PROBABILITY]
            ways.append((ALIKE, alike, max(0.0, float(np.quantile(alike[piece], 1 - ALIKE.most_of_a_stroke)))))
            for plane, (guess, score, level) in zip(grown, ways, strict=True):
                within = piece | (thing & free & (score >= level))
                reached = ndimage.binary_propagation(piece, _AROUND, mask=within) & free
                if np.count_nonzero(reached) <= guess.most_growth * np.count_nonzero(piece):
                    plane[:, reached] = 0
                    if label:
                        plane[label - 1, reached] = 255
    different = [grown[0]]
    for plane in grown[1:]:
        if not any(np.array_equal(plane, other) for other in different):
            different.append(plane)
    return different


def looks(image: npt.NDArray[np.generic], own: Foreground) -> Scores:
    """What pixels look like: their channels, twice blurred, and what the network thinks of them; of unit spread.

    Parameters
    ----------
    image
        (Y, X) or (Y, X, C): the pixels, of any range.
    own
        (K, Y, X) uint8: what the network said before anybody corrected it.

    Returns
    -------
    (Y, X, F) float32. This takes most of the time of a guess, and wants no stroke.
    """
    pixels = np.nan_to_num(np.asarray(image, np.float32), posinf=0, neginf=0).reshape(*own.shape[1:], -1)
    chance = np.clip(np.moveaxis(own, 0, -1) / np.float32(255), 0.004, 0.996)
    blurred = [ndimage.gaussian_filter(pixels, (blur, blur, 0)) for blur in _BLURS]
    seen = np.concatenate([*blurred, np.log(chance / (1 - chance))], axis=-1)
    spread = seen.std(axis=(0, 1))
    return np.asarray(seen / np.where(spread > 0, spread, 1))


def _alike(seen: Scores, piece: npt.NDArray[np.bool_], thing: npt.NDArray[np.bool_]) -> Scores:
    """(Y, X) how much more a pixel looks like a piece than like the thing without it: Fisher's discriminant."""
    near = ndimage.maximum_filter(piece, 2 * _APART + 1)
    rest = np.flatnonzero(thing & ~near)
    if np.count_nonzero(piece) < 2 or len(rest) < 2:
        return np.full(piece.shape, -1.0, np.float32)
    some = rest[:: 1 + len(rest) // _ENOUGH]
    ours, theirs = np.float64(seen[piece]), np.float64(seen.reshape(-1, seen.shape[-1])[some])
    within = np.cov(ours.T) + np.cov(theirs.T) + 0.01 * np.eye(seen.shape[-1])
    direction = np.linalg.solve(within, ours.mean(axis=0) - theirs.mean(axis=0))
    middle = (ours.mean(axis=0) + theirs.mean(axis=0)) / 2
    return np.asarray(seen @ np.float32(direction) - np.float32(middle @ direction))
