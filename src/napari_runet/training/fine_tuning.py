"""From a model and corrections to a candidate, with proof of whether it is better."""

from collections.abc import Callable, Generator, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from torch import Tensor

from napari_runet.images.image_input import ImageInput
from napari_runet.inference.segmenter import LoadedModel, load_model
from napari_runet.networks import IterativeNetwork
from napari_runet.settings import FineTuningSettings
from napari_runet.training.budget import Budget
from napari_runet.training.candidate import Candidate, candidate_card
from napari_runet.training.correction_trainer import CorrectionTrainer, Tuning
from napari_runet.training.holding_out import Group, Split, folds, group_labels, hold_out
from napari_runet.training.judging import Figures, Method, Tally, judge, tally
from napari_runet.training.pairs import DataError, Pair, known_labels
from napari_runet.training.patches import PatchReader

MOST_TRAINED_PATCHES = 96
MOST_HELD_PATCHES = 16
FOLDS = 2
SHARE_FOR_FOLDS = 0.4
NOISE = 0.01
"""A later candidate is preferred to an earlier one unless it is worse by more than this."""
JUDGED_AT = (0.4, 0.7, 1.0)
"""Parts of the budget after which the candidate is compared with the old model."""


@dataclass(frozen=True, slots=True)
class FineTuningReport:
    """Where fine-tuning stands.

    Parameters
    ----------
    phase
        What is being done, for people.
    training_step, loss
        Of this phase; `loss` is None before the first step.
    seconds, seconds_left
        Spent, and about how long it may still take.
    before, after
        Dice on held-out corrections of the old model and of the best so far, None where not measured (yet).
    network
        Gives a copy of the candidate's network as it is now, for a preview; None in the last report.
    candidate
        The result, in the last report only.
    """

    phase: str
    training_step: int
    loss: float | None
    seconds: float
    seconds_left: float
    before: float | None = None
    after: float | None = None
    network: Callable[[], IterativeNetwork] | None = field(default=None, repr=False)
    candidate: Candidate | None = field(default=None, repr=False)


def fine_tune(
    model: LoadedModel | str | Path,
    samples: Sequence[Pair],
    settings: FineTuningSettings | None = None,
    *,
    stop: Callable[[], bool] = lambda: False,
    tuning: Tuning | None = None,
) -> Iterator[FineTuningReport]:
    """Fine-tune a model on corrections; the last report holds the candidate.

    Parameters
    ----------
    model
        From `load_model`, or what it takes. It is not changed.
    samples
        Images with the labels that a person gave, 255 where unknown.
    settings
        By default those of one button.
    stop
        Asked after each training step; a KeyboardInterrupt counts too. The best so far is kept.
    tuning
        How it learns; for experiments.

    Raises
    ------
    DataError
        When nothing is labelled, or a label is no class of the model.
    TrainingError
        When the loss is not a number; there is no candidate then.
    """
    settings = settings or FineTuningSettings()
    loaded = model if isinstance(model, LoadedModel) else load_model(model, settings.device)
    pairs = list(samples)
    run = _Run(
        loaded, pairs, check_labels(loaded, pairs), settings, stop, tuning or Tuning.of(settings, loaded.card.training)
    )
    yield from run.reports()


def check_labels(model: LoadedModel, pairs: Sequence[Pair]) -> list[Group]:
    """The strokes and regions of all images.

    Raises
    ------
    DataError
        When there are none, or a label is no class of the model.
    """
    groups: list[Group] = []
    for number, pair in enumerate(pairs):
        ImageInput.from_array(pair.image, name=pair.name)
        groups += group_labels(known_labels(pair), number)
    if not groups:
        raise DataError("Nothing is corrected yet: paint what is wrong, or mark a region as reviewed.")
    highest = max(max(group.counts) for group in groups)
    if highest >= model.card.network.classes:
        known = model.card.network.classes
        raise DataError(
            f"A pixel is labelled {highest}, but the model {model.card.id!r} knows the classes 0 to {known - 1}; "
            "255 means unknown."
        )
    return groups


@dataclass(frozen=True, slots=True)
class _Outcome:
    """What one training gave: its best tensors, and what they and the old model got on what was held out."""

    state: dict[str, Tensor]
    before: Tally | None = None
    after: Tally | None = None


