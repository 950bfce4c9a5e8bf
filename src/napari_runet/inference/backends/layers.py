"""The layers of a U-Net for one image on a CPU, each in the way that takes torch the least time.

All features are (1, C, Y, X) that lie in memory as (Y, X, C), float32 or bfloat16, sizes a power of two's multiple as
the network pads them. What a convolution gives is normalised and cut off in place, since nobody else has it.
"""

from collections.abc import Sequence
from math import gcd
from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional

from napari_runet.networks.blocks import ConvBlock, Decoder, Encoder, UNet, UpBlock
from napari_runet.networks.normalisation import GroupNorm

_LANES = 256
_COLUMNS = 1024


def channels_last(features: Tensor) -> Tensor:
    """The same numbers in the layout that convolutions are fastest in."""
    return features.contiguous(memory_format=torch.channels_last)


def pixel_rows(features: Tensor, pixels: int = 1) -> Tensor:
    """A view of (1, C, Y, X) as (Y X / pixels, pixels C)."""
    return features.permute(0, 2, 3, 1).view(-1, pixels * features.shape[1])


def ordered(features: Tensor) -> Tensor:
    """A view in which numbers from 0 on have their order and others are below 0: bfloat16 as int16, which is faster."""
    return features.view(torch.int16) if features.dtype == torch.bfloat16 else features


