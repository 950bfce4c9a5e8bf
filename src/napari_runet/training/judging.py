"""Is a candidate better? Measured on corrections that it was not trained on."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import numpy.typing as npt
from scipy import ndimage

from napari_runet.images.thresholding import labels_from, quantise
from napari_runet.models.card import ModelCard
from napari_runet.networks import IterativeNetwork
from napari_runet.training.budget import Budget
from napari_runet.training.losses import UNKNOWN
from napari_runet.training.patches import Patch, probabilities

Method = Literal["held-out", "cross-validation", "none"]

SURE = 0.9
LEAST_GAIN = 0.005
LEAST_AGREEMENT = 0.8
"""A candidate that agrees less with what the old model was sure of is not called better."""
OUTLINE = 1
"""A corrected pixel counts as found where its class is found at most so many pixels away."""
Counts = npt.NDArray[np.int64]
Plane = npt.NDArray[np.uint8]


@dataclass(frozen=True, slots=True)
class Overlap:
    """Pixels of each class, (classes,): found, true, and of both those that have their counterpart.

    A found pixel has it where the class is true at most `tolerance` pixels away, a true one where it is found there:
    nobody who says that a mask is right vouches for its outline to the pixel.
    """

    hits: Counts
    found: Counts
    true: Counts

    @classmethod
    def of(cls, answer: Plane, truth: Plane, where: npt.NDArray[np.bool_], classes: int, tolerance: int) -> "Overlap":
        """Of the pixels `where`; all are (h, w)."""
        found, true = (np.bincount(part[where], minlength=classes) for part in (answer, truth))
        near = np.ones((2 * tolerance + 1,) * 2, bool)
        hits = np.zeros_like(found)
        for k in np.flatnonzero(found * true):
            here, there = answer == k, (truth == k) & where
            hits[k] += np.count_nonzero(there & ndimage.binary_dilation(here, near))
            hits[k] += np.count_nonzero(here & where & ndimage.binary_dilation(there, near))
        return cls(hits, found, true)

    def __add__(self, other: "Overlap") -> "Overlap":
        return Overlap(self.hits + other.hits, self.found + other.found, self.true + other.true)

    @property
    def dice(self) -> float:
        """Dice coefficient of the foreground; of the background where no foreground is true."""
        part = slice(1, None) if self.true[1:].any() else slice(0, 1)
        total = int(self.found[part].sum() + self.true[part].sum())
        return int(self.hits[part].sum()) / total if total else 0.0


@dataclass(frozen=True, slots=True)
class Tally:
    """How the answers on held-out patches agree with what a person said, and elsewhere with the old model.

    Where regions were reviewed, what was held out also shows what the old model had right, and is evidence by itself.
    Strokes alone would flatter every candidate: they are mistakes of the old model, so that it has none of them
    right, and one that answers the opposite everywhere has all of them. There both kinds weigh alike.

    Parameters
    ----------
    corrections
        Held-out pixels that a person labelled.
    rest
        Pixels of which nobody said anything and the old model was `SURE`; its answer counts as the truth.
    confirmed
        Of the pixels that a person labelled, how many the old model has right.
    """

    corrections: Overlap
    rest: Overlap
    confirmed: int

    def __add__(self, other: "Tally") -> "Tally":
        return Tally(self.corrections + other.corrections, self.rest + other.rest, self.confirmed + other.confirmed)

    @property
    def reviewed(self) -> bool:
        """Whether what a person said is evidence by itself: at least half of it confirms the old model."""
        return 2 * self.confirmed >= int(self.corrections.true.sum())

    @property
    def dice(self) -> float:
        """Dice coefficient on what a person said; where that is of mistakes only, the mean with `agreement`."""
        if self.reviewed or not self.rest.true.any():
            return self.corrections.dice
        return (self.corrections.dice + self.agreement) / 2

    @property
    def agreement(self) -> float:
        """Dice coefficient with what the old model was sure of; 1 where it was sure of nothing."""
        return self.rest.dice if self.rest.true.any() else 1.0


def tally(card: ModelCard, network: IterativeNetwork | None, patches: Sequence[Patch]) -> Tally:
    """Tally a network's last iteration on `patches`, at least one; None is the old model, asked already."""
    classes = card.network.classes
    tallies = []
    for patch in patches:
        old = patch.old.float().numpy()
        old_answer = answer = _labels(card, old)
        if network is not None:
            answer = _labels(card, probabilities(network, patch.image.float(), card.iterations).numpy())
        labels = patch.labels.numpy()
        sure = patch.untouched.numpy() & (old.max(axis=0) >= SURE)
        corrections = Overlap.of(answer, labels, labels != UNKNOWN, classes, OUTLINE)
        rest = Overlap.of(answer, old_answer, sure, classes, 0)
        tallies.append(Tally(corrections, rest, int((old_answer == labels).sum())))
    return sum(tallies[1:], tallies[0])


def _labels(card: ModelCard, probability: npt.NDArray[np.float32]) -> npt.NDArray[np.uint8]:
    return labels_from(quantise(probability[1:]), card.threshold)


@dataclass(frozen=True, slots=True)
class Figures:
    """What fine-tuning achieved.

    Parameters
    ----------
    before, after
        Dice of the model that fine-tuning started from, and of the candidate, on what was held out: the mean over
        corrections and over what the old model was sure of (see `Tally`); None where it cannot be known.
    better
        None where it cannot be known.
    training_steps, seconds
        What was spent.
    kept
        Dice of the candidate with what nobody corrected and the old model was sure of.
    moved
        How far the candidate's weights are from the old ones, as a share of the way that training went.
    method
        How `before` and `after` were measured.
    reason
        One sentence for people.
    """

    before: float | None
    after: float | None
    better: bool | None
    training_steps: int
    seconds: float
    kept: float | None
    method: Method
    reason: str
    moved: float = 1.0

    def as_json(self) -> dict[str, Any]:
        """For the card and for files, rounded."""

        def rounded(value: float | None) -> float | None:
            return None if value is None else round(value, 4)

        return {
            "before": rounded(self.before),
            "after": rounded(self.after),
            "better": self.better,
            "training_steps": self.training_steps,
            "seconds": round(self.seconds, 1),
            "kept": rounded(self.kept),
            "moved": rounded(self.moved),
            "method": self.method,
            "reason": self.reason,
        }


def judge(before: Tally | None, after: Tally | None, method: Method, moved: float, spent: Budget) -> Figures:
    """Say whether a candidate is better, and why."""
    training_steps, seconds = spent.done, spent.elapsed
    if before is None or after is None:
        reason = (
            "There are too few corrections to set some aside, so nobody can know whether the candidate is better; "
            "compare the two masks, or correct more places."
        )
        return Figures(None, None, None, training_steps, seconds, None, "none", reason, moved)
    gain = after.dice - before.dice
    better = None if abs(gain) <= LEAST_GAIN else gain > 0
    where = "held-out corrections" if method == "held-out" else "strokes set aside in turn"
    reason = (
        f"Dice on {where}: {before.corrections.dice:.3f} before, {after.corrections.dice:.3f} after. "
        f"With what nobody corrected and the old model was sure of, the candidate agrees to {after.agreement:.3f}."
    )
    if better is None:
        reason += " That is too close to tell: compare the two masks."
    elif better and after.agreement < LEAST_AGREEMENT:
        better = None
        reason += " That is little: compare the two masks."
    return Figures(before.dice, after.dice, better, training_steps, seconds, after.agreement, method, reason, moved)
