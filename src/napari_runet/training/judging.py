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

SURE = 0.9
LEAST_KEPT = 0.8
LEAST_GAIN = 0.005


@dataclass(frozen=True, slots=True)
class Tally:
    """Counts over held-out pixels of each foreground class, and over untouched ones.

    All are (classes,) int64, the background first. Of `sure` untouched pixels, where the old model was sure of a
    class, `kept` have it still.
    """

    overlap: npt.NDArray[np.int64]
    found: npt.NDArray[np.int64]
    true: npt.NDArray[np.int64]
    kept: npt.NDArray[np.int64]
    sure: npt.NDArray[np.int64]

    def __add__(self, other: "Tally") -> "Tally":
        return Tally(
            self.overlap + other.overlap,
            self.found + other.found,
            self.true + other.true,
            self.kept + other.kept,
            self.sure + other.sure,
        )

    @property
    def dice(self) -> float:
        """Dice coefficient of the foreground; of the background where only background was held out."""
        part = slice(1, None) if self.true[1:].any() else slice(0, 1)
        total = int(self.found[part].sum() + self.true[part].sum())
        return float(2 * self.overlap[part].sum() / total) if total else 0.0

    @property
    def kept_share(self) -> float:
        """Share of untouched, formerly sure pixels that keep their class, as the mean over classes."""
        there = self.sure > 0
        return float((self.kept[there] / self.sure[there]).mean()) if there.any() else 1.0


def tally(card: ModelCard, network: IterativeNetwork | None, patches: Sequence[Patch]) -> Tally:
    """Compare a network's last iteration with the labels of `patches`; None is the old model, asked already."""
    classes = card.network.classes
    nothing = np.zeros(classes, np.int64)
    total = Tally(nothing, nothing, nothing, nothing, nothing)
    for patch in patches:
        old = patch.old.float().numpy()
        old_answer = answer = _labels(card, old)
        if network is not None:
            answer = _labels(card, probabilities(network, patch.image.float(), card.iterations).numpy())
        truth = patch.labels.numpy()
        known = truth != UNKNOWN
        sure = patch.untouched.numpy() & (old.max(axis=0) >= SURE)
        total += Tally(
            np.bincount(truth[known & (answer == truth)], minlength=classes),
            np.bincount(answer[known], minlength=classes),
            np.bincount(truth[known], minlength=classes),
            np.bincount(old_answer[sure & (answer == old_answer)], minlength=classes),
            np.bincount(old_answer[sure], minlength=classes),
        )
    return total


def _labels(card: ModelCard, probability: npt.NDArray[np.float32]) -> npt.NDArray[np.uint8]:
    return labels_from(quantise(probability[1:]), card.threshold)


@dataclass(frozen=True, slots=True)
class Figures:
    """What fine-tuning achieved.

    Parameters
    ----------
    before, after
        Dice on held-out corrections of the model that fine-tuning started from, and of the candidate; None where it
        cannot be known.
    better
        None where it cannot be known.
    training_steps, seconds
        What was spent.
    kept
        Share of untouched pixels near the corrections, where the old model was sure, that keep their class; the
        mean over classes.
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
            "method": self.method,
            "reason": self.reason,
        }


def judge(before: Tally | None, after: Tally | None, method: Method, spent: Budget) -> Figures:
    """Say whether a candidate is better, and why."""
    training_steps, seconds = spent.done, spent.elapsed
    if before is None or after is None:
        reason = (
            "There are too few corrections to set some aside, so nobody can know whether the candidate is better; "
            "compare the two masks, or correct more places."
        )
        return Figures(None, None, None, training_steps, seconds, None, "none", reason)
    gain, kept = after.dice - before.dice, after.kept_share
    better: bool | None = gain > LEAST_GAIN
    where = "on corrections that were held out" if method == "held-out" else "by cross-validation over strokes"
    reason = f"Dice {where}: {before.dice:.3f} before, {after.dice:.3f} after."
    if better and kept < LEAST_KEPT:
        better = None
        reason += (
            f" But the candidate also changes {1 - kept:.0%} of what nobody corrected and the old model was sure of: "
            "compare the two masks."
        )
    return Figures(before.dice, after.dice, better, training_steps, seconds, kept, method, reason)
