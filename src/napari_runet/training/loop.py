"""The training loop: batches in, checkpoints and a better model out."""

import hashlib
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import torch

from napari_runet.models.card import ModelCard
from napari_runet.models.store import CARD_FILE
from napari_runet.models.weights import load_network, save_state
from napari_runet.networks import IterativeNetwork, build
from napari_runet.networks.encoder_weights import encoder_of, load_encoder_weights
from napari_runet.training.checkpoint import CHECKPOINT_FILE, not_written, read_checkpoint, save_checkpoint
from napari_runet.training.curves import CURVES_FILE, CurvePoint, read_curves, write_curves
from napari_runet.training.drawn_pairs import drawn_pairs
from napari_runet.training.losses import UNKNOWN
from napari_runet.training.pairs import DataError, Pair, PairFolder, known_labels
from napari_runet.training.recipe import Recipe
from napari_runet.training.samples import prepare
from napari_runet.training.trainer import Trainer, TrainingError, learning_rate_at
from napari_runet.training.validation import validate

SECONDS_BETWEEN_CHECKPOINTS = 120.0
STEPS_BETWEEN_POINTS = 50


@dataclass(frozen=True, slots=True)
class TrainingReport:
    """Where training stands after `training_step` steps; `dice` has one entry an iteration, None when not measured."""

    training_step: int
    loss: float
    dice: tuple[float, ...] | None = None
    best: bool = False


def card_of(recipe: Recipe, seed: int, created: str) -> ModelCard:
    """The card of the model that a recipe trains, before there are weights."""
    return ModelCard(
        id=recipe.id,
        title=recipe.title,
        sentence=recipe.sentence,
        network=recipe.network,
        classes=recipe.classes,
        normalisation=recipe.normalisation,
        iterations=recipe.iterations,
        structure_width=recipe.structure_width,
        training_data=recipe.training_data,
        limits=recipe.limits,
        open_questions=recipe.open_questions,
        training={"seed": seed, "recipe": recipe.model_dump(mode="json", exclude={"classes", "training_data"})},
        created=created,
    )


def train(
    recipe: Recipe,
    data: Path,
    output: Path,
    *,
    seed: int = 0,
    device: str = "cpu",
    resume: bool = False,
    start_from: Path | None = None,
    encoder_weights: Path | None = None,
    stop: Callable[[], bool] = lambda: False,
    tell: Callable[[str], None] = lambda note: None,
) -> Iterator[TrainingReport]:
    """Train a model from ``data/train``, choosing by ``data/val``, into the folder `output`.

    After each validation that is the best so far, the averaged weights are written as the model; a checkpoint
    is written every few minutes and at the end. It ends after the recipe's training steps, earlier when the
    recipe's patience is at its end, or when `stop` says so; then too there is a model.

    Parameters
    ----------
    start_from
        Folder of a model to begin with, instead of random weights; not read again when training is resumed.
    encoder_weights
        File with ImageNet weights for the encoder; not read again either.
    tell
        Called with each sentence about what is odd in the data, but can be used.

    Raises
    ------
    DataError, RecipeError, TrainingError, EncoderWeightsError
        Said in a sentence; the last good checkpoint and model stay.
    """
    checkpoint = output / CHECKPOINT_FILE
    if resume and not checkpoint.exists():
        raise TrainingError(f"There is nothing to resume in {output}: it has no {CHECKPOINT_FILE}.")
    card = card_of(recipe, seed, time.strftime("%Y-%m-%d"))
    torch.manual_seed(seed)
    network = build(recipe.network)
    if not resume:  # before the data, which may take minutes to read
        card = _begun(network, card, start_from, encoder_weights)
    pairs, held_out = (_read(data / split, recipe, tell) for split in ("train", "val"))
    samples = [prepare(pair, card, outside_fov=recipe.outside_fov) for pair in (*pairs, *drawn_pairs(recipe.drawn))]
    trainer = Trainer(recipe, card, network, samples, device, seed)
    if resume:
        read_checkpoint(checkpoint, trainer)
    run = _Run(trainer, held_out, output, read_curves(output, trainer.training_step) if resume else [])
    yield from run.reports(stop)


