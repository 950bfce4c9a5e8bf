"""What there is to know about this installation when something does not work."""

import os
import platform
import sys
from importlib.metadata import PackageNotFoundError, version

import torch

from napari_runet.inference.backends.choosing import has_fast_bfloat16
from napari_runet.inference.devices import DeviceError, choose_device
from napari_runet.models.store import ModelStore, shipped_folder

PACKAGES = ("napari-runet", "napari", "torch", "numpy", "scipy", "scikit-image", "tifffile", "safetensors", "pydantic")


def diagnosis() -> list[tuple[str, str]]:
    """Name and value of each fact, in the order of reading."""
    facts = [("Python", f"{sys.version.split()[0]} ({sys.executable})"), ("System", platform.platform())]
    facts += [(name, _version(name)) for name in (*PACKAGES, "PyQt6", "PySide6")]
    facts.append(("Processors", f"{os.cpu_count()}"))
    facts.append(("Threads", f"{torch.get_num_threads()} (torch)"))
    facts.append(("Precision", _precision()))
    auto = choose_device("auto")
    facts.append(("Device", f"{auto.name}: {auto.reason}"))
    try:
        facts.append(("CUDA", choose_device("cuda").reason))
    except DeviceError as error:
        facts.append(("CUDA", str(error)))
    try:
        facts.append(("MPS", choose_device("mps").reason))
    except DeviceError as error:
        facts.append(("MPS", str(error)))
    store = ModelStore()
    facts.append(("Shipped models", str(shipped_folder())))
    facts.append(("Your models", str(store.user)))
    facts.append(("Models", ", ".join(model.card.id for model in store.models()) or "none"))
    return facts + [("Problem", problem) for problem in store.problems()]


def _precision() -> str:
    """What a CPU computes in, and why."""
    if has_fast_bfloat16():
        return "bfloat16 on the CPU, because it has AMX or AVX512-BF16; --precision float32 for all digits"
    return "float32 on the CPU, because it has no instructions for bfloat16"


def _version(package: str) -> str:
    try:
        return version(package)
    except PackageNotFoundError:
        return "not installed"
