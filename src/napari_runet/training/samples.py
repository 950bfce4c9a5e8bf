"""Crops of the training images, transformed at random."""

from dataclasses import dataclass

import numpy as np
import torch
from pydantic import BaseModel, ConfigDict, Field
from torch import Tensor
from torch.nn import functional

from napari_runet.images.image_input import ImageInput
from napari_runet.images.normalisation import measure_range, normalise
from napari_runet.inference.channels import match_channels
from napari_runet.models.card import ModelCard
from napari_runet.training.compositing import drawn_background, paste
from napari_runet.training.losses import UNKNOWN
from napari_runet.training.pairs import Pair, known_labels


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
    paste: float = Field(default=0.0, ge=0, le=1, description="Share of crops pasted over another background.")


@dataclass(frozen=True, slots=True)
class Sample:
    """A whole training image, normalised as at inference.

    `image` is (C, Y, X) float32, `labels` (Y, X) uint8 with 255 for unknown.
    """

    name: str
    image: Tensor
    labels: Tensor


def prepare(pair: Pair, card: ModelCard, *, outside_fov: str = "ignore") -> Sample:
    """Normalise a pair as the card says; outside the field of view labels count as background or not at all."""
    source = ImageInput.from_array(pair.image, name=pair.name)
    normalisation = card.normalisation
    intensities = measure_range(
        source, (), normalisation.low_percentile, normalisation.high_percentile, per_channel=normalisation.per_channel
    )
    image = match_channels(normalise(source.plane(), intensities), card.network.in_channels, pair.name)
    labels = pair.labels if outside_fov == "background" else known_labels(pair)
    # float16 keeps a set of large photographs within memory; a crop is turned to float32 when it is drawn
    return Sample(
        pair.name,
        torch.from_numpy(np.ascontiguousarray(image.transpose(2, 0, 1))).half(),
        torch.from_numpy(np.ascontiguousarray(labels)),
    )