class Normalisation:
    """Group normalisation, in place: `moments` and what follows from them, in as few operations as torch has it in.

    Small images spend more time on calling operations than in them. Rows hold several pixels side by side; with mean
    m_j and variance v_j of column j of a group's::

        mean = mean_j m_j,    variance = mean_j (v_j + m_j^2) - mean^2      in float64, which has the digits for it
        out  = (bias - mean rstd weight) - features (-rstd weight)          both in one product of matrices
    """

    def __init__(self, norm: GroupNorm) -> None:
        self._weight, self._bias = norm.weight.detach(), norm.bias.detach()
        self._groups, self._eps = norm.num_groups, norm.eps
        self._plans: dict[tuple[int, torch.dtype], _Plan] = {}

    def __call__(self, features: Tensor, *, relu: bool = False) -> Tensor:
        _, channels, height, width = features.shape
        size = height * width
        pixels = gcd(size, max(1, _COLUMNS // channels))
        plan = self._plans.get((pixels, features.dtype)) or self._plan(pixels, features.dtype)
        rows = pixel_rows(features, pixels)
        means, variances = torch.batch_norm_update_stats(rows, plan.unused, plan.unused, 0.0)
        found = torch.stack((means, variances.addcmul_(means, means))).double()
        found = torch.addmm(plan.eps, found, plan.to_groups)
        mean, variance = found.unbind()
        rstd = variance.addcmul_(mean, mean, value=-1).rsqrt_()
        mean.mul_(rstd)
        found = torch.addmm(plan.bias, found.float(), plan.to_lanes, alpha=-1).to(features.dtype)
        shift, scale = found.unbind()
        rows = rows.view(-1, len(scale))
        torch.addcmul(shift, rows, scale, value=-1, out=rows)
        if relu:
            ordered(features).clamp_min_(0)
        return features

    def _plan(self, pixels: int, dtype: torch.dtype) -> "_Plan":
        """What depends on how many pixels lie side by side."""
        channels = len(self._weight)
        group = torch.eye(self._groups).repeat_interleave(channels // self._groups, 1)
        columns = group.repeat(1, pixels)
        together = gcd(pixels, max(1, _LANES // channels))
        bias = self._bias.repeat(together)
        plan = self._plans[pixels, dtype] = _Plan(
            to_groups=(columns / columns.sum(1, keepdim=True)).t().double().contiguous(),
            eps=torch.tensor([[0.0], [self._eps]], dtype=torch.float64),
            to_lanes=(group * self._weight).repeat(1, together),
            bias=torch.stack((bias, torch.zeros_like(bias))),
            # running statistics of float32 make those of bfloat16 features float32; with momentum 0 they stay
            unused=torch.zeros(pixels * channels) if dtype == torch.bfloat16 else None,
        )
        return plan


class _Plan(NamedTuple):
    """Means of columns to groups (columns, groups), groups to lanes (groups, lanes), and what is added to each."""

    to_groups: Tensor
    eps: Tensor
    to_lanes: Tensor
    bias: Tensor
    unused: Tensor | None


def parameters(convolution: nn.Module) -> tuple[Tensor, Tensor]:
    """Weight and bias of a convolution."""
    assert isinstance(convolution, nn.Conv2d | nn.ConvTranspose2d) and convolution.bias is not None
    return convolution.weight.detach(), convolution.bias.detach()


class ConvNorm:
    """A `ConvBlock`: 3x3 convolution, group normalisation, ReLU where the block has one."""

    def __init__(self, block: nn.Module, dtype: torch.dtype) -> None:
        assert isinstance(block, ConvBlock) and isinstance(block[1], GroupNorm)
        weight, bias = parameters(block[0])
        self.weight, self.bias = channels_last(weight.to(dtype)), bias.to(dtype)
        self.norm = Normalisation(block[1])
        self.relu = len(block) > 2

    def __call__(self, features: Tensor) -> Tensor:
        return self.norm(functional.conv2d(features, self.weight, self.bias, padding=1), relu=self.relu)


def convolutions(blocks: nn.Module, dtype: torch.dtype) -> list[ConvNorm]:
    """Each `ConvBlock` of a sequence."""
    return [ConvNorm(block, dtype) for block in blocks.children()]


def max_pool(features: Tensor) -> Tensor:
    """The largest of each 2 x 2 numbers from 0 on: of two rows, then of two columns."""
    _, channels, height, width = features.shape
    lines = ordered(features).permute(0, 2, 3, 1).view(height // 2, 2, width * channels)
    pairs = torch.maximum(lines[:, 0], lines[:, 1]).view(1, height // 2, width // 2, 2, channels)
    return torch.maximum(pairs[:, :, :, 0], pairs[:, :, :, 1]).permute(0, 3, 1, 2).view(features.dtype)


class FoldedUp:
    """An `UpBlock`, whose transposed convolution and the half of the 3x3 convolution that reads it are one.

    Nothing lies between the two but zeros around the image, so that their product is a transposed convolution of 4x4
    with a step of 2: by row a of the first kernel and row k of the second, coarse row y adds to fine row
    2 y + a - k + 1. Fewer multiplications, nothing to concatenate, and no upsampled features to write and read again.
    """

    def __init__(self, block: nn.Module, dtype: torch.dtype) -> None:
        assert isinstance(block, UpBlock)
        first, second = block.conv.children()
        assert isinstance(first, ConvBlock) and isinstance(first[1], GroupNorm)
        (both, bias), (up, up_bias) = parameters(first[0]), parameters(block.up)
        skip, upper = both.double().chunk(2, dim=1)
        self._skip_weight = channels_last(skip.to(dtype))
        self._up_weight = channels_last(functional.conv2d(up.double(), upper, padding=2).to(dtype))
        # the transposed convolution's bias is missing beyond the border
        offset = up_bias.double()[None, :, None, None].expand(-1, -1, 3, 3)
        edges = functional.conv2d(offset, upper, padding=1)[0]
        self._bias = (bias + edges[:, 1, 1]).to(dtype)
        edges = (edges - edges[:, 1:2, 1:2]).to(dtype)
        sides = edges[:, ::2, 1, None], edges[:, 1, None, ::2]
        self._edges = *sides, edges[:, ::2, ::2] - sides[0] - sides[1]
        self._norm = Normalisation(first[1])
        self._second = ConvNorm(second, dtype)

    def __call__(self, features: Tensor, skip: Tensor) -> Tensor:
        found = functional.conv2d(skip, self._skip_weight, self._bias, padding=1)
        found += functional.conv_transpose2d(features, self._up_weight, stride=2, padding=1)
        self._mend_edges(found)
        return self._second(self._norm(found, relu=True))

    def _mend_edges(self, found: Tensor) -> None:
        """First and last row, first and last column, and the corners, which are in both."""
        (image,) = found
        of_rows, of_columns, of_corners = self._edges
        _, height, width = image.shape
        rows, columns = slice(None, None, height - 1), slice(None, None, width - 1)
        image[:, rows].add_(of_rows)  # and not +=, which would also copy each part onto itself
        image[:, :, columns].add_(of_columns)
        image[:, rows, columns].add_(of_corners)


class FastEncoder:
    """An `Encoder`, whose first convolution may be done by the caller."""

    def __init__(self, encoder: Encoder, dtype: torch.dtype) -> None:
        self.blocks = [convolutions(block, dtype) for block in encoder.blocks]

    def __call__(self, features: Tensor, *, begun: bool = False) -> tuple[Tensor, list[Tensor]]:
        skips = []
        for scale, block in enumerate(self.blocks):
            for convolution in block[1:] if begun and scale == 0 else block:
                features = convolution(features)
            skips.append(features)
            features = max_pool(features)
        return features, skips


class FastDecoder:
    """A `Decoder`."""

    def __init__(self, decoder: Decoder, dtype: torch.dtype) -> None:
        self.blocks = [FoldedUp(block, dtype) for block in decoder.blocks]

    def __call__(self, features: Tensor, skips: Sequence[Tensor]) -> Tensor:
        for block, skip in zip(self.blocks, reversed(skips), strict=True):
            features = block(features, skip)
        return features


class FastUNet:
    """A `UNet`."""

    def __init__(self, network: UNet, dtype: torch.dtype) -> None:
        self._encoder = FastEncoder(network.encoder, dtype)
        self._bottleneck = convolutions(network.bottleneck, dtype)
        self._decoder = FastDecoder(network.decoder, dtype)
        self._weight, self._bias = (part.to(dtype) for part in parameters(network.head))

    def __call__(self, images: Tensor) -> Tensor:
        features, skips = self._encoder(images)
        for convolution in self._bottleneck:
            features = convolution(features)
        return functional.conv2d(self._decoder(features, skips), self._weight, self._bias)
