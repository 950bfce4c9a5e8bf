"""The loss of the paper, and the overlap term that may be added to it."""

from collections.abc import Sequence

import torch
from torch import Tensor
from torch.nn import functional

UNKNOWN = 255
"""Label of pixels that are not counted."""


def recurrent_loss(logits: Sequence[Tensor], target: Tensor, *, alpha: float = 0.4, dice_weight: float = 0.0) -> Tensor:
    """Weighted sum of the losses at each iteration, section 3.3 of the paper.

    ``L = sum_t alpha^(N - t) L_t``, with L_t the cross-entropy of iteration t, plus `dice_weight` times one
    minus the soft Dice coefficient of its foreground classes.

    Parameters
    ----------
    logits
        N tensors (B, C, Y, X).
    target
        (B, Y, X) int64 class ids, `UNKNOWN` where not counted.
    alpha
        1 weighs all iterations alike; the smaller, the more the last one counts.
    """
    last = len(logits) - 1
    terms = [alpha ** (last - t) * single_loss(step, target, dice_weight) for t, step in enumerate(logits)]
    return torch.stack(terms).sum() / sum(alpha ** (last - t) for t in range(len(logits)))


def single_loss(logits: Tensor, target: Tensor, dice_weight: float) -> Tensor:
    """Cross-entropy over the known pixels, 0 where there are none, plus the Dice term."""
    known = (target != UNKNOWN).sum().clamp(min=1)
    loss = functional.cross_entropy(logits, target, ignore_index=UNKNOWN, reduction="sum") / known
    return loss + dice_weight * soft_dice_loss(logits, target) if dice_weight else loss


def soft_dice_loss(logits: Tensor, target: Tensor) -> Tensor:
    """One minus the soft Dice coefficient, over the whole batch, averaged over the foreground classes."""
    known = (target != UNKNOWN).unsqueeze(1)
    probabilities = torch.softmax(logits, dim=1)[:, 1:] * known
    truth = torch.stack([target == k for k in range(1, logits.shape[1])], dim=1).to(logits.dtype)
    overlap = (probabilities * truth).sum(dim=(0, 2, 3))
    total = (probabilities + truth).sum(dim=(0, 2, 3))
    return (1 - (2 * overlap + 1) / (total + 1)).mean()