class _Run:
    """One call of `train`: the trainer, and what is written into the output folder while it works."""

    def __init__(self, trainer: Trainer, held_out: list[Pair], output: Path, points: list[CurvePoint]) -> None:
        self.trainer = trainer
        self.held_out = held_out
        self.output = output
        self.points = points

    def reports(self, stop: Callable[[], bool]) -> Iterator[TrainingReport]:
        trainer, checkpoint = self.trainer, self.output / CHECKPOINT_FILE
        try:
            self.output.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise not_written(self.output, error) from error
        started, saved = time.monotonic() - trainer.seconds, time.monotonic()
        while not trainer.finished and not stop():
            trainer.losses.append(loss := trainer.train_step())
            trainer.seconds = time.monotonic() - started
            dice, best = self._validated()
            report = TrainingReport(trainer.training_step, loss, dice, best)
            if dice is not None or trainer.training_step % STEPS_BETWEEN_POINTS == 0:
                self._add_point(dice or (), best)
            if time.monotonic() - saved > SECONDS_BETWEEN_CHECKPOINTS:
                save_checkpoint(checkpoint, trainer)
                saved = time.monotonic()
            yield report
        save_checkpoint(checkpoint, trainer)
        if trainer.best_dice < 0 and trainer.training_step:  # stopped before the first validation
            self._save_model(self._dice())
        if self.points:
            self._write_curves()

    def _validated(self) -> tuple[tuple[float, ...] | None, bool]:
        """Dice on val when it is time for it, and whether it is the best so far, in which case the model is saved."""
        trainer = self.trainer
        if trainer.training_step % trainer.recipe.validate_every and not trainer.finished:
            return None, False
        dice = self._dice()
        if trainer.training_step <= trainer.recipe.single_iteration_steps:
            trainer.best_dice = -1.0  # a network of one iteration is kept only until there is a whole one
        best = dice[-1] > trainer.best_dice
        if best:
            self._save_model(dice)
            trainer.best_dice, trainer.best_step = dice[-1], trainer.training_step
        return dice, best

    def _dice(self) -> tuple[float, ...]:
        trainer = self.trainer
        return validate(trainer.card, trainer.averaged_network(), self.held_out, trainer.recipe.iterations)

    def _save_model(self, dice: tuple[float, ...]) -> None:
        trainer, card = self.trainer, self.trainer.card
        training = {**card.training, "training_steps": trainer.training_step, "seconds": round(trainer.seconds)}
        metrics = {"val": {"dice": [round(value, 4) for value in dice]}}
        try:
            save_state(self.output, card.model_copy(update={"training": training, "metrics": metrics}), trainer.average)
        except OSError as error:
            raise not_written(self.output / CARD_FILE, error) from error

    def _add_point(self, dice: tuple[float, ...], best: bool) -> None:
        trainer = self.trainer
        loss = sum(trainer.losses) / len(trainer.losses)
        trainer.losses.clear()
        rate = learning_rate_at(trainer.recipe, trainer.training_step - 1)
        self.points.append(CurvePoint(trainer.training_step, loss, rate, trainer.seconds, dice, best))
        with suppress(TrainingError):  # a spreadsheet may have them open; told at the end, if it then still cannot be
            self._write_curves()

    def _write_curves(self) -> None:
        try:
            write_curves(self.output, self.points)
        except OSError as error:
            raise not_written(self.output / CURVES_FILE, error) from error


def _read(folder: Path, recipe: Recipe, tell: Callable[[str], None]) -> list[Pair]:
    """Pairs with labels that this recipe can train on or choose by; tells what is odd in them.

    Raises
    ------
    DataError
        When there is a class that the recipe does not name, or no foreground at all.
    """
    source = PairFolder(folder)
    pairs = list(source)
    for note in source.notes:
        tell(f"{folder}: {note}")
    for pair in pairs:
        classes = pair.labels[pair.labels != UNKNOWN]
        if classes.max(initial=0) >= len(recipe.classes):
            raise DataError(
                f"{pair.name} in {folder} has labels of class {classes.max()}, but the recipe names only the classes "
                f"0 to {len(recipe.classes) - 1}."
            )
    if not any(_has_foreground(pair) for pair in pairs):
        raise DataError(f"No image in {folder} has a labelled foreground, so there is nothing to learn or choose by.")
    return pairs


def _has_foreground(pair: Pair) -> bool:
    labels = known_labels(pair)
    return bool(((labels > 0) & (labels != UNKNOWN)).any())


def _begun(
    network: IterativeNetwork, card: ModelCard, start_from: Path | None, encoder_weights: Path | None
) -> ModelCard:
    """Give a new network its first weights, and return the card with a word about them."""
    if start_from is not None and encoder_weights is not None:
        raise TrainingError("A model to begin with has an encoder already; give --from or --encoder-weights, not both.")
    if start_from is not None:
        return begin_with(network, card, start_from)
    if encoder_weights is not None:
        load_encoder_weights(network, encoder_weights)
        digest = hashlib.sha256(encoder_weights.read_bytes()).hexdigest()
        origin = f"{encoder_weights.name}, sha256 {digest}"
    elif encoder_of(network) is not None:
        origin = "random"
    else:
        return card
    return card.model_copy(update={"training": {**card.training, "encoder_weights": origin}})


def begin_with(network: IterativeNetwork, card: ModelCard, folder: Path) -> ModelCard:
    """Give a network the weights of a model, and return the card with a word about it.

    Raises
    ------
    ModelError
        When there is no such model, or it cannot be trusted.
    TrainingError
        When its network is another one.
    """
    other, start = load_network(folder)
    if other.network != card.network:
        raise TrainingError(
            f"The model {other.id} is another network than the recipe's; choose one that was built alike, "
            "or train without --from."
        )
    network.load_state_dict(start.state_dict())
    training = {**card.training, "start_from": {"id": other.id, "sha256": other.sha256}}
    return card.model_copy(update={"training": training, "parent": other.sha256})
