"""How training crops are changed at random: what each change does to colours and sharpness."""

import io

import numpy as np
import PIL.Image
import torch
from pydantic import BaseModel, ConfigDict, Field
from torch import Tensor
from torch.nn import functional

from napari_runet.training.draws import Draws


class Augmentation(BaseModel):
    """How crops are changed at random; strengths are the widest change, 0 for none."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    flips: bool = True
    rotation: float = Field(default=180.0, ge=0, le=180, description="Degrees to either side.")
    smallest_scale: float = Field(default=0.5, gt=0, le=1)
    largest_scale: float = Field(default=2.0, ge=1, le=8)
    stretch: float = Field(default=0.1, ge=0, le=0.5, description="Change of the ratio of width to height.")
    contrast: float = Field(default=0.3, ge=0, le=1)
    brightness: float = Field(default=0.2, ge=0, le=1)
    colour: float = Field(default=0.15, ge=0, le=1, description="The same, channel by channel.")
    gamma: float = Field(default=0.3, ge=0, le=1, description="Natural logarithm of the exponent.")
    shading: float = Field(default=0.2, ge=0, le=1, description="Strength of a smooth uneven illumination.")
    blur: float = Field(default=1.2, ge=0, le=5, description="Standard deviation in pixels.")
    noise: float = Field(default=0.08, ge=0, le=1, description="Standard deviation.")
    grey: float = Field(default=0.05, ge=0, le=1, description="Share of crops turned grey.")
    invert: float = Field(default=0.0, ge=0, le=1, description="Share of crops with inverted intensities.")
    motion: float = Field(default=0.0, ge=0, le=1, description="Share of batches with motion blur.")
    jpeg: float = Field(default=0.0, ge=0, le=1, description="Share of crops compressed by JPEG, quality 20 to 90.")
    paste: float = Field(default=0.0, ge=0, le=1, description="Share of crops pasted over another background.")
    photographs: float = Field(
        default=0.0, ge=0, le=1, description="Share of these backgrounds that are scikit-image's own photographs."
    )
    tint: float = Field(
        default=0.0, ge=0, le=1, description="Share of these backgrounds in about the colour of what is pasted."
    )


def recolour(images: Tensor, augmentation: Augmentation, draws: Draws) -> Tensor:
    """Change contrast, colour, gamma, shading, sharpness and noise of (B, C, Y, X), each crop in its own way."""
    a, batch, channels, generator = augmentation, images.shape[0], images.shape[1], draws.generator

    def spread(strength: float, *shape: int) -> Tensor:
        return strength * (2 * torch.rand(batch, *shape, generator=generator) - 1)

    def chosen(share: float) -> Tensor:
        return (torch.rand(batch, 1, 1, 1, generator=generator) < share).float()

    unit = ((images + 1) / 2).clamp(0, 1)
    overshoot = images - (2 * unit - 1)
    unit = unit ** torch.exp(spread(a.gamma, 1, 1, 1) + spread(a.gamma / 3, channels, 1, 1))
    images = 2 * unit - 1 + overshoot
    images = images * (1 + spread(a.contrast, 1, 1, 1) + spread(a.colour, channels, 1, 1))
    images = images + spread(a.brightness, 1, 1, 1) + spread(a.colour, channels, 1, 1)
    if a.shading:
        coarse = torch.randn(batch, 1, 3, 3, generator=generator) * a.shading
        images = images + functional.interpolate(coarse, images.shape[-2:], mode="bicubic", align_corners=True)
    grey = chosen(a.grey)
    images = grey * images.mean(dim=1, keepdim=True) + (1 - grey) * images
    images = images * (1 - 2 * chosen(a.invert))
    if a.blur and draws.chance(0.4):
        images = gaussian_blur(images, draws.uniform(0.2, max(a.blur, 0.2)))
    if a.motion and draws.chance(a.motion):
        images = motion_blur(images, draws.uniform(3, 13), draws.uniform(0, np.pi))
    if a.noise:
        deviation = a.noise * torch.rand(batch, 1, 1, 1, generator=generator) ** 2
        images = images + deviation * torch.randn(images.shape, generator=generator)
    if a.jpeg:
        for sample in range(batch):
            if draws.chance(a.jpeg):
                images[sample] = jpeg_compressed(images[sample], round(draws.uniform(20, 90)))
    return images.clamp(-2, 2)


def jpeg_compressed(image: Tensor, quality: int) -> Tensor:
    """(C, Y, X) in about [-1, 1] after JPEG: colours together where there are three, else channel by channel."""
    pixels = ((image.clamp(-1.25, 1.25) + 1.25) * 102).round().byte().numpy()
    groups = [pixels.transpose(1, 2, 0)] if len(pixels) == 3 else list(pixels)
    decoded = []
    for group in groups:
        stream = io.BytesIO()
        PIL.Image.fromarray(np.ascontiguousarray(group)).save(stream, "JPEG", quality=quality)
        read = np.atleast_3d(np.asarray(PIL.Image.open(stream)))
        decoded.append(torch.from_numpy(read.transpose(2, 0, 1).copy()))
    return torch.cat(decoded).float() / 102 - 1.25


def motion_blur(images: Tensor, length: float, angle: float) -> Tensor:
    """(B, C, Y, X) averaged along a line of `length` pixels at `angle` radians."""
    radius = max(1, round(length / 2))
    offsets = torch.arange(-radius, radius + 1, dtype=torch.float32)
    y, x = torch.meshgrid(offsets, offsets, indexing="ij")
    across = (y * np.cos(angle) - x * np.sin(angle)).abs()
    kernel = ((1 - across).clamp(min=0) * (y**2 + x**2 <= radius**2)).to(images)
    channels = images.shape[1]
    kernel = (kernel / kernel.sum())[None, None].repeat(channels, 1, 1, 1)
    return functional.conv2d(functional.pad(images, (radius,) * 4, mode="replicate"), kernel, groups=channels)


def gaussian_blur(images: Tensor, deviation: float) -> Tensor:
    """Blur (B, C, Y, X) with a Gaussian of `deviation` pixels, rows and columns one after the other."""
    radius = max(1, round(3 * deviation))
    offsets = torch.arange(-radius, radius + 1, dtype=images.dtype)
    kernel = torch.exp(-(offsets**2) / (2 * deviation**2))
    kernel = (kernel / kernel.sum()).to(images.device)
    channels = images.shape[1]
    column = kernel.view(1, 1, -1, 1).repeat(channels, 1, 1, 1)
    padded = functional.pad(images, (radius,) * 4, mode="replicate")
    blurred = functional.conv2d(padded, column, groups=channels)
    return functional.conv2d(blurred, column.transpose(2, 3), groups=channels)