class _Run:
    """One fine-tuning, from start to candidate."""

    def __init__(
        self,
        model: LoadedModel,
        pairs: list[Pair],
        groups: list[Group],
        settings: FineTuningSettings,
        stop: Callable[[], bool],
        tuning: Tuning,
    ) -> None:
        self.model = model
        self.pairs = pairs
        self.groups = groups
        self.settings = settings
        self.asked_to_stop = stop
        self.tuning = tuning
        self.reader = PatchReader(pairs, model.card, model.network)
        self.budget = Budget(settings.seconds, settings.training_steps)
        self.stopped = False

    def reports(self) -> Iterator[FineTuningReport]:
        """Train and judge as well as the corrections allow; the last report holds the candidate."""
        seed = self.settings.seed
        method: Method = "held-out"
        split = hold_out(self.groups, self.settings.held_out, seed)
        before: Tally | None = None
        after: Tally | None = None
        if split is None and self.settings.held_out:
            parts = folds(self.groups, FOLDS, seed)
            for number, part in enumerate(parts, start=1):
                phase = f"Checking on strokes set aside, {number} of {len(parts)}"
                fold = yield from self._train(part, self.budget.part(SHARE_FOR_FOLDS / FOLDS), phase)
                if self.stopped:  # what there is was judged by the strokes that this part set aside
                    yield self._last(fold.state, judge(fold.before, fold.after, "held-out", self.budget))
                    return
                before, after, method = _sum(before, fold.before), _sum(after, fold.after), "cross-validation"
        outcome = yield from self._train(split or Split(tuple(self.groups), ()), self.budget.part(1.0), "Training")
        if split is not None:
            before, after = outcome.before, outcome.after
        yield self._last(outcome.state, judge(before, after, method, self.budget))

    def _last(self, state: dict[str, Tensor], figures: Figures) -> FineTuningReport:
        card = candidate_card(self.model.card, self.settings, self.pairs, figures)
        return FineTuningReport(
            "Done",
            figures.training_steps,
            None,
            figures.seconds,
            0.0,
            figures.before,
            figures.after,
            candidate=Candidate(card, state, figures),
        )

    def _train(self, split: Split, budget: Budget, phase: str) -> Generator[FineTuningReport, None, _Outcome]:
        """Train on one half of a split, judging by the other."""
        seed, card = self.settings.seed, self.model.card
        held = self.reader.patches(split.held_out, MOST_HELD_PATCHES, seed, lambda: budget.progress > 0.1)
        patches = self.reader.patches(split.trained, MOST_TRAINED_PATCHES, seed, lambda: budget.progress > 0.3)
        before = tally(card, None, held) if held else None
        trainer = CorrectionTrainer(self.model, patches, self.tuning, seed)
        best = _Outcome(trainer.state(), before, before)
        judged = False
        due = list(JUDGED_AT)
        while due and not self.stopped:
            loss = self._step(trainer, budget)
            if self.stopped and judged:
                break
            if budget.progress >= due[0] or self.stopped:
                due = [part for part in due if part > budget.progress]
                after = tally(card, trainer.average, held) if held else None
                if after is None or not judged or after.dice >= _dice(best.after) - NOISE:
                    best, judged = _Outcome(trainer.state(), before, after), True
            yield FineTuningReport(
                phase,
                trainer.training_step,
                loss,
                self.budget.elapsed,
                self.budget.left,
                _dice(before) if before else None,
                _dice(best.after) if best.after and judged else None,
                network=trainer.network_now,
            )
        return best

    def _step(self, trainer: CorrectionTrainer, budget: Budget) -> float | None:
        """One training step; notes when it is to be the last."""
        try:
            loss = trainer.train_step(budget.progress)
            budget.count()
            self.stopped = self.asked_to_stop()
        except KeyboardInterrupt:
            self.stopped = True
            return None
        return loss


def _sum(first: Tally | None, second: Tally | None) -> Tally | None:
    return second if first is None or second is None else first + second


def _dice(tally: Tally | None) -> float:
    return tally.dice if tally is not None else 0.0
