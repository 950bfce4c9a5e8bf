"""What fine-tuning minimises: corrected pixels right, and everything else as it was."""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional

from napari_runet.training.correction_sampler import CorrectionBatch
from napari_runet.training.losses import UNKNOWN


@dataclass(frozen=True, slots=True)
class CorrectionLoss:
    """Loss over all iterations, weighted as in section 3.3 of the paper.

    Parameters
    ----------
    alpha
        1 weighs all iterations alike; the smaller, the more the last one counts.
    keep
        Weight of the old answers, sure and unsure ones alike: where only the sure ones count, all that is unsure
        goes where the corrections push, and lines become thick.
    doubt_radius
        Within this many pixels of a corrected mistake the old answers do not count: what was wrong at a
        pixel was mostly wrong beside it.
    thin
        Weight of the soft clDice term.
    """

    alpha: float = 0.4
    keep: float = 20.0
    doubt_radius: int = 2
    thin: float = 0.0

    def __call__(self, logits: Sequence[Tensor], batch: CorrectionBatch) -> Tensor:
        """Loss of the logits (B, classes, Y, X) of each iteration."""
        last = len(logits) - 1
        weights = [self.alpha ** (last - t) for t in range(last + 1)]
        classes = class_weights(batch.labels, logits[0].shape[1])
        kept = self.trusted(batch)
        terms = [w * self._single(step, batch, classes, kept) for w, step in zip(weights, logits, strict=True)]
        return torch.stack(terms).sum() / sum(weights)

    def trusted(self, batch: CorrectionBatch) -> Tensor:
        """(B, Y, X) in [0, 1]: how much each old answer counts."""
        sure, said = batch.old.max(dim=1)
        trust = sure * batch.untouched
        wrong = (batch.labels != UNKNOWN) & (said != batch.labels)
        if self.doubt_radius and bool(wrong.any()):
            size = 2 * self.doubt_radius + 1
            doubted = functional.max_pool2d(wrong[:, None].float(), size, stride=1, padding=self.doubt_radius)[:, 0]
            trust = trust * (1 - doubted)
        return trust

    def _single(self, logits: Tensor, batch: CorrectionBatch, classes: Tensor, trust: Tensor) -> Tensor:
        corrected = functional.cross_entropy(logits, batch.labels, classes, ignore_index=UNKNOWN, reduction="sum")
        # divergence of the answer from the old one, 0 where they agree
        divergence = functional.kl_div(logits.log_softmax(dim=1), batch.old, reduction="none").sum(dim=1)
        kept = (divergence * trust).sum() / trust.sum().clamp(min=1)
        loss = corrected + self.keep * kept
        return loss + self.thin * soft_cldice_loss(logits, batch.labels) if self.thin else loss


def class_weights(labels: Tensor, classes: int) -> Tensor:
    """(classes,): weights with which each labelled class counts alike, and all together 1."""
    counts = torch.bincount(labels[labels != UNKNOWN].flatten(), minlength=classes).float()
    present = (counts > 0).sum().clamp(min=1)
    return torch.where(counts > 0, 1 / (present * counts.clamp(min=1)), torch.zeros_like(counts))


def soft_cldice_loss(logits: Tensor, labels: Tensor, width: int = 5) -> Tensor:
    """One minus soft clDice of the foreground over known pixels (Shit et al., CVPR 2021, algorithm 2).

    Parameters
    ----------
    width
        How often the mask is thinned: about half the width of the thickest line.
    """
    known = (labels != UNKNOWN).unsqueeze(1)
    found = (1 - torch.softmax(logits, dim=1)[:, :1]) * known
    truth = ((labels > 0).unsqueeze(1) & known).to(logits.dtype)
    found_line, true_line = soft_skeleton(found, width), soft_skeleton(truth, width)
    precision = ((found_line * truth).sum() + 1) / (found_line.sum() + 1)
    recall = ((true_line * found).sum() + 1) / (true_line.sum() + 1)
    return 1 - 2 * precision * recall / (precision + recall)


def soft_skeleton(mask: Tensor, width: int) -> Tensor:
    """The middle of a soft mask (B, 1, Y, X) in [0, 1], by repeated thinning."""
    opened = _dilated(_eroded(mask))
    skeleton = functional.relu(mask - opened)
    for _ in range(width):
        mask = _eroded(mask)
        rest = functional.relu(mask - _dilated(_eroded(mask)))
        skeleton = skeleton + functional.relu(rest - skeleton * rest)
    return skeleton


def _eroded(mask: Tensor) -> Tensor:
    rows = -functional.max_pool2d(-mask, (3, 1), stride=1, padding=(1, 0))
    columns = -functional.max_pool2d(-mask, (1, 3), stride=1, padding=(0, 1))
    return torch.minimum(rows, columns)


def _dilated(mask: Tensor) -> Tensor:
    return functional.max_pool2d(mask, 3, stride=1, padding=1)
