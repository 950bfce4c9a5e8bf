"""VGG16 and ResNet50 encoders, with the names of torchvision's state dicts so that its weight files load."""

import torch
from torch import Tensor, nn

VGG16_STAGES = ((64, 64), (128, 128), (256, 256, 256), (512, 512, 512), (512, 512, 512))


class VGG16(nn.Module):
    """The convolutions of VGG16 (configuration D), giving each stage's activations before its pooling.

    Parameters
    ----------
    mask_channels
        Channels of the fed-back mask, which a convolution of its own adds to the first layer (0 for none).
    """

    channels = tuple(stage[-1] for stage in VGG16_STAGES)

    def __init__(self, in_channels: int = 3, mask_channels: int = 0) -> None:
        super().__init__()
        layers: list[nn.Module] = []
        for stage in VGG16_STAGES:
            for width in stage:
                layers += [nn.Conv2d(in_channels, width, kernel_size=3, padding=1), nn.ReLU(inplace=True)]
                in_channels = width
            layers.append(nn.MaxPool2d(2))
        self.features = nn.Sequential(*layers)
        self.mask = nn.Conv2d(mask_channels, 64, kernel_size=3, padding=1, bias=False) if mask_channels else None

    def forward(self, images: Tensor, mask: Tensor | None = None) -> tuple[Tensor, list[Tensor]]:
        """Activations after the last pooling (B, 512, Y / 32, X / 32), and those before each pooling."""
        skips, features = [], images
        for index, layer in enumerate(self.features):
            if isinstance(layer, nn.MaxPool2d):
                skips.append(features)
            features = layer(features)
            if index == 0 and self.mask is not None and mask is not None:
                features = features + self.mask(mask)
        return features, skips


class Bottleneck(nn.Module):
    """1x1, 3x3 and 1x1 convolution around a shortcut; the output is four times as wide as the inside."""

    def __init__(self, in_channels: int, width: int, stride: int, dilation: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(in_channels, width, 1, bias=False)
        self.bn1 = nn.BatchNorm2d(width)
        self.conv2 = nn.Conv2d(width, width, 3, stride=stride, padding=dilation, dilation=dilation, bias=False)
        self.bn2 = nn.BatchNorm2d(width)
        self.conv3 = nn.Conv2d(width, 4 * width, 1, bias=False)
        self.bn3 = nn.BatchNorm2d(4 * width)
        self.downsample: nn.Module | None = None
        if stride != 1 or in_channels != 4 * width:
            self.downsample = nn.Sequential(
                nn.Conv2d(in_channels, 4 * width, 1, stride=stride, bias=False), nn.BatchNorm2d(4 * width)
            )

    def forward(self, features: Tensor) -> Tensor:
        shortcut = features if self.downsample is None else self.downsample(features)
        features = torch.relu(self.bn1(self.conv1(features)))
        features = torch.relu(self.bn2(self.conv2(features)))
        return torch.relu(self.bn3(self.conv3(features)) + shortcut)


def residual_stage(in_channels: int, *, width: int, count: int, stride: int, dilation: int = 1) -> nn.Sequential:
    """`count` bottleneck blocks, the first of which strides."""
    blocks = [Bottleneck(in_channels, width, stride, dilation)]
    blocks += [Bottleneck(4 * width, width, 1, dilation) for _ in range(count - 1)]
    return nn.Sequential(*blocks)


class ResNet50(nn.Module):
    """The convolutions of ResNet50 (He et al. 2016, stride in the 3x3 convolution).

    Parameters
    ----------
    mask_channels
        As for `VGG16`.
    dilate_last
        Dilate the last stage instead of striding it, so that it keeps 1/16 of the image's size.
    """

    channels = (64, 256, 512, 1024, 2048)

    def __init__(self, in_channels: int = 3, mask_channels: int = 0, *, dilate_last: bool = False) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(in_channels, 64, 7, stride=2, padding=3, bias=False)
        self.mask = nn.Conv2d(mask_channels, 64, 7, stride=2, padding=3, bias=False) if mask_channels else None
        self.bn1 = nn.BatchNorm2d(64)
        self.pool = nn.MaxPool2d(3, stride=2, padding=1)
        self.layer1 = residual_stage(64, width=64, count=3, stride=1)
        self.layer2 = residual_stage(256, width=128, count=4, stride=2)
        self.layer3 = residual_stage(512, width=256, count=6, stride=2)
        self.layer4 = residual_stage(1024, width=512, count=3, stride=1 if dilate_last else 2, dilation=1 + dilate_last)

    def forward(self, images: Tensor, mask: Tensor | None = None) -> tuple[Tensor, list[Tensor]]:
        """Activations of the last stage, and those of the stem and the first three: 1/2, 1/4, 1/8, 1/16."""
        features = self.conv1(images)
        if self.mask is not None and mask is not None:
            features = features + self.mask(mask)
        features = torch.relu(self.bn1(features))
        skips = [features]
        features = self.layer1(self.pool(features))
        for stage in (self.layer2, self.layer3, self.layer4):
            skips.append(features)
            features = stage(features)
        return features, skips
