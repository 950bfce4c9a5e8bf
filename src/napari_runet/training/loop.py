"""The training loop: batches in, checkpoints and a better model out."""

import csv
import math
import os
import time
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from pathlib import Path

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save as save_tensors
from torch import Tensor

from napari_runet.inference.segmenter import place
from napari_runet.io.atomic import write_atomically
from napari_runet.models.card import ModelCard
from napari_runet.models.weights import load_network, save_state
from napari_runet.networks import IterativeNetwork, build
from napari_runet.training.losses import recurrent_loss
from napari_runet.training.pairs import DataError, read_pairs
from napari_runet.training.recipe import Recipe
from napari_runet.training.samples import CropSampler, Sample, prepare
from napari_runet.training.start_states import StartStates
from napari_runet.training.validation import validate

CHECKPOINT_FILE = "checkpoint.safetensors"
CURVES_FILE = "curves.csv"
SECONDS_BETWEEN_CHECKPOINTS = 120.0


class TrainingError(RuntimeError):
    """Training cannot go on; the message says why. What was saved before stays."""


@dataclass(frozen=True, slots=True)
class TrainingReport:
    """Where training stands after `training_step` steps; `dice` has one entry an iteration, None when not measured."""

    training_step: int
    loss: float
    learning_rate: float
    seconds: float
    dice: tuple[float, ...] | None = None
    best: bool = False


def learning_rate_at(recipe: Recipe, training_step: int) -> float:
    """Linear warm-up, then half a cosine down to a hundredth."""
    if training_step < recipe.warm_up_steps:
        return recipe.learning_rate * (training_step + 1) / recipe.warm_up_steps
    progress = (training_step - recipe.warm_up_steps) / max(1, recipe.training_steps - recipe.warm_up_steps)
    return recipe.learning_rate * (0.01 + 0.99 * 0.5 * (1 + math.cos(math.pi * min(1.0, progress))))


