"""The networks of the paper, as code that reads like its figures."""

from napari_runet.networks.build import NETWORK_NAMES, build
from napari_runet.networks.iterative import IterativeNetwork, Pins, State

__all__ = ["NETWORK_NAMES", "IterativeNetwork", "Pins", "State", "build"]
