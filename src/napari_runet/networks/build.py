"""From a name or a config to a network."""

from collections.abc import Callable
from functools import partial
from typing import Any

from napari_runet.models.card import NetworkConfig
from napari_runet.networks.backbones import VGG16, ResNet50
from napari_runet.networks.baselines import PlainNetwork, RecLast, RecMiddle, RecSimple
from napari_runet.networks.blocks import POOLINGS, UNet, unet_widths
from napari_runet.networks.heavy import DeepLabV3Plus, EncoderUNet, RecurrentEncoderUNet, RefineNet
from napari_runet.networks.iterative import IterativeNetwork
from napari_runet.networks.recurrent_unet import RecurrentUNet
from napari_runet.networks.recurrent_units import DualGatedUnit, SingleGatedUnit


def _plain_unet(config: NetworkConfig) -> IterativeNetwork:
    body = UNet(config.in_channels, config.classes, unet_widths(config), config.norm)
    return PlainNetwork(config, body, stride=2**POOLINGS)


def _encoder_unet(config: NetworkConfig, encoder: type[VGG16] | type[ResNet50]) -> IterativeNetwork:
    body = EncoderUNet(encoder(config.in_channels), config.classes)
    return PlainNetwork(config, body, body.stride)


def _rival(config: NetworkConfig, body: type[DeepLabV3Plus] | type[RefineNet]) -> IterativeNetwork:
    return PlainNetwork(config, body(config.in_channels, config.classes), stride=32)


_BUILDERS: dict[str, Callable[[NetworkConfig], IterativeNetwork]] = {
    **{f"dru-{level}": partial(RecurrentUNet, level=level, unit=DualGatedUnit) for level in range(5)},
    **{f"sru-{level}": partial(RecurrentUNet, level=level, unit=SingleGatedUnit) for level in range(5)},
    "unet-g": _plain_unet,
    "unet-b": _plain_unet,
    "rec-last": RecLast,
    "rec-middle": RecMiddle,
    "rec-simple": RecSimple,
    "unet-vgg16": partial(_encoder_unet, encoder=VGG16),
    "dru-vgg16": partial(RecurrentEncoderUNet, encoder=VGG16),
    "unet-resnet50": partial(_encoder_unet, encoder=ResNet50),
    "dru-resnet50": partial(RecurrentEncoderUNet, encoder=ResNet50),
    "deeplabv3plus-resnet50": partial(_rival, body=DeepLabV3Plus),
    "refinenet-resnet50": partial(_rival, body=RefineNet),
}
NETWORK_NAMES = tuple(_BUILDERS)


def build(name_or_config: str | NetworkConfig, **options: Any) -> IterativeNetwork:
    """Build a network with random weights.

    Parameters
    ----------
    name_or_config
        One of `NETWORK_NAMES`, or a config.
    options
        Fields of `NetworkConfig` (``in_channels``, ``classes``, ...) that differ from its defaults, or from `config`.

    Raises
    ------
    ValueError
        When there is no network of this name, or an option is out of its range.
    """
    config = name_or_config if isinstance(name_or_config, NetworkConfig) else NetworkConfig(name=name_or_config)
    config = NetworkConfig.model_validate({**config.model_dump(), **options})
    if config.name not in _BUILDERS:
        raise ValueError(f"There is no network called {config.name!r}; there are {', '.join(NETWORK_NAMES)}.")
    return _BUILDERS[config.name](config)
