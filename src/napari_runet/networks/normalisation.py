"""Group normalisation that is fast and exact in the memory layout that convolutions are fastest in."""

from math import gcd
from typing import Any

import torch
from torch import Tensor, nn
from torch.autograd.function import once_differentiable

_LANES = 128
_COLUMNS = 1024


class GroupNorm(nn.GroupNorm):
    """`torch.nn.GroupNorm`; on a CPU and channels_last it takes a quarter of the time, and keeps all digits.

    There torch adds up squares in float32, which cost logits of real photographs up to 0.05, and computes the gradient
    channel by channel, at strides. Here both are a few passes along the memory.
    """

    def forward(self, features: Tensor) -> Tensor:
        if (
            features.device.type == "cpu"
            and features.dim() == 4
            and features.dtype in (torch.float32, torch.float64, torch.bfloat16)
            and features.is_contiguous(memory_format=torch.channels_last)
        ):
            normalised: Tensor = _ChannelsLast.apply(  # type: ignore[no-untyped-call]
                features, self.weight, self.bias, self.num_groups, self.eps
            )
            return normalised
        return super().forward(features)


def moments(features: Tensor, groups: int) -> tuple[Tensor, Tensor]:
    """Mean and variance of each image's groups of channels, (B, groups), of (B, C, Y, X) in channels_last.

    They are taken in two passes, of columns j that hold several pixels side by side: vector instructions are full, and
    sums are short. Columns are then put together::

        mean = mean_j m_j,    variance = mean_j v_j + variance_j m_j
    """
    batch, channels, height, width = features.shape
    pixels = gcd(height * width, max(1, _COLUMNS // channels))
    rows = _rows(features, pixels)
    # running statistics of float32 make those of bfloat16 features float32
    unused = torch.zeros(pixels * channels) if features.dtype == torch.bfloat16 else None
    found = [torch.batch_norm_update_stats(image, unused, unused, 0.0) for image in rows]
    means, variances = (torch.stack(parts).view(batch, pixels, groups, -1) for parts in zip(*found, strict=True))
    spread, mean = torch.var_mean(means, (1, 3), correction=0)
    return mean, variances.mean((1, 3)).add_(spread)


class _ChannelsLast(torch.autograd.Function):
    """Group normalisation of (B, C, Y, X) that lies in memory as (B, Y, X, C).

    With x^ = (x - mean) rstd, mean and rstd of a group of n numbers, y = weight x^ + bias and g = dL/dy::

        dL/dx    = rstd (weight g - sum(weight g) / n - x^ sum(weight g x^) / n)      sums over the group
                 = scale g + slope x + offset                                         as one number a channel each
        dL/dweight = sum(g x^),  dL/dbias = sum(g)                                    sums over images and pixels
    """

    @staticmethod
    def forward(ctx: Any, features: Tensor, weight: Tensor, bias: Tensor, groups: int, eps: float) -> Tensor:
        batch, channels, height, width = features.shape
        mean, variance = moments(features, groups)
        rstd = variance.add_(eps).rsqrt_()
        ctx.save_for_backward(features, weight, mean, rstd)
        scale = (weight.view(groups, -1) * rstd.unsqueeze(2)).view(batch, 1, channels)
        shift = (bias.view(groups, -1) - scale.view(batch, groups, -1) * mean.unsqueeze(2)).view(batch, 1, channels)
        pixels = gcd(height * width, max(1, _LANES // channels))
        scale, shift = (part.to(features.dtype).repeat(1, 1, pixels) for part in (scale, shift))
        normalised = torch.empty_like(features)  # and not a view, which autograd would not let be changed in place
        torch.addcmul(shift, _rows(features, pixels), scale, out=_rows(normalised, pixels))
        return normalised

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor | None, ...]:
        features, weight, mean, rstd = ctx.saved_tensors
        batch, channels, height, width = features.shape
        members = channels // mean.shape[1]
        count = members * height * width
        mean, rstd = (part.repeat_interleave(members, 1) for part in (mean, rstd))
        sum_normal, sum_g = _sums(gradient, features, mean, rstd)

        def of_groups(each: Tensor) -> Tensor:
            """Sum over a group's channels, for each of its channels, (B, C)."""
            return each.view(batch, -1, members).sum(2).repeat_interleave(members, 1)

        slope = -of_groups(weight * sum_normal) * rstd**2 / count
        offset = -of_groups(weight * sum_g) * rstd / count - slope * mean
        # several pixels side by side, so that a row is as long as vector instructions like it
        pixels = gcd(height * width, max(1, _LANES // channels))
        g, x = (_rows(part, pixels) for part in (gradient, features))
        scale, slope, offset = (
            part.to(features.dtype).repeat(1, pixels).unsqueeze(1) for part in (weight * rstd, slope, offset)
        )
        result = torch.addcmul(offset, g, scale).addcmul_(x, slope)
        result = result.view(batch, height, width, channels).permute(0, 3, 1, 2)
        return result, sum_normal.sum(0), sum_g.sum(0), None, None


def _sums(gradient: Tensor, features: Tensor, mean: Tensor, rstd: Tensor) -> tuple[Tensor, Tensor]:
    """Sums over the pixels of g x^ and of g, (B, C) each, given mean and rstd of each channel, (B, C).

    Taken of columns that hold several pixels side by side, in one pass: that of batch normalisation.
    """
    batch, channels, height, width = features.shape
    pixels = gcd(height * width, max(1, _COLUMNS // channels))
    columns = (part.repeat(1, pixels) for part in (mean, rstd))
    each = zip(_rows(gradient, pixels), _rows(features, pixels), *columns, strict=True)
    found = [
        torch.ops.aten.native_batch_norm_backward(g, x, None, None, None, m, r, True, 0.0, [False, True, True])[1:]
        for g, x, m, r in each
    ]
    sum_normal, sum_g = (torch.stack(parts).view(batch, pixels, channels).sum(1) for parts in zip(*found, strict=True))
    return sum_normal, sum_g


def _rows(features: Tensor, pixels: int) -> Tensor:
    """(B, C, Y, X) as (B, Y X / pixels, pixels C), without a copy where it is channels_last."""
    in_order = features.contiguous(memory_format=torch.channels_last).permute(0, 2, 3, 1)
    return in_order.reshape(features.shape[0], -1, pixels * features.shape[1])
