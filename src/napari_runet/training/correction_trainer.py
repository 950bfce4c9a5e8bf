"""Training steps on corrections."""

import copy
import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

import torch
from torch import Tensor, nn

from napari_runet.inference.segmenter import LoadedModel
from napari_runet.networks import IterativeNetwork
from napari_runet.settings import FineTuningSettings
from napari_runet.training.augmentation import Augmentation
from napari_runet.training.correction_loss import CorrectionLoss
from napari_runet.training.correction_sampler import MILD, CorrectionSampler
from napari_runet.training.patches import Patch
from napari_runet.training.trainer import TrainingError

YOUNG_STEPS = 500
"""A model that was trained for fewer steps than this is still learning what it is for."""


@dataclass(frozen=True, slots=True)
class Tuning:
    """How a model learns from corrections.

    Parameters
    ----------
    layers
        Which parameters move: all, or only the scales and offsets of the normalisation layers.
    learning_rate
        The highest; it rises over the first twentieth of the budget and falls by half a cosine.
    average_decay
        Of the running average of the weights, which is the candidate.
    """

    loss: CorrectionLoss = field(default_factory=CorrectionLoss)
    layers: Literal["all", "normalisation"] = "all"
    learning_rate: float = 3e-4
    weight_decay: float = 1e-4
    gradient_clip: float = 1.0
    batch_size: int = 4
    crop_size: int = 128
    average_decay: float = 0.95
    augmentation: Augmentation = MILD

    @classmethod
    def of(cls, settings: FineTuningSettings, training: Mapping[str, Any]) -> "Tuning":
        """What the settings ask for: the stronger, the faster, and the less the old answers weigh.

        Corrections are mostly of mistakes, so that without the old answers a network learns to say the opposite
        of everything; they never weigh nothing.

        Parameters
        ----------
        training
            Of the card of the model; one that was made from nothing learns faster at first.
        """
        strength = settings.strength
        thin = 0.5 if settings.thin_structures else 0.0
        if total_training_steps(training) < YOUNG_STEPS:
            return cls(loss=CorrectionLoss(keep=1.0, thin=thin), learning_rate=2e-3)
        keep = 1 + 9 * (1 - strength) / strength
        return cls(loss=CorrectionLoss(keep=keep, thin=thin), learning_rate=6e-4 * strength)


def total_training_steps(training: Mapping[str, Any]) -> int:
    """How many steps a model was trained in all, by the `training` of its card; many where it does not say."""
    steps = training.get("total_training_steps", training.get("training_steps", YOUNG_STEPS))
    return steps if isinstance(steps, int) else YOUNG_STEPS


class CorrectionTrainer:
    """A copy of a model's network in training.

    Parameters
    ----------
    model
        Stays as it is.
    patches
        At least one has a label.
    """

    def __init__(self, model: LoadedModel, patches: list[Patch], tuning: Tuning, seed: int) -> None:
        self.tuning = tuning
        self.iterations = model.card.iterations
        self.device = model.device.name
        # evaluation mode: batch normalisation keeps the statistics it was trained with
        self.network = copy.deepcopy(model.network).eval()
        moving = _moving(self.network, tuning.layers)
        for parameter in self.network.parameters():
            parameter.requires_grad_(any(parameter is other for other in moving))
        self.optimiser = torch.optim.AdamW(moving, lr=tuning.learning_rate, weight_decay=tuning.weight_decay)
        self.sampler = CorrectionSampler(
            patches, tuning.crop_size, tuning.augmentation, torch.Generator().manual_seed(seed)
        )
        self.average = copy.deepcopy(self.network)
        self.training_step = 0

    def train_step(self, progress: float) -> float:
        """One update; returns the loss.

        Parameters
        ----------
        progress
            How much of the budget is used up, 0 to 1.

        Raises
        ------
        TrainingError
            When the loss is not a number; network and average are as before the step.
        """
        for group in self.optimiser.param_groups:
            group["lr"] = self.tuning.learning_rate * _schedule(progress)
        batch = self.sampler.draw(self.tuning.batch_size).to(self.device)
        with torch.autocast(self.device, torch.bfloat16, enabled=self.device == "cuda"):
            logits = self.network(batch.images, self.iterations)
        loss = self.tuning.loss([step.float() for step in logits], batch)
        if not torch.isfinite(loss):
            raise TrainingError(
                f"The loss is not a number at training step {self.training_step + 1}, so there is no candidate; "
                "the model stays as it is. Check the corrected images for extreme values."
            )
        self.optimiser.zero_grad(set_to_none=True)
        loss.backward()  # type: ignore[no-untyped-call]
        torch.nn.utils.clip_grad_norm_(self.network.parameters(), self.tuning.gradient_clip)
        self.optimiser.step()
        self.training_step += 1
        self._update_average()
        return float(loss.detach())

    @torch.no_grad()
    def _update_average(self) -> None:
        decay = min(self.tuning.average_decay, self.training_step / (10 + self.training_step))
        for average, now in zip(self.average.parameters(), self.network.parameters(), strict=True):
            average.lerp_(now, 1 - decay)

    def state(self) -> dict[str, Tensor]:
        """A copy of the averaged weights, on the CPU."""
        return {name: tensor.detach().cpu().clone() for name, tensor in self.average.state_dict().items()}

    def network_now(self) -> IterativeNetwork:
        """A copy of the network with the averaged weights, in evaluation mode."""
        return copy.deepcopy(self.average)


def _moving(network: IterativeNetwork, layers: str) -> list[nn.Parameter]:
    """The parameters that are trained."""
    if layers == "all":
        return list(network.parameters())
    kinds = (nn.GroupNorm, nn.BatchNorm2d)
    return [p for module in network.modules() if isinstance(module, kinds) for p in module.parameters()]


def _schedule(progress: float) -> float:
    """Factor of the learning rate: a short rise, then half a cosine down to a twentieth."""
    rise = min(1.0, (progress + 0.005) / 0.05)
    return rise * (0.05 + 0.95 * 0.5 * (1 + math.cos(math.pi * progress)))
