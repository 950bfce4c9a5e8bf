"""The yardstick of `speed.py`: DRU(4) written down plainly, and nothing done to make it fast.

Eager, float32, contiguous NCHW, torch's own group normalisation. Parameters have the names of the shipped network,
so that it takes the shipped weights; its outputs are equal to those of the shipped network (`tests/inference` and
`speed.py` both check that).
"""

from collections.abc import Iterator

import torch
from torch import Tensor, nn


def conv(inputs: int, outputs: int, *, activation: bool = True) -> nn.Sequential:
    """3x3 convolution, group normalisation, ReLU."""
    layers = [nn.Conv2d(inputs, outputs, 3, padding=1), nn.GroupNorm(min(8, outputs), outputs)]
    return nn.Sequential(*layers, *([nn.ReLU()] if activation else []))


def double(inputs: int, outputs: int) -> nn.Sequential:
    """The unit of the U-Net."""
    return nn.Sequential(conv(inputs, outputs), conv(outputs, outputs))


class Encoder(nn.Module):
    def __init__(self, inputs: int, widths: list[int]) -> None:
        super().__init__()
        self.blocks = nn.ModuleList(double(i, o) for i, o in zip([inputs, *widths], widths, strict=False))

    def forward(self, x: Tensor) -> tuple[Tensor, list[Tensor]]:
        skips = []
        for block in self.blocks:
            skips.append(block(x))
            x = nn.functional.max_pool2d(skips[-1], 2)
        return x, skips


class UpBlock(nn.Module):
    def __init__(self, width: int) -> None:
        super().__init__()
        self.up = nn.ConvTranspose2d(2 * width, width, 2, stride=2)
        self.conv = double(2 * width, width)

    def forward(self, x: Tensor, skip: Tensor) -> Tensor:
        return self.conv(torch.cat([skip, self.up(x)], 1))


class Decoder(nn.Module):
    def __init__(self, widths: list[int]) -> None:
        super().__init__()
        self.blocks = nn.ModuleList(UpBlock(width) for width in reversed(widths))

    def forward(self, x: Tensor, skips: list[Tensor]) -> Tensor:
        for block, skip in zip(self.blocks, reversed(skips), strict=True):
            x = block(x, skip)
        return x


class Unit(nn.Module):
    def __init__(self, inputs: int, hidden: int, outputs: int) -> None:
        super().__init__()
        self.f_z = nn.Sequential(conv(inputs, hidden), conv(hidden, hidden, activation=False))
        self.f_r = conv(inputs, inputs, activation=False)
        self.f_h = nn.Sequential(conv(inputs, hidden), conv(hidden, hidden, activation=False))
        self.f_s = nn.Conv2d(hidden, outputs, 1)

    def forward(self, e: Tensor, h: Tensor) -> tuple[Tensor, Tensor]:
        r = torch.sigmoid(self.f_r(e))
        z = torch.sigmoid(self.f_z(e))
        h = z * h + (1 - z) * torch.tanh(self.f_h(r * e))
        return self.f_s(h), h


class Yardstick(nn.Module):
    """DRU(4) with its hidden state and mask starting from 0.

    Takes images (B, 3, Y, X), Y and X multiples of 16; gives the logits (B, 2, Y, X) of each iteration.
    """

    def __init__(self, inputs: int = 3, classes: int = 2, hidden: int = 32) -> None:
        super().__init__()
        self.classes, self.hidden = classes, hidden
        widths = [8, 16, 32, 64]
        self.encoder = Encoder(inputs + classes, widths)
        self.unit = Unit(64, hidden, 128)
        self.decoder = Decoder(widths)
        self.head = nn.Conv2d(8, classes, 1)

    def iterate(self, images: Tensor, iterations: int = 3) -> Iterator[Tensor]:
        batch, _, height, width = images.shape
        s = images.new_zeros(batch, self.classes, height, width)
        h = images.new_zeros(batch, self.hidden, height // 16, width // 16)
        for _ in range(iterations):
            e, skips = self.encoder(torch.cat([images, s], 1))
            u, h = self.unit(e, h)
            logits = self.head(self.decoder(u, skips))
            s = torch.softmax(logits, 1)
            yield logits

    def forward(self, images: Tensor, iterations: int = 3) -> list[Tensor]:
        return list(self.iterate(images, iterations))
