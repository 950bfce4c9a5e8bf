"""The choice of a device, and why."""

import pytest
import torch

from napari_runet.inference.devices import DeviceError, choose_device


def without_gpus(monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    monkeypatch.setattr(torch.backends.mps, "is_available", lambda: False)


def test_auto_without_a_gpu_is_the_cpu_and_says_why(monkeypatch):
    without_gpus(monkeypatch)
    choice = choose_device("auto")
    assert choice.name == "cpu" and choice.reason.startswith("CPU, because ")


@pytest.mark.parametrize("name", ["cuda", "mps"])
def test_a_device_asked_for_by_name_that_is_not_there_is_refused(monkeypatch, name):
    without_gpus(monkeypatch)
    with pytest.raises(DeviceError, match=f"{name.upper()} cannot be used: .* Choose auto or cpu"):
        choose_device(name)


def test_auto_takes_a_gpu_where_there_is_one(monkeypatch):
    without_gpus(monkeypatch)
    monkeypatch.setattr(torch.backends.mps, "is_available", lambda: True)
    assert choose_device("auto").name == "mps"
    assert choose_device("cpu").name == "cpu"


def test_unknown_devices_are_refused():
    with pytest.raises(DeviceError, match="no device called 'tpu'; choose auto, cpu"):
        choose_device("tpu")
