"""The base backend: the recurrent networks on a CPU, by torch as it is installed, without a compiler."""

from collections.abc import Callable, MutableMapping
from typing import TypeGuard

import torch
from torch import Tensor, nn
from torch.nn import functional
from torch.utils.weak import WeakTensorKeyDictionary

from napari_runet.inference.backends.layers import (
    ConvNorm,
    FastDecoder,
    FastEncoder,
    FastUNet,
    Normalisation,
    channels_last,
    convolutions,
    parameters,
    pixel_rows,
)
from napari_runet.networks import IterativeNetwork, State
from napari_runet.networks.blocks import ConvBlock, UNet
from napari_runet.networks.normalisation import GroupNorm
from napari_runet.networks.recurrent_unet import RecurrentUNet
from napari_runet.networks.recurrent_units import DualGatedUnit, SingleGatedUnit


class BaseBackend(IterativeNetwork):
    """DRU(l) or SRU(l), number for number but for rounding, from the weights that it has now.

    What the image alone decides in the first convolution is computed once for all iterations of it.

    Parameters
    ----------
    network
        One that `can_run` is true of.
    dtype
        Of the features: float32, or bfloat16, which processors with AMX are several times faster in, and which costs
        the third digit. Statistics, logits and states are float32.
    """

    def __init__(self, network: RecurrentUNet, dtype: torch.dtype = torch.float32) -> None:
        super().__init__(network.config, network.stride)
        self.network = network
        self.dtype = dtype
        self._unit = _FastUnit(network.unit, dtype)
        self._encoder = FastEncoder(network.encoder, dtype)
        self._decoder = FastDecoder(network.decoder, dtype)
        self._head: tuple[Tensor, Tensor] | None = None
        if network.level > 0:
            weight, bias = parameters(network.head)
            self._head = weight.flatten(1).to(dtype), bias.unsqueeze(1).to(dtype)
            first, channels = self._encoder.blocks[0][0].weight, network.config.in_channels
            self._image_weight, self._mask_weight = (
                channels_last(part) for part in (first[:, :channels], first[:, channels:])
            )
        self._of_images: MutableMapping[Tensor, Tensor] = WeakTensorKeyDictionary()

    @staticmethod
    def can_run(network: IterativeNetwork) -> TypeGuard[RecurrentUNet]:
        """Whether this network is one of those that run here."""
        parameter = next(network.parameters())
        return (
            isinstance(network, RecurrentUNet)
            and network.config.norm == "group"
            and parameter.device.type == "cpu"
            and parameter.dtype == torch.float32
        )

    def initial_hidden(self, images: Tensor) -> Tensor | None:
        return self.network.initial_hidden(images)

    @torch.no_grad()
    def step(self, images: Tensor, state: State) -> tuple[Tensor, State]:
        assert state.hidden is not None
        each = [
            self._step_one(images if len(images) == 1 else images[i : i + 1], s[None], h[None])
            for i, (s, h) in enumerate(zip(state.segmentation, state.hidden, strict=True))
        ]
        logits, hidden = (parts[0] if len(each) == 1 else torch.cat(parts) for parts in zip(*each, strict=True))
        return logits, State(self.fed_back(logits), hidden)

    def _step_one(self, images: Tensor, segmentation: Tensor, hidden: Tensor) -> tuple[Tensor, Tensor]:
        """Logits and hidden state of one image."""
        hidden = channels_last(hidden)
        if self._head is None:
            both = torch.cat([images, segmentation], dim=1).to(self.dtype)
            found, hidden = self._unit(channels_last(both), hidden)
            return found.float(), hidden
        e, skips = self._encoder(self._first(images, segmentation), begun=True)
        features, hidden = self._unit(e, hidden)
        rows = pixel_rows(self._decoder(features, skips))
        weight, bias = self._head
        logits = torch.addmm(bias, weight, rows.t())  # planes, which softmax is faster on
        return logits.float().view(1, -1, *images.shape[2:]), hidden

    def _first(self, images: Tensor, segmentation: Tensor) -> Tensor:
        """The first convolution of the encoder, from its two halves, normalised."""
        block = self._encoder.blocks[0][0]
        part = self._of_images.get(images)
        if part is None:
            part = functional.conv2d(channels_last(images.to(self.dtype)), self._image_weight, block.bias, padding=1)
            self._of_images[images] = part
        mask = channels_last(segmentation.to(self.dtype))
        found = functional.conv2d(mask, self._mask_weight, padding=1).add_(part)
        return block.norm(found, relu=True)


class _FastUnit:
    """The recurrent unit; its equations are those of `DualGatedUnit`."""

    def __init__(self, unit: DualGatedUnit | SingleGatedUnit, dtype: torch.dtype) -> None:
        self._f_z, self._f_h = _body(unit.f_z, dtype), _body(unit.f_h, dtype)
        self._f_r = _body(unit.f_r, dtype) if isinstance(unit, DualGatedUnit) else None
        self._weight, self._bias = (part.to(dtype) for part in parameters(unit.f_s))

    def __call__(self, e: Tensor, h: Tensor) -> tuple[Tensor, Tensor]:
        z = self._f_z(e).sigmoid_()
        read = e if self._f_r is None else self._f_r(e).sigmoid_().mul_(e)
        candidate = self._f_h(read).tanh_()
        h = torch.lerp(candidate.float(), h, z.float())
        return functional.conv2d(h.to(e.dtype), self._weight, self._bias), h


def _body(body: nn.Module, dtype: torch.dtype) -> Callable[[Tensor], Tensor]:
    """``f_z``, ``f_r`` or ``f_h`` from what `unit_body` and `reset_body` make."""
    if isinstance(body, ConvBlock):
        return ConvNorm(body, dtype)
    network, norm = body.children()
    if isinstance(network, ConvBlock):
        first, second = convolutions(body, dtype)
        return lambda features: second(first(features))
    assert isinstance(network, UNet) and isinstance(norm, GroupNorm)
    fast, normalise = FastUNet(network, dtype), Normalisation(norm)
    return lambda features: normalise(channels_last(fast(features)))
