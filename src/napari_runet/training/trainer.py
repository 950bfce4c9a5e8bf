"""A network in training: one update after another, and the state that it takes to go on exactly."""

import json
import math
from typing import Any

import torch
from pydantic import ValidationError
from torch import Tensor

from napari_runet.inference.segmenter import place
from napari_runet.models.card import ModelCard
from napari_runet.networks import IterativeNetwork, build
from napari_runet.training.losses import recurrent_loss
from napari_runet.training.precision import training_layout, trains_in_bfloat16
from napari_runet.training.recipe import Recipe
from napari_runet.training.samples import CropSampler, Sample
from napari_runet.training.start_states import StartStates


class TrainingError(RuntimeError):
    """Training cannot go on; the message says why. What was saved before stays."""


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
        self.layout = training_layout(device)
        self.network = place(network, device, self.layout).train()
        self.device = device
        self.in_bfloat16 = trains_in_bfloat16(device, recipe.precision)
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
        self.best_step = 0
        self.seconds = 0.0
        self.losses: list[float] = []
        """Since the last row of the curves."""

    @property
    def finished(self) -> bool:
        """Whether all training steps are done, or the last validations were no better than one before them."""
        waited = self.training_step - self.best_step
        impatient = 0 < self.recipe.patience * self.recipe.validate_every <= waited
        return impatient or self.training_step >= self.recipe.training_steps

    def train_step(self) -> float:
        """One update; returns the loss.

        Raises
        ------
        TrainingError
            When the loss or its gradient is not a number; the weights are as they were then.
        """
        for group in self.optimiser.param_groups:
            group["lr"] = learning_rate_at(self.recipe, self.training_step)
        images, labels = self.sampler.batch(self.recipe.batch_size)
        images = images.to(self.device).contiguous(memory_format=self.layout)
        with torch.autocast(self.device, torch.bfloat16, enabled=self.in_bfloat16):
            logits = self._logits(images, labels)
        loss = recurrent_loss(
            [step.float() for step in logits],
            labels.to(self.device),
            alpha=self.recipe.alpha,
            dice_weight=self.recipe.dice_weight,
        )
        self.optimiser.zero_grad(set_to_none=True)
        loss.backward()  # type: ignore[no-untyped-call]
        norm = torch.nn.utils.clip_grad_norm_(self.network.parameters(), self.recipe.gradient_clip)
        # both are looked at before a weight is touched: what is saved can always be trained on
        for what, value in (("loss", loss), ("gradient", norm)):
            if not torch.isfinite(value):
                raise TrainingError(
                    f"The {what} is not a number at training step {self.training_step}; "
                    "lower the learning rate. What was saved before stays."
                )
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
            "best_step": str(self.best_step),
            "seconds": repr(self.seconds),
            "losses": json.dumps(self.losses),
        }

    def go_on(self, tensors: dict[str, Tensor], numbers: dict[str, str]) -> None:
        """Go on from a checkpoint.

        Raises
        ------
        TrainingError
            When it was made by another recipe.
        """
        different = differences(numbers.get("recipe", ""), self.recipe)
        if different:
            raise TrainingError(
                f"The checkpoint was made by another recipe (it differs in {', '.join(different)}); train into another "
                "folder, or without --resume."
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
        self.optimiser.load_state_dict({"state": moments, "param_groups": self.optimiser.state_dict()["param_groups"]})
        self.generator.set_state(tensors["generator"])
        self.card = ModelCard.model_validate_json(numbers["card"])
        self.training_step = int(numbers["training_step"])
        self.best_dice = float(numbers["best_dice"])
        self.best_step = int(numbers.get("best_step", self.training_step))
        self.seconds = float(numbers["seconds"])
        self.losses = json.loads(numbers.get("losses", "[]"))


def differences(text: str, recipe: Recipe) -> list[str]:
    """Names of what differs between a recipe kept as JSON, perhaps by an older version, and another one."""
    try:
        kept: dict[str, Any] = Recipe.model_validate_json(text).model_dump()
    except ValidationError:
        return ["keys that are not known here"]
    return [name for name, value in recipe.model_dump().items() if kept[name] != value]
