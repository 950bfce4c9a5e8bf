"""The heavy systems of the paper's tables: VGG16 and ResNet50 U-Nets with and without recurrence, and rivals."""

from collections.abc import Sequence
from typing import cast

import torch
from torch import Tensor, nn
from torch.nn import functional

from napari_runet.models.card import NetworkConfig
from napari_runet.networks.backbones import VGG16, ResNet50
from napari_runet.networks.blocks import ConvBlock
from napari_runet.networks.iterative import IterativeNetwork, State


def up_convolution(in_channels: int, out_channels: int) -> nn.Module:
    """Transposed 4x4 convolution to twice the size, and ReLU."""
    return nn.Sequential(nn.ConvTranspose2d(in_channels, out_channels, 4, stride=2, padding=1), nn.ReLU(inplace=True))


def convolution(in_channels: int, out_channels: int) -> nn.Module:
    """3x3 convolution and ReLU."""
    return nn.Sequential(nn.Conv2d(in_channels, out_channels, 3, padding=1), nn.ReLU(inplace=True))


class UpStage(nn.Sequential):
    """3x3 convolution to `middle` channels and transposed convolution to `out_channels` at twice the size."""

    def __init__(self, in_channels: int, middle: int, out_channels: int) -> None:
        super().__init__(convolution(in_channels, middle), up_convolution(middle, out_channels))


class EncoderUNet(nn.Module):
    """A U-Net on a classification network's encoder, whose last activations are pooled once more for ResNet50.

    At each scale the decoder's features are concatenated with the encoder's (Iglovikov and Shvets 2018,
    TernausNet, which has the parameter counts of the paper's networks).
    """

    def __init__(self, encoder: VGG16 | ResNet50, classes: int) -> None:
        super().__init__()
        self.encoder = encoder
        plan: list[tuple[int, int, int]]
        if isinstance(encoder, VGG16):
            self.stride = 32
            self.center: nn.Sequential = UpStage(512, 512, 256)
            plan = [(512 + 256, 512, 256), (512 + 256, 512, 256), (256 + 256, 256, 64), (128 + 64, 128, 32)]
            self.last = convolution(64 + 32, 32)
        else:
            self.stride = 64
            self.center = UpStage(2048, 512, 256)
            plan = [(2048 + 256, 512, 256), (1024 + 256, 512, 256), (512 + 256, 256, 64), (256 + 64, 128, 128)]
            plan.append((64 + 128, 128, 32))
            self.last = convolution(32, 32)
        self.stages = nn.ModuleList(UpStage(*widths) for widths in plan)
        self.head = nn.Conv2d(32, classes, kernel_size=1)

    def encode(self, images: Tensor, mask: Tensor | None = None) -> tuple[Tensor, list[Tensor]]:
        """The deepest activations, and the skip connections, the finest first."""
        features, skips = self.encoder(images, mask)
        if isinstance(self.encoder, ResNet50):
            skips.append(features)
            features = functional.max_pool2d(features, 2)
        return features, skips

    def decode(self, features: Tensor, skips: Sequence[Tensor]) -> Tensor:
        """From what follows `center` to logits."""
        remaining = list(skips)
        for stage in self.stages:
            features = stage(torch.cat([features, remaining.pop()], dim=1))
        if remaining:
            features = torch.cat([features, remaining.pop()], dim=1)
        return cast("Tensor", self.head(self.last(features)))

    def forward(self, images: Tensor) -> Tensor:
        features, skips = self.encode(images)
        return self.decode(self.center(features), skips)


class WideGatedUnit(nn.Module):
    """The dual-gated unit on the activations of a heavy encoder; the equations of `DualGatedUnit`."""

    def __init__(self, channels: int, inside: int, hidden: int, out_channels: int, reset_convolutions: int) -> None:
        super().__init__()

        def body() -> nn.Module:
            return nn.Sequential(
                ConvBlock(channels, inside, "group"), ConvBlock(inside, hidden, "group", activation=False)
            )

        resets = [ConvBlock(channels, channels, "group") for _ in range(reset_convolutions - 1)]
        self.f_r = nn.Sequential(*resets, ConvBlock(channels, channels, "group", activation=False))
        self.f_z, self.f_h = body(), body()
        self.f_s = nn.Conv2d(hidden, out_channels, kernel_size=1)

    def forward(self, e: Tensor, h: Tensor) -> tuple[Tensor, Tensor]:
        r, z = torch.sigmoid(self.f_r(e)), torch.sigmoid(self.f_z(e))
        h = z * h + (1 - z) * torch.tanh(self.f_h(r * e))
        return self.f_s(h), h


