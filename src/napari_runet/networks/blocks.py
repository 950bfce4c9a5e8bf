"""The parts that every U-Net here is made of."""

from collections.abc import Sequence
from math import gcd
from typing import Literal

import torch
from torch import Tensor, nn

from napari_runet.models.card import NetworkConfig
from napari_runet.networks.normalisation import GroupNorm

NormKind = Literal["group", "batch", "none"]

POOLINGS = 4
"""Of every U-Net here."""


def unet_widths(config: NetworkConfig) -> list[int]:
    """Channels at each scale: the first doubled after every pooling."""
    return [config.base_channels * 2**i for i in range(POOLINGS + 1)]


def norm_layer(kind: NormKind, channels: int) -> nn.Module:
    """Group normalisation with (at most) eight groups, batch normalisation, or nothing."""
    if kind == "group":
        return GroupNorm(gcd(8, channels), channels)
    if kind == "batch":
        return nn.BatchNorm2d(channels)
    return nn.Identity()


class ConvBlock(nn.Sequential):
    """3x3 convolution, normalisation and, unless `activation` is False, ReLU; keeps the size."""

    def __init__(self, in_channels: int, out_channels: int, norm: NormKind, *, activation: bool = True) -> None:
        layers: list[nn.Module] = [
            nn.Conv2d(in_channels, out_channels, kernel_size=3, padding=1),
            norm_layer(norm, out_channels),
        ]
        super().__init__(*layers, *([nn.ReLU(inplace=True)] if activation else []))


class DoubleConv(nn.Sequential):
    """Two `ConvBlock`s: the unit of a U-Net at each of its scales."""

    def __init__(self, in_channels: int, out_channels: int, norm: NormKind) -> None:
        super().__init__(ConvBlock(in_channels, out_channels, norm), ConvBlock(out_channels, out_channels, norm))


class Encoder(nn.Module):
    """One `DoubleConv` and one 2x2 max pooling for each width.

    Takes (B, `in_channels`, Y, X); gives the activations after the last pooling, (B, widths[-1], Y / 2^n, X / 2^n),
    and the skip connections, the finest first.
    """

    def __init__(self, in_channels: int, widths: Sequence[int], norm: NormKind) -> None:
        super().__init__()
        inputs = [in_channels, *widths][: len(widths)]
        self.blocks = nn.ModuleList(DoubleConv(i, o, norm) for i, o in zip(inputs, widths, strict=True))
        self.pool = nn.MaxPool2d(2)

    def forward(self, features: Tensor) -> tuple[Tensor, list[Tensor]]:
        skips = []
        for block in self.blocks:
            features = block(features)
            skips.append(features)
            features = self.pool(features)
        return features, skips


class UpBlock(nn.Module):
    """Transposed convolution to twice the size, concatenation with the skip connection, `DoubleConv`."""

    def __init__(self, in_channels: int, out_channels: int, norm: NormKind) -> None:
        super().__init__()
        self.up = nn.ConvTranspose2d(in_channels, out_channels, kernel_size=2, stride=2)
        self.conv = DoubleConv(2 * out_channels, out_channels, norm)

    def forward(self, features: Tensor, skip: Tensor) -> Tensor:
        convolved: Tensor = self.conv(torch.cat([skip, self.up(features)], dim=1))
        return convolved


class Decoder(nn.Module):
    """One `UpBlock` for each width, from the coarsest; the way back of `Encoder` with the same `widths`."""

    def __init__(self, widths: Sequence[int], norm: NormKind) -> None:
        super().__init__()
        self.blocks = nn.ModuleList(UpBlock(2 * width, width, norm) for width in reversed(widths))

    def forward(self, features: Tensor, skips: Sequence[Tensor]) -> Tensor:
        for block, skip in zip(self.blocks, reversed(skips), strict=True):
            features = block(features, skip)
        return features


class UNet(nn.Module):
    """Encoder, bottleneck, decoder and a 1x1 convolution.

    Parameters
    ----------
    in_channels, out_channels
        Of the whole.
    widths
        Channels at each scale, the last of which is the bottleneck: ``(8, 16, 32, 64, 128)`` pools four times.
    norm
        Normalisation of every 3x3 convolution.
    """

    def __init__(self, in_channels: int, out_channels: int, widths: Sequence[int], norm: NormKind) -> None:
        super().__init__()
        *scales, bottleneck = widths
        self.encoder = Encoder(in_channels, scales, norm)
        self.bottleneck = DoubleConv(scales[-1] if scales else in_channels, bottleneck, norm)
        self.decoder = Decoder(scales, norm)
        self.head = nn.Conv2d(widths[0], out_channels, kernel_size=1)

    def forward(self, images: Tensor) -> Tensor:
        features, skips = self.encoder(images)
        logits: Tensor = self.head(self.decoder(self.bottleneck(features), skips))
        return logits
