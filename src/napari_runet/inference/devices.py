"""Which device a network runs on, and why."""

from dataclasses import dataclass
from typing import get_args

import torch

from napari_runet.settings import DeviceName


class DeviceError(ValueError):
    """The device asked for is not there; the message says why."""


@dataclass(frozen=True, slots=True)
class DeviceChoice:
    """The device chosen, and a sentence that says why."""

    name: str
    reason: str


def choose_device(wanted: DeviceName) -> DeviceChoice:
    """Choose a device; ``auto`` takes CUDA, then MPS, then the CPU.

    Raises
    ------
    DeviceError
        When a device is asked for by name and cannot be used.
    """
    if wanted not in get_args(DeviceName):
        raise DeviceError(f"There is no device called {wanted!r}; choose {', '.join(get_args(DeviceName))}.")
    if wanted == "cpu":
        return DeviceChoice("cpu", "CPU, as asked.")
    cuda, mps = _why_no_cuda(), _why_no_mps()
    for name, missing in (("cuda", cuda), ("mps", mps)):
        if wanted == name and missing:
            raise DeviceError(f"{name.upper()} cannot be used: {missing} Choose auto or cpu.")
        if wanted in (name, "auto") and not missing:
            described = torch.cuda.get_device_name() if name == "cuda" else "Apple GPU"
            return DeviceChoice(name, f"{described}.")
    return DeviceChoice("cpu", f"CPU, because {cuda[0].lower()}{cuda[1:]}")


def _why_no_cuda() -> str:
    """Why CUDA cannot be used, empty when it can."""
    if torch.cuda.is_available():
        return ""
    if torch.version.cuda is None:
        return "This build of torch has no CUDA support."
    return "No NVIDIA GPU was found, or its driver is missing or too old."


def _why_no_mps() -> str:
    if torch.backends.mps.is_available():
        return ""
    return "This is no Mac with an Apple GPU, or torch was built without support for it."
