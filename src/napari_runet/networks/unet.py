"""U-Net-G and U-Net-B, the paper's baselines without recurrence."""

from torch import Tensor

from napari_runet.models.card import NetworkConfig
from napari_runet.networks.blocks import UNet
from napari_runet.networks.iterative import IterativeNetwork, State

POOLINGS = 4


class PlainUNet(IterativeNetwork):
    """A U-Net; every iteration gives the same answer."""

    def __init__(self, config: NetworkConfig) -> None:
        super().__init__(config, stride=2**POOLINGS)
        widths = [config.base_channels * 2**i for i in range(POOLINGS + 1)]
        self.unet = UNet(config.in_channels, config.classes, widths, config.norm)

    def step(self, images: Tensor, state: State) -> tuple[Tensor, State]:
        logits = self.unet(images)
        return logits, State(self.fed_back(logits), None)