class Trainer:
    """A network in training, with all the state that it takes to go on exactly.

    Parameters
    ----------
    recipe, card
        What is trained, and the card under which it is saved.
    network
        Changed in place.
    samples
        Training images.
    device
        Where to compute.
    seed
        Decides the crops and, through `build`, the first weights.
    """

    def __init__(
        self,
        recipe: Recipe,
        card: ModelCard,
        network: IterativeNetwork,
        samples: list[Sample],
        device: str,
        seed: int,
    ) -> None:
        self.recipe = recipe
        self.card = card
        self.network = place(network, device).train()
        self.device = device
        self.generator = torch.Generator().manual_seed(seed)
        self.sampler = CropSampler(
            samples,
            recipe.crop_size,
            recipe.augmentation,
            self.generator,
            recipe.foreground_share,
            recipe.shares,
        )
        self.starts = StartStates(recipe.start_states, self.generator)
        self.optimiser = torch.optim.AdamW(
            network.parameters(), lr=recipe.learning_rate, weight_decay=recipe.weight_decay
        )
        self.training_step = 0
        self.average = {name: tensor.detach().clone() for name, tensor in network.state_dict().items()}
        self.best_dice = -1.0
        self.seconds = 0.0

    def train_step(self) -> float:
        """One update; returns the loss.

        Raises
        ------
        TrainingError
            When the loss is not a number.
        """
        for group in self.optimiser.param_groups:
            group["lr"] = learning_rate_at(self.recipe, self.training_step)
        images, labels = self.sampler.batch(self.recipe.batch_size)
        images = images.to(self.device).contiguous(memory_format=torch.channels_last)
        with torch.autocast(self.device, torch.bfloat16, enabled=self.device == "cuda"):
            logits = self._logits(images, labels)
        loss = recurrent_loss(
            [step.float() for step in logits],
            labels.to(self.device),
            alpha=self.recipe.alpha,
            dice_weight=self.recipe.dice_weight,
        )
        if not torch.isfinite(loss):
            raise TrainingError(
                f"The loss is not a number at training step {self.training_step}; "
                "lower the learning rate. The last checkpoint is kept."
            )
        self.optimiser.zero_grad(set_to_none=True)
        loss.backward()  # type: ignore[no-untyped-call]
        torch.nn.utils.clip_grad_norm_(self.network.parameters(), self.recipe.gradient_clip)
        self.optimiser.step()
        self.training_step += 1
        self._update_average()
        return float(loss.detach())

    def _logits(self, images: Tensor, labels: Tensor) -> list[Tensor]:
        """Logits of each iteration; the first training steps may have one iteration alone."""
        if self.training_step < self.recipe.single_iteration_steps:
            return self.network(images, 1)  # type: ignore[no-any-return]
        if self.recipe.start_states == 0:
            return self.network(images, self.recipe.iterations)  # type: ignore[no-any-return]
        start = self.starts.draw(self.network, images, labels)
        return list(self.network.iterate_from(images, start.state, self.recipe.iterations, start.pins))

    def _update_average(self) -> None:
        # the first steps count less, so that the random start is soon forgotten
        decay = min(self.recipe.average_decay, (1 + self.training_step) / (10 + self.training_step))
        for name, tensor in self.network.state_dict().items():
            if tensor.is_floating_point():
                self.average[name].lerp_(tensor.detach(), 1 - decay)
            else:
                self.average[name].copy_(tensor)

    def averaged_network(self) -> IterativeNetwork:
        """A copy of the network with the averaged weights, for validation."""
        network = build(self.card.network)
        network.load_state_dict(self.average)
        return place(network, self.device)

    def tensors(self) -> dict[str, Tensor]:
        """Every tensor that it takes to go on: weights, their average, the optimiser's moments, the generator."""
        found = {"generator": self.generator.get_state()}
        for part, state in (("network", self.network.state_dict()), ("average", self.average)):
            found |= {f"{part}/{name}": tensor for name, tensor in state.items()}
        for number, moments in self.optimiser.state_dict()["state"].items():
            found |= {f"optimiser/{number}/{name}": value for name, value in moments.items()}
        return found

    def numbers(self) -> dict[str, str]:
        """The rest of what it takes to go on, as text."""
        return {
            "recipe": self.recipe.model_dump_json(),
            "card": self.card.model_dump_json(),
            "training_step": str(self.training_step),
            "best_dice": repr(self.best_dice),
            "seconds": repr(self.seconds),
        }

    def go_on(self, tensors: dict[str, Tensor], numbers: dict[str, str]) -> None:
        """Go on from a checkpoint.

        Raises
        ------
        TrainingError
            When it was made by another recipe.
        """
        if numbers["recipe"] != self.recipe.model_dump_json():
            raise TrainingError(
                "The checkpoint was made by another recipe; train into another folder, or without --resume."
            )
        moments: dict[int, dict[str, Tensor]] = {}
        for key, tensor in tensors.items():
            part, _, name = key.partition("/")
            if part == "optimiser":
                number, _, name = name.partition("/")
                moments.setdefault(int(number), {})[name] = tensor
            elif part == "average":
                self.average[name] = tensor.to(self.device)
        self.network.load_state_dict(
            {key.removeprefix("network/"): value for key, value in tensors.items() if key.startswith("network/")}
        )
        self.optimiser.load_state_dict(
            {"state": moments, "param_groups": self.optimiser.state_dict()["param_groups"]}
        )
        self.generator.set_state(tensors["generator"])
        self.card = ModelCard.model_validate_json(numbers["card"])
        self.training_step = int(numbers["training_step"])
        self.best_dice = float(numbers["best_dice"])
        self.seconds = float(numbers["seconds"])


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
        training_data=recipe.training_data,
        limits=recipe.limits,
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
    stop: Callable[[], bool] = lambda: False,
) -> Iterator[TrainingReport]:
    """Train a model from ``data/train``, choosing by ``data/val``, into the folder `output`.

    After each validation that is the best so far, the averaged weights are written as the model; a checkpoint
    is written every few minutes and at the end. Weights begin at random, or as those of the model in the folder
    `start_from`, which a resumed training does not read again.

    Raises
    ------
    DataError, RecipeError, TrainingError
        Said in a sentence; the last good checkpoint and model stay.
    """
    checkpoint = output / CHECKPOINT_FILE
    if resume and not checkpoint.exists():
        raise TrainingError(f"There is nothing to resume in {output}: it has no {CHECKPOINT_FILE}.")
    card = card_of(recipe, seed, time.strftime("%Y-%m-%d"))
    pairs, held_out = read_pairs(data / "train"), read_pairs(data / "val")
    if not held_out:
        raise DataError(f"There are no images in {data / 'val'} to choose the best model by.")
    samples = [prepare(pair, card, outside_fov=recipe.outside_fov) for pair in pairs]
    torch.manual_seed(seed)
    network = build(recipe.network)
    if start_from is not None and not resume:
        card = begin_with(network, card, start_from)
    trainer = Trainer(recipe, card, network, samples, device, seed)
    if resume:
        read_checkpoint(checkpoint, trainer)
    output.mkdir(parents=True, exist_ok=True)
    started = time.monotonic() - trainer.seconds
    saved = time.monotonic()
    while trainer.training_step < recipe.training_steps and not stop():
        loss = trainer.train_step()
        trainer.seconds = time.monotonic() - started
        dice, best = None, False
        last = trainer.training_step == recipe.training_steps
        if trainer.training_step % recipe.validate_every == 0 or last:
            dice = validate(card, trainer.averaged_network(), held_out, recipe.iterations)
            if trainer.training_step <= recipe.single_iteration_steps:
                trainer.best_dice = -1.0  # a network of one iteration is kept only until there is a whole one
            best = dice[-1] > trainer.best_dice
            if best:
                trainer.best_dice = dice[-1]
                save_state(output, _with_figures(trainer, dice), trainer.average)
        report = TrainingReport(
            trainer.training_step,
            loss,
            learning_rate_at(recipe, trainer.training_step - 1),
            trainer.seconds,
            dice,
            best,
        )
        if dice is not None or trainer.training_step % 50 == 0:
            append_curve(output / CURVES_FILE, report)
        if last or time.monotonic() - saved > SECONDS_BETWEEN_CHECKPOINTS:
            save_checkpoint(checkpoint, trainer)
            saved = time.monotonic()
        yield report
    save_checkpoint(checkpoint, trainer)


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


