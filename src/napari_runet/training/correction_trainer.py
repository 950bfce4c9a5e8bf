"""Training steps on corrections."""

import copy
import math
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import torch
from torch import Tensor

from napari_runet.inference.segmenter import LoadedModel, place
from napari_runet.networks import IterativeNetwork
from napari_runet.settings import FineTuningSettings, Precision
from napari_runet.training.augmentation import Augmentation
from napari_runet.training.correction_loss import CorrectionLoss
from napari_runet.training.correction_sampler import MILD, WIDE, AnywhereSampler, CorrectionBatch, CorrectionSampler
from napari_runet.training.patches import Patch, reviewed
from napari_runet.training.precision import training_layout, trains_in_bfloat16
from napari_runet.training.trainer import TrainingError

YOUNG_STEPS = 500
"""A model that was trained for fewer steps than this is still learning what it is for."""

STROKES_ALONE = 5.0
"""So much more the old answers weigh where nothing was reviewed: then nobody said how far a correction reaches."""


@dataclass(frozen=True, slots=True)
class Tuning:
    """How a model learns from corrections.

    Parameters
    ----------
    learning_rate
        The highest; it rises over the first twentieth of the budget and falls by half a cosine.
    batch_size
        Crops around corrections, in each training step.
    anywhere
        Crops from anywhere besides, changed as other cameras might have seen them, on which the answers of the old
        model are to stay: this is what keeps it as good as it was on images that are not at hand.
    crop_size
        Rows and columns of a crop: a multiple of the network's stride.
    through_time
        Whether a training step runs all iterations, as the paper does. Else it runs one of them, from the state that
        the ones before came to, at a third of the cost.
    moves
        How far the candidate may go from the old weights towards the trained ones; the judge chooses.
    average_decay
        Of the running average of the weights, which is the candidate.
    precision
        Of features and their gradients on a CPU; weights and loss are float32.
    """

    loss: CorrectionLoss = field(default_factory=CorrectionLoss)
    learning_rate: float = 1e-3
    weight_decay: float = 1e-4
    gradient_clip: float = 1.0
    batch_size: int = 4
    anywhere: int = 3
    crop_size: int = 128
    through_time: bool = False
    moves: tuple[float, ...] = (0.5, 1.0)
    average_decay: float = 0.95
    precision: Precision = "auto"
    augmentation: Augmentation = MILD
    wide: Augmentation = WIDE

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
            return cls(
                loss=CorrectionLoss(keep=1.0, thin=thin),
                learning_rate=2e-3,
                anywhere=0,
                through_time=True,
                moves=(1.0,),
                precision=settings.precision,
            )
        keep = 4 + 16 * (1 - strength) / strength
        return cls(loss=CorrectionLoss(keep=keep, thin=thin), precision=settings.precision)


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
        self.in_bfloat16 = trains_in_bfloat16(self.device, tuning.precision)
        hold = not reviewed(patches)
        self.loss = replace(tuning.loss, keep=STROKES_ALONE * tuning.loss.keep) if hold else tuning.loss
        self.layout = training_layout(self.device)
        # evaluation mode: batch normalisation keeps the statistics it was trained with
        self.network = place(copy.deepcopy(model.network), self.device, self.layout)
        self.network.requires_grad_(True)
        self.optimiser = torch.optim.AdamW(
            self.network.parameters(), lr=tuning.learning_rate, weight_decay=tuning.weight_decay
        )
        self.sampler = CorrectionSampler(
            patches,
            tuning.crop_size,
            tuning.augmentation,
            torch.Generator().manual_seed(seed),
            hold=hold,
        )
        self.anywhere = AnywhereSampler(patches, tuning.crop_size, tuning.wide, self.sampler.draws.generator)
        self.old = model.network
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
        depth = self.iterations if self.tuning.through_time else self.sampler.draws.integer(1, self.iterations)
        batch = self.sampler.draw(self.tuning.batch_size).to(self.device, self.layout)
        with torch.autocast(self.device, torch.bfloat16, enabled=self.in_bfloat16):
            if self.tuning.anywhere:
                batch = batch + self._asked(
                    self.anywhere.draw(self.tuning.anywhere).to(self.device, self.layout), depth
                )
            logits = self._logits(batch.images, depth)
        loss = self.loss([step.float() for step in logits], batch)
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

    def _logits(self, images: Tensor, depth: int) -> list[Tensor]:
        """Logits of all iterations, or of iteration `depth` alone, from the state that the ones before came to."""
        if self.tuning.through_time:
            return self.network(images, depth)  # type: ignore[no-any-return]
        state = self.network.initial_state(images)
        with torch.no_grad():
            for _ in range(depth - 1):
                _, state = self.network.step(images, state)
        return [self.network.step(images, state)[0]]

    @torch.no_grad()
    def _asked(self, batch: CorrectionBatch, depth: int) -> CorrectionBatch:
        """A batch with what the old model says about its images as they are now, changed colours and all."""
        *_, logits = self.old.iterate(batch.images, depth)
        return replace(batch, old=torch.softmax(logits.float(), dim=1))

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


def _schedule(progress: float) -> float:
    """Factor of the learning rate: a short rise, then half a cosine down to a twentieth."""
    rise = min(1.0, (progress + 0.005) / 0.05)
    return rise * (0.05 + 0.95 * 0.5 * (1 + math.cos(math.pi * progress)))
