"""From a name or a config to a network."""

import re
from typing import Any

from napari_runet.models.card import NetworkConfig
from napari_runet.networks.iterative import IterativeNetwork
from napari_runet.networks.recurrent_units import DualGatedUnit, SingleGatedUnit
from napari_runet.networks.recurrent_unet import RecurrentUNet
from napari_runet.networks.unet import PlainUNet

NETWORK_NAMES = (*(f"{unit}-{level}" for unit in ("dru", "sru") for level in range(5)), "unet-g", "unet-b")


def build(name_or_config: str | NetworkConfig, **options: Any) -> IterativeNetwork:
    """Build a network with random weights.

    Parameters
    ----------
    name_or_config
        One of `NETWORK_NAMES`, or a config.
    options
        Fields of `NetworkConfig` (``in_channels``, ``classes``, ...) where a name is given, or to change in a config.

    Raises
    ------
    ValueError
        When there is no network of this name, or an option is out of its range.
    """
    config = name_or_config if isinstance(name_or_config, NetworkConfig) else NetworkConfig(name=name_or_config)
    if config.name == "unet-b":
        options = {"norm": "batch", **options}
    config = NetworkConfig.model_validate({**config.model_dump(), **options})
    if match := re.fullmatch(r"(dru|sru)-([0-4])", config.name):
        unit = DualGatedUnit if match[1] == "dru" else SingleGatedUnit
        return RecurrentUNet(config, int(match[2]), unit)
    if config.name in ("unet-g", "unet-b"):
        return PlainUNet(config)
    raise ValueError(f"There is no network called {config.name!r}; there are {', '.join(NETWORK_NAMES)}.")
