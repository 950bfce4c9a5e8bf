"""The baselines of the paper: plain networks, and the simpler ways to make a U-Net recurrent."""

import torch
from torch import Tensor, nn

from napari_runet.models.card import NetworkConfig
from napari_runet.networks.blocks import POOLINGS, NormKind, UNet, norm_layer, unet_widths
from napari_runet.networks.iterative import IterativeNetwork, State


class PlainNetwork(IterativeNetwork):
    """A network without recurrence: every iteration gives the same answer.

    Parameters
    ----------
    body
        From images (B, in_channels, Y, X) to logits (B, classes, Y, X).
    """

    def __init__(self, config: NetworkConfig, body: nn.Module, stride: int) -> None:
        super().__init__(config, stride)
        self.body = body

    def step(self, images: Tensor, state: State) -> tuple[Tensor, State]:
        logits = self.body(images)
        return logits, State(self.fed_back(logits), None)


class RecSimple(IterativeNetwork):
    """Rec-Simple: a U-Net that reads its last mask beside the image, and remembers nothing else."""

    def __init__(self, config: NetworkConfig) -> None:
        super().__init__(config, stride=2**POOLINGS)
        self.unet = UNet(config.in_channels + config.classes, config.classes, unet_widths(config), config.norm)

    def step(self, images: Tensor, state: State) -> tuple[Tensor, State]:
        logits = self.unet(torch.cat([images, state.segmentation], dim=1))
        return logits, State(self.fed_back(logits), None)


class ConvGRU(nn.Module):
    """Gated recurrent unit of 1x1 convolutions, each with a normalisation.

    ::

        z   = sigmoid(W_z [e, h])
        r   = sigmoid(W_r [e, h])
        h^  = tanh(W_h [e, r * h])
        h_t = z * h_(t-1) + (1 - z) * h^
    """

    def __init__(self, in_channels: int, hidden_channels: int, norm: NormKind) -> None:
        super().__init__()

        def projection() -> nn.Module:
            convolution = nn.Conv2d(in_channels + hidden_channels, hidden_channels, kernel_size=1)
            return nn.Sequential(convolution, norm_layer(norm, hidden_channels))

        self.w_z, self.w_r, self.w_h = projection(), projection(), projection()

    def forward(self, e: Tensor, h: Tensor) -> Tensor:
        both = torch.cat([e, h], dim=1)
        z = torch.sigmoid(self.w_z(both))
        r = torch.sigmoid(self.w_r(both))
        candidate = torch.tanh(self.w_h(torch.cat([e, r * h], dim=1)))
        return z * h + (1 - z) * candidate


class RecLast(IterativeNetwork):
    """Rec-Last: a U-Net, and a recurrent unit on its last features; `hidden_channels` wide."""

    def __init__(self, config: NetworkConfig) -> None:
        super().__init__(config, stride=2**POOLINGS)
        unet = UNet(config.in_channels, config.classes, unet_widths(config), config.norm)
        self.encoder, self.bottleneck, self.decoder = unet.encoder, unet.bottleneck, unet.decoder
        self.gru = ConvGRU(config.base_channels, config.hidden_channels, config.norm)
        self.head = nn.Conv2d(config.hidden_channels, config.classes, kernel_size=1)

    def initial_hidden(self, images: Tensor) -> Tensor:
        batch, _, height, width = images.shape
        return images.new_full((batch, self.config.hidden_channels, height, width), self.config.initial_hidden)

    def step(self, images: Tensor, state: State) -> tuple[Tensor, State]:
        features, skips = self.encoder(images)
        features = self.decoder(self.bottleneck(features), skips)
        hidden = self.gru(features, state.hidden)
        logits = self.head(hidden)
        return logits, State(self.fed_back(logits), hidden)


class RecMiddle(IterativeNetwork):
    """Rec-Middle: a U-Net with a recurrent unit after its bottleneck; `hidden_channels` wide."""

    def __init__(self, config: NetworkConfig) -> None:
        super().__init__(config, stride=2**POOLINGS)
        widths = unet_widths(config)
        self.unet = UNet(config.in_channels, config.classes, widths, config.norm)
        self.gru = ConvGRU(widths[-1], config.hidden_channels, config.norm)
        self.output = nn.Conv2d(config.hidden_channels, widths[-1], kernel_size=1)

    def initial_hidden(self, images: Tensor) -> Tensor:
        batch, _, height, width = images.shape
        size = (batch, self.config.hidden_channels, height >> POOLINGS, width >> POOLINGS)
        return images.new_full(size, self.config.initial_hidden)

    def step(self, images: Tensor, state: State) -> tuple[Tensor, State]:
        features, skips = self.unet.encoder(images)
        hidden = self.gru(self.unet.bottleneck(features), state.hidden)
        logits = self.unet.head(self.unet.decoder(self.output(hidden), skips))
        return logits, State(self.fed_back(logits), hidden)
