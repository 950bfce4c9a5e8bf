"""From a model and corrections to a candidate, with proof of whether it is better."""

from collections.abc import Callable, Generator, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import torch
from torch import Tensor

from napari_runet.inference.backends.choosing import accelerated
from napari_runet.inference.segmenter import LoadedModel, load_model
from napari_runet.networks import IterativeNetwork
from napari_runet.settings import FineTuningSettings
from napari_runet.training.budget import Budget
from napari_runet.training.candidate import Candidate, candidate_card
from napari_runet.training.correction_trainer import CorrectionTrainer, Tuning
from napari_runet.training.holding_out import Group, Split, folds, group_labels, hold_out
from napari_runet.training.judging import LEAST_AGREEMENT, Method, Tally, judge, tally
from napari_runet.training.pairs import DataError, Pair, as_plane, known_labels
from napari_runet.training.patches import Patch, PatchReader, as_seen

MOST_TRAINED_PATCHES = 96
MOST_HELD_PATCHES = 8
ELSEWHERE = 8
"""Patches without corrections, to train on what the old model says there."""
HELD_ELSEWHERE = 4
"""The same, to judge by."""
FOLDS = 2
SHARE_FOR_FOLDS = 0.4
NOISE = 0.01
"""A later candidate is preferred to an earlier one unless it is worse by more than this."""
JUDGED_AT = (0.5, 1.0)
"""Parts of the budget after which the candidate is compared with the old model."""
UNJUDGED_MOVE = 0.5
"""How far the candidate goes from the old weights, where nothing can be judged and the tuning allows it."""
MOVE_NOISE = 0.002
"""Of two moves the smaller is taken unless it is worse by more than this."""
MOVE_NOISE_REVIEWED = 0.005
"""The same of the larger, where regions were reviewed and what is held out shows what the old model had right."""


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
        Spent, and about how long it may still take; None while that cannot be told.
    before, after
        Dice of the old model and of the best so far on what was held out, None where not measured (yet).
    network
        Gives a copy of the candidate's network as it is now, for a preview; None in the last report.
    candidate
        The result, in the last report only.
    """

    phase: str
    training_step: int
    loss: float | None
    seconds: float
    seconds_left: float | None
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
    loaded = model if isinstance(model, LoadedModel) else load_model(model, settings.device, settings.precision)
    run = _Run(loaded, list(samples), settings, stop, tuning or Tuning.of(settings, loaded.card.training))
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
        as_plane(pair.image, pair.name)
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
    """What one training gave: its best tensors, what the old model got on what was held out, and what they got.

    `after` has an entry for each of the tuning's moves, and is empty where nothing was held out.
    """

    state: dict[str, Tensor]
    before: Tally | None = None
    after: Mapping[float, Tally] = field(default_factory=dict)


class _Run:
    """One fine-tuning, from start to candidate."""

    def __init__(
        self,
        model: LoadedModel,
        pairs: list[Pair],
        settings: FineTuningSettings,
        stop: Callable[[], bool],
        tuning: Tuning,
    ) -> None:
        self.model = model
        self.pairs = pairs  # as they were given; what is learned from is as the model sees it
        seen = [as_seen(pair, model) for pair in pairs]
        self.groups = check_labels(model, seen)
        self.settings = settings
        self.asked_to_stop = stop
        self.tuning = tuning
        self.reader = PatchReader(seen, model.card, model.runner)
        self.budget = Budget(settings.seconds, settings.training_steps)
        self.stopped = False

    def reports(self) -> Iterator[FineTuningReport]:
        """Train and judge as well as the corrections allow; the last report holds the candidate."""
        seed = self.settings.seed
        method: Method = "held-out"
        split = hold_out(self.groups, self.settings.held_out, seed)
        before: Tally | None = None
        after: Mapping[float, Tally] = {}
        if split is None and self.settings.held_out:
            parts = folds(self.groups, FOLDS, seed)
            for number, part in enumerate(parts, start=1):
                phase = f"Checking on strokes set aside, {number} of {len(parts)}"
                fold = yield from self._train(part, self.budget.part(SHARE_FOR_FOLDS / FOLDS), phase)
                if self.stopped:  # what there is was judged by the strokes that this part set aside
                    yield self._last(fold, "held-out")
                    return
                before = fold.before if before is None or fold.before is None else before + fold.before
                after = {move: after[move] + found for move, found in fold.after.items()} if after else fold.after
                method = "cross-validation"
        outcome = yield from self._train(split or Split(tuple(self.groups), ()), self.budget.part(1.0), "Training")
        if split is None:
            outcome = replace(outcome, before=before, after=after)
        yield self._last(outcome, method)

    def _last(self, outcome: _Outcome, method: Method) -> FineTuningReport:
        move = best_move(outcome.after, self.tuning.moves)
        figures = judge(outcome.before, outcome.after.get(move), method, move, self.budget)
        card = candidate_card(self.model.card, self.settings, self.pairs, figures)
        return FineTuningReport(
            "Done",
            figures.training_steps,
            None,
            figures.seconds,
            0.0,
            figures.before,
            figures.after,
            candidate=Candidate(card, moved(self.model.network.state_dict(), outcome.state, move), figures),
        )

    def _train(self, split: Split, budget: Budget, phase: str) -> Generator[FineTuningReport, None, _Outcome]:
        """Train on one half of a split, judging by the other."""
        seed, card = self.settings.seed, self.model.card
        held = self.reader.patches(split.held_out, MOST_HELD_PATCHES, seed, lambda: budget.progress > 0.1)
        held += self.reader.elsewhere(HELD_ELSEWHERE, seed + 1, ask=True) if held else []
        patches = self.reader.patches(split.trained, MOST_TRAINED_PATCHES, seed, lambda: budget.progress > 0.3)
        patches += self.reader.elsewhere(ELSEWHERE, seed, ask=False) if self.tuning.anywhere else []
        before = tally(card, None, held) if held else None
        trainer = CorrectionTrainer(self.model, patches, self.tuning, seed)
        best = _Outcome(trainer.state(), before)
        judged = False
        due = list(JUDGED_AT)
        while due and not self.stopped:
            loss = self._step(trainer, budget)
            if self.stopped and judged:
                break
            if budget.progress >= due[0] or self.stopped:
                due = [part for part in due if part > budget.progress]
                outcome = _Outcome(trainer.state(), before, self._tallies(trainer, held))
                if not judged or not held or _dice(outcome) >= _dice(best) - NOISE:
                    best, judged = outcome, True
            yield FineTuningReport(
                phase,
                trainer.training_step,
                loss,
                self.budget.elapsed,
                self.budget.left,
                before.dice if before else None,
                _dice(best) if held and judged else None,
                network=trainer.network_now,
            )
        return best

    def _tallies(self, trainer: CorrectionTrainer, held: list[Patch]) -> dict[float, Tally]:
        """How good the weights are, from the old ones a part of the way to those that were trained; for each part."""
        if not held:
            return {}
        network, old, new = trainer.network_now(), self.model.network.state_dict(), trainer.state()
        found = {}
        for move in self.tuning.moves:
            network.load_state_dict(moved(old, new, move))
            # as the old model was asked; a backend reads the weights once
            runner = network if self.model.backend is None else accelerated(network, self.settings.precision)
            found[move] = tally(self.model.card, runner, held)
        return found

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


def moved(old: Mapping[str, Tensor], new: Mapping[str, Tensor], share: float) -> dict[str, Tensor]:
    """Tensors a share of the way from old ones to new ones, on the CPU (Wortsman et al., CVPR 2022)."""
    there = {name: tensor.detach().cpu() for name, tensor in old.items()}
    return {
        name: torch.lerp(there[name], tensor.cpu(), share) if tensor.is_floating_point() else tensor.cpu().clone()
        for name, tensor in new.items()
    }


def best_move(tallies: Mapping[float, Tally], moves: Sequence[float] = (UNJUDGED_MOVE,)) -> float:
    """The smallest move that is hardly worse than the best of those that agree enough with the old model.

    Where regions were reviewed, the largest such move. The smallest of all where none agrees enough; and where there
    are no tallies, one of `moves`.
    """
    if not tallies:
        return min(moves, key=lambda move: abs(move - UNJUDGED_MOVE))
    fitting = {move: found.dice for move, found in tallies.items() if found.agreement >= LEAST_AGREEMENT}
    if not fitting:
        return min(tallies)
    highest = max(fitting.values())
    if all(found.reviewed for found in tallies.values()):
        return max(move for move, dice in fitting.items() if dice >= highest - MOVE_NOISE_REVIEWED)
    return min(move for move, dice in fitting.items() if dice >= highest - MOVE_NOISE)


def _dice(outcome: _Outcome) -> float:
    return outcome.after[best_move(outcome.after)].dice if outcome.after else 0.0