class RecurrentEncoderUNet(IterativeNetwork):
    """DRU-VGG16 and DRU-ResNet50: a recurrent unit between encoder and decoder.

    With VGG16 it takes the place of the convolution there; with ResNet50 that convolution stays behind it,
    which gives the paper's number of parameters.
    """

    def __init__(self, config: NetworkConfig, encoder: type[VGG16] | type[ResNet50]) -> None:
        unet = EncoderUNet(encoder(config.in_channels, config.classes), config.classes)
        super().__init__(config, stride=unet.stride)
        self.unet = unet
        if isinstance(unet.encoder, VGG16):
            self.unit = WideGatedUnit(512, 512, config.hidden_channels, 512, reset_convolutions=2)
            self.unet.center = nn.Sequential(unet.center[1])
        else:
            self.unit = WideGatedUnit(2048, 1024, config.hidden_channels, 2048, reset_convolutions=1)

    def initial_hidden(self, images: Tensor) -> Tensor:
        batch, _, height, width = images.shape
        size = (batch, self.config.hidden_channels, height // self.stride, width // self.stride)
        return images.new_full(size, self.config.initial_hidden)

    def step(self, images: Tensor, state: State) -> tuple[Tensor, State]:
        e, skips = self.unet.encode(images, state.segmentation)
        features, hidden = self.unit(e, state.hidden)
        logits = self.unet.decode(self.unet.center(features), skips)
        return logits, State(self.fed_back(logits), hidden)


def resized(features: Tensor, like: Tensor) -> Tensor:
    """Bilinear resampling to the rows and columns of `like`."""
    return functional.interpolate(features, size=like.shape[-2:], mode="bilinear", align_corners=False)


def bn_convolution(in_channels: int, out_channels: int, size: int, dilation: int = 1) -> nn.Module:
    """Convolution, batch norm and ReLU, keeping the size."""
    padding = dilation * (size // 2)
    return nn.Sequential(
        nn.Conv2d(in_channels, out_channels, size, padding=padding, dilation=dilation, bias=False),
        nn.BatchNorm2d(out_channels),
        nn.ReLU(inplace=True),
    )


class DeepLabV3Plus(nn.Module):
    """DeepLabV3+ (Chen et al., ECCV 2018) on ResNet50 at output stride 16."""

    def __init__(self, in_channels: int, classes: int) -> None:
        super().__init__()
        self.encoder = ResNet50(in_channels, dilate_last=True)
        self.pyramid = nn.ModuleList(
            [bn_convolution(2048, 256, 1), *(bn_convolution(2048, 256, 3, rate) for rate in (6, 12, 18))]
        )
        # no batch norm here: it has nothing to measure on a single pooled value
        self.pooled = nn.Sequential(nn.AdaptiveAvgPool2d(1), nn.Conv2d(2048, 256, 1), nn.ReLU(inplace=True))
        self.project = bn_convolution(5 * 256, 256, 1)
        self.low_level = bn_convolution(256, 48, 1)
        self.refine = nn.Sequential(bn_convolution(256 + 48, 256, 3), bn_convolution(256, 256, 3))
        self.head = nn.Conv2d(256, classes, kernel_size=1)

    def forward(self, images: Tensor) -> Tensor:
        features, skips = self.encoder(images)
        parts = [branch(features) for branch in self.pyramid]
        parts.append(self.pooled(features).expand_as(parts[0]))
        low_level = self.low_level(skips[1])
        features = resized(self.project(torch.cat(parts, dim=1)), low_level)
        return resized(self.head(self.refine(torch.cat([features, low_level], dim=1))), images)


class ResidualConvUnit(nn.Module):
    """Two 3x3 convolutions around a shortcut, without normalisation."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(channels, channels, 3, padding=1)
        self.conv2 = nn.Conv2d(channels, channels, 3, padding=1)

    def forward(self, features: Tensor) -> Tensor:
        return cast("Tensor", features + self.conv2(torch.relu(self.conv1(torch.relu(features)))))


class RefineBlock(nn.Module):
    """One RefineNet block: residual convolutions of each input, fusion, chained residual pooling, output."""

    def __init__(self, in_channels: Sequence[int], out_channels: int) -> None:
        super().__init__()
        self.adapt = nn.ModuleList(
            nn.Sequential(ResidualConvUnit(channels), ResidualConvUnit(channels)) for channels in in_channels
        )
        self.fuse = nn.ModuleList(nn.Conv2d(channels, out_channels, 3, padding=1) for channels in in_channels)
        self.chain = nn.ModuleList(nn.Conv2d(out_channels, out_channels, 3, padding=1) for _ in range(2))
        self.output = ResidualConvUnit(out_channels)

    def forward(self, *inputs: Tensor) -> Tensor:
        """The first input has the finest scale, and gives the size of the output."""
        fused = [fuse(adapt(part)) for adapt, fuse, part in zip(self.adapt, self.fuse, inputs, strict=True)]
        total = torch.relu(sum((resized(part, fused[0]) for part in fused[1:]), start=fused[0]))
        pooled = total
        for step in self.chain:
            pooled = step(functional.max_pool2d(pooled, kernel_size=5, stride=1, padding=2))
            total = total + pooled
        return cast("Tensor", self.output(total))


class RefineNet(nn.Module):
    """RefineNet with four cascaded blocks (Lin et al., CVPR 2017) on ResNet50."""

    def __init__(self, in_channels: int, classes: int) -> None:
        super().__init__()
        self.encoder = ResNet50(in_channels)
        widths = (256, 256, 256, 512)
        self.reduce = nn.ModuleList(
            nn.Conv2d(channels, width, 1) for channels, width in zip(self.encoder.channels[1:], widths, strict=True)
        )
        self.refine = nn.ModuleList(
            RefineBlock(inputs, output)
            for inputs, output in (((256, 256), 256), ((256, 256), 256), ((256, 512), 256), ((512,), 512))
        )
        self.head = nn.Conv2d(256, classes, 3, padding=1)

    def forward(self, images: Tensor) -> Tensor:
        features, skips = self.encoder(images)
        scales = [reduce(part) for reduce, part in zip(self.reduce, [*skips[1:], features], strict=True)]
        refined = self.refine[3](scales[3])
        for level in (2, 1, 0):
            refined = self.refine[level](scales[level], refined)
        return resized(self.head(refined), images)