class CropSampler:
    """Draws batches of transformed crops.

    Parameters
    ----------
    samples
        Images to draw from, each as likely as the other.
    size
        Rows and columns of a crop.
    augmentation
        What is done to it.
    generator
        Source of randomness, on the CPU.
    foreground_share
        Share of crops that are centred on a foreground pixel, so that rare classes are seen.
    """

    def __init__(
        self,
        samples: list[Sample],
        size: int,
        augmentation: Augmentation,
        generator: torch.Generator,
        foreground_share: float = 0.5,
    ) -> None:
        self.samples = samples
        self.size = size
        self.augmentation = augmentation
        self.generator = generator
        self.foreground_share = foreground_share
        self._foreground = [_some_foreground(sample.labels) for sample in samples]

    def batch(self, count: int) -> tuple[Tensor, Tensor]:
        """`count` crops: images (B, C, size, size) float32 and labels (B, size, size) int64."""
        crops = [self._composed_crop() for _ in range(count)]
        images = torch.stack([image for image, _ in crops])
        labels = torch.stack([label for _, label in crops])
        return self._recolour(images), labels

    def _composed_crop(self) -> tuple[Tensor, Tensor]:
        image, labels = self._crop()
        if self._uniform(0, 1) >= self.augmentation.paste:
            return image, labels
        if self._uniform(0, 1) < 0.3:
            under, under_labels = self._crop()
        else:
            under = drawn_background(image.shape[0], self.size, self.generator)
            under_labels = torch.zeros_like(labels)
        return paste(image, labels, under, under_labels, softness=self._uniform(0.5, 1.5))

    def _uniform(self, low: float, high: float) -> float:
        return low + (high - low) * float(torch.rand((), generator=self.generator))

    def _integer(self, high: int) -> int:
        return int(torch.randint(high, (), generator=self.generator))

    def _crop(self) -> tuple[Tensor, Tensor]:
        which = self._integer(len(self.samples))
        sample = self.samples[which]
        height, width = sample.labels.shape
        matrix = self._matrix()
        foreground = self._foreground[which]
        if len(foreground) and self._uniform(0, 1) < self.foreground_share:
            centre_y, centre_x = foreground[self._integer(len(foreground))].tolist()
            centre_y += self._uniform(-0.3, 0.3) * self.size
            centre_x += self._uniform(-0.3, 0.3) * self.size
        else:
            centre_y, centre_x = self._uniform(0, height), self._uniform(0, width)
        return self._warp(sample, matrix, centre_y, centre_x)

    def _matrix(self) -> Tensor:
        """(2, 2): from crop to image offsets, in pixels, (x, y)."""
        a = self.augmentation
        angle = np.deg2rad(self._uniform(-a.rotation, a.rotation))
        scale = float(np.exp(self._uniform(np.log(a.smallest_scale), np.log(a.largest_scale))))
        stretch = float(np.exp(self._uniform(-a.stretch, a.stretch)))
        flip = -1.0 if a.flips and self._uniform(0, 1) < 0.5 else 1.0
        rotation = torch.tensor([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
        # a crop drawn `scale` times larger covers 1 / scale of the image
        return (rotation @ torch.diag(torch.tensor([flip * stretch, 1 / stretch], dtype=torch.float64)) / scale).float()

    def _warp(self, sample: Sample, matrix: Tensor, centre_y: float, centre_x: float) -> tuple[Tensor, Tensor]:
        offsets = torch.arange(self.size, dtype=torch.float32) - (self.size - 1) / 2
        corners = matrix.abs().sum(dim=1) * self.size / 2 + 2
        height, width = sample.labels.shape
        # read only the box that the crop can touch; centres are moved so that crops stay mostly inside
        centre_x = min(max(centre_x, min(float(corners[0]), width / 2)), max(width - float(corners[0]), width / 2))
        centre_y = min(max(centre_y, min(float(corners[1]), height / 2)), max(height - float(corners[1]), height / 2))
        x0, x1 = max(0, int(centre_x - corners[0])), min(width, int(centre_x + corners[0]) + 1)
        y0, y1 = max(0, int(centre_y - corners[1])), min(height, int(centre_y + corners[1]) + 1)
        image = sample.image[:, y0:y1, x0:x1].float().unsqueeze(0)
        labels = sample.labels[y0:y1, x0:x1]
        grid_x, grid_y = torch.meshgrid(offsets, offsets, indexing="xy")
        source_x = centre_x - x0 + matrix[0, 0] * grid_x + matrix[0, 1] * grid_y
        source_y = centre_y - y0 + matrix[1, 0] * grid_x + matrix[1, 1] * grid_y
        grid = torch.stack([2 * source_x / (x1 - x0) - 1, 2 * source_y / (y1 - y0) - 1], dim=-1).unsqueeze(0)
        shrink = float(matrix.norm(dim=0).mean())
        if shrink > 1.3:  # against aliasing where the crop is smaller than what it shows
            image = gaussian_blur(image, 0.4 * shrink)
        crop = functional.grid_sample(image, grid, padding_mode="reflection", align_corners=False)[0]
        inside = (grid[0].abs() <= 1).all(dim=-1)
        return crop, torch.where(inside, self._warp_labels(labels, grid), UNKNOWN)

    @staticmethod
    def _warp_labels(labels: Tensor, grid: Tensor) -> Tensor:
        """Labels by the class with the largest interpolated share, which keeps thin lines whole."""
        if int(labels.max()) <= 1:
            warped = functional.grid_sample(
                labels.float()[None, None], grid, padding_mode="border", align_corners=False
            )[0, 0]
            return (warped > 0.5).long()
        nearest = functional.grid_sample(
            labels.float()[None, None], grid, mode="nearest", padding_mode="border", align_corners=False
        )
        return nearest[0, 0].long()

    def _recolour(self, images: Tensor) -> Tensor:
        """Change contrast, colour, gamma, shading, sharpness and noise, each crop in its own way."""
        a, batch, channels = self.augmentation, images.shape[0], images.shape[1]

        def spread(strength: float, *shape: int) -> Tensor:
            return strength * (2 * torch.rand(batch, *shape, generator=self.generator) - 1)

        def chosen(share: float) -> Tensor:
            return (torch.rand(batch, 1, 1, 1, generator=self.generator) < share).float()

        unit = ((images + 1) / 2).clamp(0, 1)
        overshoot = images - (2 * unit - 1)
        unit = unit ** torch.exp(spread(a.gamma, 1, 1, 1) + spread(a.gamma / 3, channels, 1, 1))
        images = 2 * unit - 1 + overshoot
        images = images * (1 + spread(a.contrast, 1, 1, 1) + spread(a.colour, channels, 1, 1))
        images = images + spread(a.brightness, 1, 1, 1) + spread(a.colour, channels, 1, 1)
        if a.shading:
            coarse = torch.randn(batch, 1, 3, 3, generator=self.generator) * a.shading
            images = images + functional.interpolate(coarse, images.shape[-2:], mode="bicubic", align_corners=True)
        grey = chosen(a.grey)
        images = grey * images.mean(dim=1, keepdim=True) + (1 - grey) * images
        images = images * (1 - 2 * chosen(a.invert))
        if a.blur and self._uniform(0, 1) < 0.4:
            images = gaussian_blur(images, self._uniform(0.2, max(a.blur, 0.2)))
        if a.noise:
            deviation = a.noise * torch.rand(batch, 1, 1, 1, generator=self.generator) ** 2
            images = images + deviation * torch.randn(images.shape, generator=self.generator)
        return images.clamp(-2, 2)


def _some_foreground(labels: Tensor, most: int = 20_000) -> Tensor:
    """Up to `most` evenly spaced foreground pixels, (N, 2) rows and columns."""
    points = ((labels > 0) & (labels != UNKNOWN)).nonzero()
    return points[:: max(1, len(points) // most)].int()


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