def _with_figures(trainer: Trainer, dice: tuple[float, ...]) -> ModelCard:
    card = trainer.card
    training = {**card.training, "training_steps": trainer.training_step, "seconds": round(trainer.seconds)}
    metrics = {"val": {"dice": [round(value, 4) for value in dice]}}
    return card.model_copy(update={"training": training, "metrics": metrics})


def save_checkpoint(path: Path, trainer: Trainer) -> None:
    """Write a checkpoint, whole or not at all."""
    tensors = {name: tensor.detach().cpu().contiguous() for name, tensor in trainer.tensors().items()}
    write_atomically(path, save_tensors(tensors, metadata=trainer.numbers()))


def read_checkpoint(path: Path, trainer: Trainer) -> None:
    """Have a trainer go on from a checkpoint.

    Raises
    ------
    TrainingError
        When the file is damaged, or of another recipe.
    """
    try:
        with safe_open(path, framework="pt") as checkpoint:
            numbers = checkpoint.metadata() or {}
            tensors = {name: checkpoint.get_tensor(name) for name in checkpoint.keys()}
    except (SafetensorError, OSError) as error:
        raise TrainingError(f"The checkpoint {path} cannot be read: {error}. Train again without --resume.") from error
    trainer.go_on(tensors, numbers)


def append_curve(path: Path, report: TrainingReport) -> None:
    """Append one line to the CSV of the curves."""
    row = {**asdict(report), "dice": "" if report.dice is None else " ".join(f"{d:.4f}" for d in report.dice)}
    new = not path.exists() or os.path.getsize(path) == 0
    with path.open("a", newline="", encoding="utf-8") as stream:
        writer = csv.DictWriter(stream, fieldnames=list(row))
        if new:
            writer.writeheader()
        writer.writerow(row)
