"""Crops of the training images, transformed at random."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import skimage.data
import torch
from torch import Tensor
from torch.nn import functional

from napari_runet.images.normalisation import measure_range, normalise
from napari_runet.inference.channels import match_channels
from napari_runet.models.card import ModelCard
from napari_runet.training.augmentation import Augmentation, recolour
from napari_runet.training.compositing import drawn_background, paste, tinted
from napari_runet.training.draws import Draws
from napari_runet.training.losses import UNKNOWN
from napari_runet.training.pairs import DataError, Pair, as_plane, known_labels


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
    source = as_plane(pair.image, pair.name)
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
    shares
        Share of crops from the images whose names begin alike, such as ``{"a_": 0.5, "b_": 0.5}``; by default each
        image is as likely as the other.

    Raises
    ------
    DataError
        When the names of no images, or not of all, begin as `shares` says.
    """

    def __init__(
        self,
        samples: list[Sample],
        size: int,
        augmentation: Augmentation,
        generator: torch.Generator,
        foreground_share: float = 0.5,
        shares: Mapping[str, float] | None = None,
    ) -> None:
        self.samples = samples
        self.size = size
        self.augmentation = augmentation
        self.draws = Draws(generator)
        self.foreground_share = foreground_share
        self._foreground = [_some_foreground(sample.labels) for sample in samples]
        self._cumulated = _likelihoods([sample.name for sample in samples], shares or {"": 1.0}).cumsum(0)
        pasted = augmentation.paste * augmentation.photographs > 0
        self._photographs = photographs(samples[0].image.shape[0]) if pasted else []

    def batch(self, count: int) -> tuple[Tensor, Tensor]:
        """`count` crops: images (B, C, size, size) float32 and labels (B, size, size) int64."""
        crops = [self._composed_crop() for _ in range(count)]
        images = torch.stack([image for image, _ in crops])
        labels = torch.stack([label for _, label in crops])
        return recolour(images, self.augmentation, self.draws), labels

    def _composed_crop(self) -> tuple[Tensor, Tensor]:
        image, labels = self._crop()
        if not self.draws.chance(self.augmentation.paste):
            return image, labels
        if self.draws.chance(self.augmentation.photographs):
            photograph = self._photographs[self.draws.below(len(self._photographs))]
            height, width = photograph.labels.shape
            centre = self.draws.uniform(0, height), self.draws.uniform(0, width)
            under, under_labels = self._warp(photograph, self._matrix(), *centre)
            under_labels = torch.zeros_like(under_labels)  # reflected beyond its border, a photograph holds no object
        elif self.draws.chance(0.4):
            under, under_labels = self._crop()
        else:
            under = drawn_background(image.shape[0], self.size, self.draws)
            under_labels = torch.zeros_like(labels)
        if self.augmentation.tint and self.draws.chance(self.augmentation.tint):
            under = tinted(under, image, labels, self.draws)
        return paste(image, labels, under, under_labels, softness=self.draws.uniform(0.5, 1.5))

    def _crop(self) -> tuple[Tensor, Tensor]:
        drawn = self.draws.uniform(0, float(self._cumulated[-1]))
        which = min(int(torch.searchsorted(self._cumulated, drawn, right=True)), len(self.samples) - 1)
        sample = self.samples[which]
        height, width = sample.labels.shape
        matrix = self._matrix()
        foreground = self._foreground[which]
        if len(foreground) and self.draws.chance(self.foreground_share):
            centre_y, centre_x = foreground[self.draws.below(len(foreground))].tolist()
            centre_y += self.draws.uniform(-0.3, 0.3) * self.size
            centre_x += self.draws.uniform(-0.3, 0.3) * self.size
        else:
            centre_y, centre_x = self.draws.uniform(0, height), self.draws.uniform(0, width)
        return self._warp(sample, matrix, centre_y, centre_x)

    def _matrix(self) -> Tensor:
        """(2, 2): from crop to image offsets, in pixels, (x, y)."""
        a = self.augmentation
        angle = np.deg2rad(self.draws.uniform(-a.rotation, a.rotation))
        scale = float(np.exp(self.draws.uniform(np.log(a.smallest_scale), np.log(a.largest_scale))))
        stretch = float(np.exp(self.draws.uniform(-a.stretch, a.stretch)))
        flip = -1.0 if a.flips and self.draws.chance(0.5) else 1.0
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
            size = [max(1, round(length / shrink)) for length in image.shape[-2:]]
            image = functional.interpolate(image, size, mode="area")
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


def _likelihoods(names: list[str], shares: Mapping[str, float]) -> Tensor:
    """(N,) float64: how likely each image is, so that each beginning of a name gets its share."""
    begins = [max((b for b in shares if name.startswith(b)), key=len, default=None) for name in names]
    if left_out := [name for name, begin in zip(names, begins, strict=True) if begin is None]:
        raise DataError(f"The recipe's shares say nothing of {left_out[0]}; give a share for every name's beginning.")
    if empty := sorted(shares.keys() - set(begins)):
        raise DataError(f"The recipe's shares name {empty[0]!r}, and no image's name begins so; take it out.")
    return torch.tensor([shares[begin] / begins.count(begin) for begin in begins if begin is not None]).double()


def _some_foreground(labels: Tensor, most: int = 20_000) -> Tensor:
    """Up to `most` evenly spaced foreground pixels, (N, 2) rows and columns."""
    points = ((labels > 0) & (labels != UNKNOWN)).nonzero()
    return points[:: max(1, len(points) // most)].int()


PHOTOGRAPHS = (
    "astronaut", "brick", "camera", "chelsea", "coffee", "coins", "grass", "gravel", "immunohistochemistry", "page",
    "rocket",
)  # fmt: skip


def photographs(channels: int) -> list[Sample]:
    """Photographs that come with scikit-image and show no hands, roads or vessels, all of it background."""
    pictures = [getattr(skimage.data, name)() for name in PHOTOGRAPHS]
    samples = []
    for number, picture in enumerate(pictures):
        source = as_plane(picture, "photograph")
        pixels = normalise(source.plane(), measure_range(source, (), 0.5, 99.5, per_channel=True))
        image = torch.from_numpy(np.ascontiguousarray(pixels.transpose(2, 0, 1)))
        image = image if image.shape[0] == channels else image.mean(dim=0, keepdim=True).expand(channels, -1, -1)
        labels = torch.zeros(image.shape[1:], dtype=torch.uint8)
        samples.append(Sample(f"photograph {number}", image.half(), labels))
    return samples
