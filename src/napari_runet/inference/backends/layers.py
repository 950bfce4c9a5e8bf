"""The layers of a U-Net for one image on a CPU, each in the way that takes torch the least time.

All features are (1, C, Y, X) that lie in memory as (Y, X, C), float32 or bfloat16, sizes a power of two's multiple as
the network pads them. What a convolution gives is normalised and cut off in place, since nobody else has it.
"""

from collections.abc import Sequence
from math import gcd

import torch
from torch import Tensor, nn
from torch.nn import functional

from napari_runet.networks.blocks import ConvBlock, Decoder, Encoder, UNet, UpBlock
from napari_runet.networks.normalisation import GroupNorm, moments

_LANES = 128
_MANY_CHANNELS = 16
_ENDS = ((0, 0), (2, -1))
"""First and last of three, and where they are in an image."""


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
    """Group normalisation, in place."""

    def __init__(self, norm: GroupNorm) -> None:
        self._weight = norm.weight.detach().view(norm.num_groups, -1)
        self._bias = norm.bias.detach().view(norm.num_groups, -1)
        self._eps = norm.eps

    def __call__(self, features: Tensor, *, relu: bool = False) -> Tensor:
        _, channels, height, width = features.shape
        mean, variance = moments(features, len(self._weight))
        scale = variance.add_(self._eps).rsqrt_().t() * self._weight
        shift = torch.addcmul(self._bias, mean.t(), scale, value=-1)
        pixels = gcd(height * width, max(1, _LANES // channels))
        scale, shift = (part.view(-1).to(features.dtype).repeat(pixels) for part in (scale, shift))
        rows = pixel_rows(features, pixels)
        torch.addcmul(shift, rows, scale, out=rows)
        if relu:
            ordered(features).clamp_min_(0)
        return features


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

    Nothing lies between the two but zeros around the image, so that their product is a 2x2 convolution on the coarse
    pixels for each of the four fine pixels in one::

        fine row 2y     reads coarse rows y - 1, y          fine column 2x      reads coarse columns x - 1, x
        fine row 2y + 1 reads coarse rows y, y + 1          fine column 2x + 1  reads coarse columns x, x + 1

    Fewer multiplications, nothing to concatenate, and no upsampled features to write and to read again. Pixels of few
    channels are slow to put in their places one by one: then the two fine columns come from one 2x3 convolution, side
    by side as they lie in memory.
    """

    def __init__(self, block: nn.Module, dtype: torch.dtype) -> None:
        assert isinstance(block, UpBlock)
        first, second = block.conv.children()
        assert isinstance(first, ConvBlock) and isinstance(first[1], GroupNorm)
        (both, bias), (up, up_bias) = parameters(first[0]), parameters(block.up)
        up = up.double()
        skip, upper = both.double().chunk(2, dim=1)
        self._skip_weight = channels_last(skip.to(dtype))
        kernels = [[_folded(up, upper, row, column) for column in (0, 1)] for row in (0, 1)]
        self._in_pairs = len(upper) < _MANY_CHANNELS
        if self._in_pairs:
            pairs = [[functional.pad(each, (x, 1 - x)) for x, each in enumerate(row)] for row in kernels]
            self._kernels = [channels_last(torch.cat(row).to(dtype)) for row in pairs]
        else:
            self._kernels = [channels_last(torch.cat(kernels[0] + kernels[1]).to(dtype))]
        # the transposed convolution's bias is missing beyond the border
        offset = up_bias.double()[None, :, None, None].expand(-1, -1, 3, 3)
        edges = functional.conv2d(offset, upper, padding=1)[0]
        self._bias = (bias + edges[:, 1, 1]).to(dtype)
        edges = (edges - edges[:, 1:2, 1:2]).to(dtype)
        self._sides = [(y, edges[:, row, 1, None], edges[:, 1, row, None]) for row, y in _ENDS]
        self._corners = [
            (y, x, edges[:, row, column] - edges[:, row, 1] - edges[:, 1, column])
            for row, y in _ENDS
            for column, x in _ENDS
        ]
        self._norm = Normalisation(first[1])
        self._second = ConvNorm(second, dtype)

    def __call__(self, features: Tensor, skip: Tensor) -> Tensor:
        found = functional.conv2d(skip, self._skip_weight, self._bias, padding=1)
        _, _, height, width = features.shape
        parts = [functional.conv2d(features, kernel, padding=1).permute(0, 2, 3, 1)[0] for kernel in self._kernels]
        pixels = found.permute(0, 2, 3, 1).view(height, 2, width, 2, -1)
        for row in (0, 1):
            if self._in_pairs:
                pixels[:, row].view(height, -1).add_(parts[row][row : row + height].reshape(height, -1))
                continue
            for column in (0, 1):
                fine = parts[0].view(height + 1, width + 1, 2, 2, -1)[:, :, row, column]
                pixels[:, row, :, column] += fine[row : row + height, column : column + width]
        self._mend_edges(found)
        return self._second(self._norm(found, relu=True))

    def _mend_edges(self, found: Tensor) -> None:
        (image,) = found
        for end, of_row, of_column in self._sides:
            image[:, end] += of_row
            image[:, :, end] += of_column
        for y, x, of_corner in self._corners:
            image[:, y, x] += of_corner


def _folded(up: Tensor, weight: Tensor, row: int, column: int) -> Tensor:
    """The kernel (outputs, inputs, 2, 2) on coarse pixels of the fine pixel in a row and column of the four.

    `up` is (inputs, C, 2, 2), that of the transposed convolution; `weight` is (outputs, C, 3, 3).
    """
    kernel = weight.new_zeros(weight.shape[0], up.shape[0], 2, 2)
    for y in range(3):
        for x in range(3):
            below, right = row + y - 1, column + x - 1
            part = torch.einsum("oc,ic->oi", weight[:, :, y, x], up[:, :, below % 2, right % 2])
            kernel[:, :, below // 2 + 1 - row, right // 2 + 1 - column] += part
    return kernel


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
