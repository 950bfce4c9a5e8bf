"""Crops around corrections, with what the old model said about them."""

from dataclasses import dataclass

import torch
from torch import Tensor

from napari_runet.training.augmentation import Augmentation, recolour
from napari_runet.training.losses import UNKNOWN
from napari_runet.training.patches import Patch
from napari_runet.training.samples import CropSampler, Sample

MILD = Augmentation(
    rotation=180.0,
    smallest_scale=0.8,
    largest_scale=1.25,
    stretch=0.05,
    contrast=0.2,
    brightness=0.1,
    colour=0.08,
    gamma=0.2,
    shading=0.1,
    blur=0.6,
    noise=0.04,
    grey=0.0,
)
"""Milder than when a model is trained from nothing: the images that it is meant for are at hand."""

WIDE = Augmentation(smallest_scale=0.5, largest_scale=2.0, contrast=0.4, brightness=0.3, colour=0.25, gamma=0.5)
"""As other cameras might have seen it: what a model answers there is to stay as it is."""


@dataclass(frozen=True, slots=True)
class CorrectionBatch:
    """What a training step sees.

    `images` (B, C, Y, X) float32; `labels` (B, Y, X) int64 with 255 for unknown; `old` (B, classes, Y, X) float32,
    the old model's probabilities; `untouched` (B, Y, X) bool, where nobody said anything.
    """

    images: Tensor
    labels: Tensor
    old: Tensor
    untouched: Tensor

    def __add__(self, other: "CorrectionBatch") -> "CorrectionBatch":
        """Both batches as one."""
        return CorrectionBatch(
            torch.cat([self.images, other.images]),
            torch.cat([self.labels, other.labels]),
            torch.cat([self.old, other.old]),
            torch.cat([self.untouched, other.untouched]),
        )

    def to(self, device: str, layout: torch.memory_format) -> "CorrectionBatch":
        """The same on a device, its images in a memory layout."""
        images = self.images.to(device).contiguous(memory_format=layout)
        return CorrectionBatch(images, self.labels.to(device), self.old.to(device), self.untouched.to(device))


class CorrectionSampler(CropSampler):
    """Draws crops that each show a pixel of which something was said, the classes equally often.

    Of each class, what the old model has wrong and what it has right are shown equally often: of a reviewed region,
    most was right before.

    Parameters
    ----------
    patches
        At least one has a label.
    size
        Rows and columns of a crop.
    hold
        Whether the old answers count where nobody said anything; else nothing is `untouched`.
    """

    def __init__(
        self,
        patches: list[Patch],
        size: int,
        augmentation: Augmentation,
        generator: torch.Generator,
        *,
        hold: bool = True,
    ) -> None:
        self.hold = hold
        self.channels = patches[0].image.shape[0]
        # the old answers ride along as further channels, so that one grid moves both
        stacked = [torch.cat([patch.image, patch.old, patch.untouched.half()[None]]) for patch in patches]
        samples = [Sample(str(i), stack, patches[i].labels) for i, stack in enumerate(stacked)]
        super().__init__(samples, size, augmentation, generator)
        self._points = _points_by_kind(patches)

    def draw(self, count: int) -> CorrectionBatch:
        """`count` crops."""
        crops = [self._crop() for _ in range(count)]
        stack = torch.stack([crop for crop, _ in crops])
        labels = torch.stack([label for _, label in crops])
        images, old, untouched = stack[:, : self.channels], stack[:, self.channels : -1], stack[:, -1] > 0.99
        images = recolour(images, self.augmentation, self.draws)
        return CorrectionBatch(images, labels, old, untouched & (labels == UNKNOWN) & self.hold)

    def _crop(self) -> tuple[Tensor, Tensor]:
        points = self._points[self.draws.below(len(self._points))]
        which, y, x = points[self.draws.below(len(points))].tolist()
        reach = 0.3 * self.size
        y, x = y + self.draws.uniform(-reach, reach), x + self.draws.uniform(-reach, reach)
        return self._warp(self.samples[which], self._matrix(), y, x)

    @staticmethod
    def _warp_labels(labels: Tensor, grid: Tensor) -> Tensor:
        """The nearest label: between a class and unknown there is nothing."""
        nearest = torch.nn.functional.grid_sample(
            labels.float()[None, None], grid, mode="nearest", padding_mode="border", align_corners=False
        )
        return nearest[0, 0].long()


class AnywhereSampler(CorrectionSampler):
    """Draws crops from anywhere in the patches."""

    def _crop(self) -> tuple[Tensor, Tensor]:
        which = self.draws.below(len(self.samples))
        height, width = self.samples[which].labels.shape
        y, x = self.draws.uniform(0, height), self.draws.uniform(0, width)
        return self._warp(self.samples[which], self._matrix(), y, x)


def _points_by_kind(patches: list[Patch]) -> list[Tensor]:
    """For each labelled class and whether the old model had it right, (n, 3): patch, row and column of its pixels."""
    points = []
    for number, patch in enumerate(patches):
        places = (patch.labels != UNKNOWN).nonzero()
        classes = patch.labels[places[:, 0], places[:, 1]].long()
        right = patch.old.argmax(dim=0)[places[:, 0], places[:, 1]] == classes
        kinds = 2 * classes + right
        points.append(torch.cat([torch.full((len(places), 1), number), places, kinds[:, None]], dim=1))
    together = torch.cat(points)
    return [together[together[:, 3] == kind, :3] for kind in sorted(set(together[:, 3].tolist()))]
