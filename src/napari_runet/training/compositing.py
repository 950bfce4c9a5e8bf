"""Objects cut out by their labels and pasted over other backgrounds.

What a network learns of a hand before one plain wall does not hold before a cluttered desk; pasted over many
backgrounds at many scales, the wall is no longer a cue.
"""

import torch
from torch import Tensor
from torch.nn import functional

from napari_runet.training.draws import Draws
from napari_runet.training.losses import UNKNOWN


def paste(image: Tensor, labels: Tensor, under: Tensor, under_labels: Tensor, softness: float) -> tuple[Tensor, Tensor]:
    """Lay the foreground of one crop over another crop.

    Parameters
    ----------
    image, labels
        (C, Y, X) float and (Y, X) int64 with `UNKNOWN`; unknown pixels are not pasted.
    under, under_labels
        What they are laid over, of the same shapes.
    softness
        Standard deviation of the blending at the outline, in pixels.
    """
    foreground = (labels > 0) & (labels != UNKNOWN)
    alpha = foreground.float()[None, None]
    radius = max(1, round(2 * softness))
    for _ in range(2):  # two box blurs are close to a Gaussian
        alpha = functional.avg_pool2d(alpha, 2 * radius + 1, stride=1, padding=radius, count_include_pad=False)
    alpha = (2 * alpha[0] - 0.5).clamp(0, 1)
    return alpha * image + (1 - alpha) * under, torch.where(foreground, labels, under_labels)


def tinted(under: Tensor, image: Tensor, labels: Tensor, draws: Draws) -> Tensor:
    """A background in about the colour of what will be pasted over it, so that colour alone does not tell them apart.

    Parameters
    ----------
    under
        (C, Y, X) float, the background; its own pattern stays.
    image, labels
        As for `paste`; without foreground the background is returned as it is.
    """
    foreground = (labels > 0) & (labels != UNKNOWN)
    if not foreground.any():
        return under
    colour = image[:, foreground].mean(dim=1)[:, None, None]
    colour = colour + 0.15 * torch.randn(colour.shape, generator=draws.generator)
    strength = draws.uniform(0.5, 1.0)
    return under + strength * (colour - under.mean(dim=(1, 2), keepdim=True))


def drawn_background(channels: int, size: int, draws: Draws) -> Tensor:
    """(C, size, size) float in about [-1, 1]: cloudy colours with boxes and stripes over them."""
    generator = draws.generator
    background = 0.5 * torch.randn(channels, 1, 1, generator=generator)
    background = background.expand(channels, size, size).clone()
    for cells, strength in ((3, 0.5), (9, 0.3), (33, 0.2), (129, 0.1)):
        coarse = torch.randn(1, channels, cells, cells, generator=generator) * strength
        cloud = functional.interpolate(coarse, (size, size), mode="bicubic", align_corners=True)[0]
        background += cloud * draws.uniform(0, 1)
    ramp = torch.linspace(-1, 1, size)
    for _ in range(draws.below(9)):
        background = _with_box(background, ramp, draws)
    return background.clamp(-1.5, 1.5)


def _with_box(background: Tensor, ramp: Tensor, draws: Draws) -> Tensor:
    """One turned rectangle of one colour, plain or striped, somewhere on the background."""
    angle = torch.tensor(draws.uniform(0, 3.1416))
    x, y = ramp[None, :] - draws.uniform(-1, 1), ramp[:, None] - draws.uniform(-1, 1)
    along, across = x * torch.cos(angle) + y * torch.sin(angle), y * torch.cos(angle) - x * torch.sin(angle)
    inside = (along.abs() < draws.uniform(0.05, 0.9)) & (across.abs() < draws.uniform(0.03, 0.5))
    colour = torch.randn(background.shape[0], 1, 1, generator=draws.generator) * 0.6
    if draws.chance(0.3):
        colour = colour + 0.4 * torch.sign(torch.sin(along * draws.uniform(8, 60)))
    opacity = draws.uniform(0.5, 1.0)
    return torch.where(inside, opacity * colour + (1 - opacity) * background, background)
