"""The Recurrent U-Net: DRU(l) and SRU(l), figure 2 of the paper."""

import torch
from torch import Tensor, nn

from napari_runet.models.card import NetworkConfig
from napari_runet.networks.blocks import POOLINGS, Decoder, Encoder, unet_widths
from napari_runet.networks.iterative import IterativeNetwork, State
from napari_runet.networks.recurrent_units import DualGatedUnit, SingleGatedUnit


class RecurrentUNet(IterativeNetwork):
    """A U-Net whose part below the l-th pooling is a recurrent unit, and which reads its own last mask.

    Iteration t, with image x, mask s and hidden state h::

        e_t       = encoder(cat[x, s_(t-1)])     down to the l-th pooling
        u_t, h_t  = unit(e_t, h_(t-1))
        logits_t  = head(decoder(u_t))           l up-blocks
        s_t       = softmax(logits_t)

    With l = 0 the unit wraps the whole network and there is no encoder, decoder or head besides it.

    Parameters
    ----------
    config
        Channels, classes and initial values.
    level
        l, 0 to 4.
    unit
        `DualGatedUnit` for DRU, `SingleGatedUnit` for SRU.
    """

    def __init__(self, config: NetworkConfig, level: int, unit: type[DualGatedUnit] | type[SingleGatedUnit]) -> None:
        super().__init__(config, stride=2**POOLINGS)
        self.level = level
        widths = unet_widths(config)
        inputs = config.in_channels + config.classes
        unit_inputs = widths[level - 1] if level else inputs
        unit_outputs = widths[level] if level else config.classes
        self.encoder = Encoder(inputs, widths[:level], config.norm)
        self.unit = unit(unit_inputs, config.hidden_channels, unit_outputs, widths[level:], config.norm)
        self.decoder = Decoder(widths[:level], config.norm)
        self.head = nn.Conv2d(widths[0], config.classes, kernel_size=1) if level else nn.Identity()

    def initial_hidden(self, images: Tensor) -> Tensor:
        batch, _, height, width = images.shape
        size = (batch, self.config.hidden_channels, height >> self.level, width >> self.level)
        return images.new_full(size, self.config.initial_hidden)

    def step(self, images: Tensor, state: State) -> tuple[Tensor, State]:
        e, skips = self.encoder(torch.cat([images, state.segmentation], dim=1))
        features, hidden = self.unit(e, state.hidden)
        logits = self.head(self.decoder(features, skips))
        return logits, State(self.fed_back(logits), hidden)
