"""Is a candidate better? Measured on corrections that it was not trained on."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from napari_runet.images.thresholding import labels_from, quantise
from napari_runet.models.card import ModelCard
from napari_runet.networks import IterativeNetwork
from napari_runet.training.budget import Budget
from napari_runet.training.losses import UNKNOWN
from napari_runet.training.patches import Patch, probabilities

Method = Literal["held-out", "cross-validation", "none"]

LEAST_GAIN = 0.005
Counts = npt.NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Overlap:
    """Pixels, perhaps weighted, of each class, (classes,): found and true, found, and true."""

    both: Counts
    found: Counts
    true: Counts

    @classmethod
    def of(
        cls, answer: npt.NDArray[np.uint8], truth: npt.NDArray[np.uint8], weight: npt.NDArray[np.float64], classes: int
    ) -> "Overlap":
        """Of the pixels whose weight is not 0; all are (h, w)."""
        where = weight > 0
        answer, truth, weight = answer[where], truth[where], weight[where]

        def total(labels: npt.NDArray[np.uint8], counted: npt.NDArray[np.float64]) -> Counts:
            return np.bincount(labels, counted, minlength=classes).astype(np.float64)

        return cls(total(truth, weight * (answer == truth)), total(answer, weight), total(truth, weight))

    def __add__(self, other: "Overlap") -> "Overlap":
        return Overlap(self.both + other.both, self.found + other.found, self.true + other.true)

    def __mul__(self, factor: float) -> "Overlap":
        return Overlap(self.both * factor, self.found * factor, self.true * factor)


@dataclass(frozen=True, slots=True)
class Tally:
    """How the answers on held-out patches agree with what is known and what is likely.

    Corrections alone would flatter every candidate: they are mistakes of the old model, so that it has none of them
    right. The estimate of Dice over all pixels therefore adds up

    - `mistakes`: held-out pixels where the old model was wrong. They stand for all its mistakes in the patches, of
      which its own doubt tells how many there are;
    - `right`: held-out pixels where it was right, and pixels of which nobody said anything. There its answer counts as
      the truth with the weight 2 p - 1, p being its probability: by so much likelier it is to be right than wrong.

    Parameters
    ----------
    doubt
        Expected number of mistakes among the pixels of which nobody said anything: the sum of 1 - p.
    """

    mistakes: Overlap
    right: Overlap
    doubt: float

    def __add__(self, other: "Tally") -> "Tally":
        return Tally(self.mistakes + other.mistakes, self.right + other.right, self.doubt + other.doubt)

    @property
    def dice(self) -> float:
        """Estimated Dice coefficient of the foreground; of the background where there is no other truth."""
        wrong = float(self.mistakes.true.sum())
        all_of_it = self.right + self.mistakes * (1 + self.doubt / wrong if wrong else 1.0)
        part = slice(1, None) if all_of_it.true[1:].any() else slice(0, 1)
        total = float(all_of_it.found[part].sum() + all_of_it.true[part].sum())
        return 2 * float(all_of_it.both[part].sum()) / total if total else 0.0

    @property
    def kept_share(self) -> float:
        """Share of what the old model had right, or most likely so, that is kept; the mean over classes."""
        there = self.right.true > 0
        return float((self.right.both[there] / self.right.true[there]).mean()) if there.any() else 1.0


def tally(card: ModelCard, network: IterativeNetwork | None, patches: Sequence[Patch]) -> Tally:
    """Tally a network's last iteration on `patches`, at least one; None is the old model, asked already."""
    classes = card.network.classes
    tallies = []
    for patch in patches:
        old = patch.old.double().numpy()
        old_answer = answer = _labels(card, old.astype(np.float32))
        if network is not None:
            answer = _labels(card, probabilities(network, patch.image.float(), card.iterations).numpy())
        labels, untouched = patch.labels.numpy(), patch.untouched.numpy()
        known = labels != UNKNOWN
        wrong = known & (old_answer != labels)
        sure = np.take_along_axis(old, old_answer[np.newaxis].astype(np.int64), axis=0)[0]
        truth = np.where(known, labels, old_answer)
        weight = np.where(known, 1.0, np.where(untouched, (2 * sure - 1).clip(0, 1), 0.0))
        tallies.append(
            Tally(
                Overlap.of(answer, truth, wrong.astype(np.float64), classes),
                Overlap.of(answer, truth, np.where(wrong, 0.0, weight), classes),
                float((1 - sure)[untouched].sum()),
            )
        )
    return sum(tallies[1:], tallies[0])


def _labels(card: ModelCard, probability: npt.NDArray[np.float32]) -> npt.NDArray[np.uint8]:
    return labels_from(quantise(probability[1:]), card.threshold)


@dataclass(frozen=True, slots=True)
class Figures:
    """What fine-tuning achieved.

    Parameters
    ----------
    before, after
        Estimated Dice of the model that fine-tuning started from, and of the candidate, on what was held out (see
        `Tally`); None where it cannot be known.
    better
        None where it cannot be known.
    training_steps, seconds
        What was spent.
    kept
        Share of what the old model had right, or most likely so, that is kept; the mean over classes.
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
    better = after.dice - before.dice > LEAST_GAIN
    where = "corrections that were held out" if method == "held-out" else "strokes set aside in turn"
    reason = f"Dice on {where} and on what the model is sure of: {before.dice:.3f} before, {after.dice:.3f} after."
    return Figures(before.dice, after.dice, better, training_steps, seconds, after.kept_share, method, reason, moved)
