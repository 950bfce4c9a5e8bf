"""The recurrent units of the paper, section 3: the dual-gated (DRU) and the single-gated unit (SRU).

Notation of the paper: ``e`` are the activations at the layer where the recurrence begins, ``h`` the hidden
state, ``z`` the update gate, ``r`` the reset gate, and ``f_*`` networks with parameters of their own.
"""

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from napari_runet.networks.blocks import ConvBlock, NormKind, UNet, norm_layer


def unit_body(in_channels: int, out_channels: int, widths: Sequence[int], norm: NormKind) -> nn.Module:
    """``f_z`` or ``f_h``: the part of the U-Net that the unit replaces, ending in a normalisation.

    Parameters
    ----------
    in_channels, out_channels
        Channels of e, and of what the body gives.
    widths
        Channels of the scales that are replaced, the bottleneck last. At the bottleneck alone (one width)
        the body is two 3x3 convolutions, else a U-Net.
    """
    if len(widths) == 1:
        return nn.Sequential(
            ConvBlock(in_channels, out_channels, norm),
            ConvBlock(out_channels, out_channels, norm, activation=False),
        )
    return nn.Sequential(UNet(in_channels, out_channels, widths, norm), norm_layer(norm, out_channels))


def reset_body(in_channels: int, widths: Sequence[int], norm: NormKind) -> nn.Module:
    """``f_r``: one 3x3 convolution at the bottleneck, the replaced part elsewhere; as many channels as e."""
    if len(widths) == 1:
        return ConvBlock(in_channels, in_channels, norm, activation=False)
    return unit_body(in_channels, in_channels, widths, norm)


class DualGatedUnit(nn.Module):
    """Dual-gated recurrent unit.

    ::

        r   = sigmoid(f_r(e))                 reset gate: masks parts of the candidate's input
        z   = sigmoid(f_z(e))                 update gate
        h^  = tanh(f_h(r * e))                candidate
        h_t = z * h_(t-1) + (1 - z) * h^      hidden state
        out = f_s(h_t)

    Takes e (B, in_channels, y, x) and h (B, hidden_channels, y, x); gives out (B, out_channels, y, x) and h_t.
    """

    def __init__(
        self, in_channels: int, hidden_channels: int, out_channels: int, widths: Sequence[int], norm: NormKind
    ) -> None:
        super().__init__()
        self.f_z = unit_body(in_channels, hidden_channels, widths, norm)
        self.f_r = reset_body(in_channels, widths, norm)
        self.f_h = unit_body(in_channels, hidden_channels, widths, norm)
        self.f_s = nn.Conv2d(hidden_channels, out_channels, kernel_size=1)

    def forward(self, e: Tensor, h: Tensor) -> tuple[Tensor, Tensor]:
        r = torch.sigmoid(self.f_r(e))
        z = torch.sigmoid(self.f_z(e))
        candidate = torch.tanh(self.f_h(r * e))
        h = z * h + (1 - z) * candidate
        return self.f_s(h), h


class SingleGatedUnit(nn.Module):
    """Single-gated recurrent unit: the dual-gated one without the reset gate, ``h^ = tanh(f_h(e))``."""

    def __init__(
        self, in_channels: int, hidden_channels: int, out_channels: int, widths: Sequence[int], norm: NormKind
    ) -> None:
        super().__init__()
        self.f_z = unit_body(in_channels, hidden_channels, widths, norm)
        self.f_h = unit_body(in_channels, hidden_channels, widths, norm)
        self.f_s = nn.Conv2d(hidden_channels, out_channels, kernel_size=1)

    def forward(self, e: Tensor, h: Tensor) -> tuple[Tensor, Tensor]:
        z = torch.sigmoid(self.f_z(e))
        candidate = torch.tanh(self.f_h(e))
        h = z * h + (1 - z) * candidate
        return self.f_s(h), h
