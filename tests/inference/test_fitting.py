"""Memory that does not suffice, and GPUs that go."""

import copy
from dataclasses import replace

import numpy as np
import pytest
import torch
from test_iterations import tiny_model

from napari_runet.images.image_input import ImageInput
from napari_runet.inference import fitting
from napari_runet.inference.backends import choosing
from napari_runet.inference.blocks import at_once
from napari_runet.inference.devices import DeviceChoice
from napari_runet.inference.fitting import bytes_a_pixel, fitting_tile
from napari_runet.inference.segmenter import LoadedModel, iterate, ready
from napari_runet.settings import SegmentationSettings

GPU = DeviceChoice("cuda", "A GPU that is none.")
LOST = "CUDA error: unspecified launch failure"
SETTINGS = SegmentationSettings(iterations=3, rescale=False, tile_size=600)


class Failing:
    """Runs a network, and raises an error for tiles with more pixels than `most`, from the `first` step on."""

    def __init__(self, network, error, most, first=0):
        self.network, self.error, self.most, self.first = network, error, most, first
        self.config, self.stride = network.config, network.stride
        self.parameters, self.initial_state, self.initial_hidden = (
            network.parameters, network.initial_state, network.initial_hidden
        )  # fmt: skip
        self.sizes = []

    def step(self, images, state):
        self.sizes.append(images.shape[2:])
        if len(self.sizes) > self.first and images.shape[2] * images.shape[3] > self.most:
            raise self.error
        return self.network.step(images, state)


@pytest.fixture(autouse=True)
def much_memory(monkeypatch):
    monkeypatch.setattr(fitting, "free_memory", lambda: 1 << 40)


@pytest.fixture(scope="module")
def image():
    return ImageInput.from_array(np.random.default_rng(0).integers(0, 256, (600, 520, 3), dtype=np.uint8))


def model_on(device, error, most, first=0):
    card, network = tiny_model()
    spare = copy.deepcopy(network)
    return LoadedModel(card, network, device, Failing(network, error, most, first), spare)


def run(image, model, **changes):
    return list(iterate(image, model, SETTINGS.model_copy(update=changes)))


@pytest.mark.parametrize(
    ("error", "where"),
    [
        (torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2 GiB"), "graphics card"),
        (RuntimeError("[enforce fail at alloc_cpu.cpp:124] DefaultCPUAllocator: can't allocate memory"), "computer"),
        (MemoryError(), "computer"),
    ],
)
def test_tiles_become_smaller_where_memory_does_not_suffice(image, error, where):
    model = model_on(GPU if where == "graphics card" else DeviceChoice("cpu", ""), error, 320 * 320)
    with pytest.warns(UserWarning, match=f"The {where} has too little free memory, so tiles of 288 pixels"):
        steps = run(image, model)
    assert [step.number for step in steps] == [1, 2, 3]
    assert {step.device for step in steps} == {model.device.name}
    asked = run(image, replace(model, backend=None, device=DeviceChoice("cpu", "")), tile_size=288)
    for found, expected in zip(steps, asked, strict=True):
        np.testing.assert_array_equal(found.foreground, expected.foreground)


def test_an_iteration_that_was_told_is_not_told_again(image):
    model = model_on(GPU, torch.OutOfMemoryError("CUDA out of memory"), 320 * 320, first=2)
    with pytest.warns(UserWarning, match="tiles of 288"):
        steps = run(image, model)
    assert [(step.number, bool(step.notice)) for step in steps] == [(1, False), (2, False), (3, True)]


@pytest.mark.parametrize(
    ("error", "sentence"),
    [
        (torch.OutOfMemoryError("CUDA out of memory"), "The graphics card has too little free memory, so the CPU"),
        (RuntimeError(LOST), "The graphics card stopped answering, so the CPU"),
    ],
)
def test_the_cpu_takes_over(image, error, sentence):
    model = model_on(GPU, error, 0, first=4)
    with pytest.warns(UserWarning, match=sentence):
        steps = run(image, model, tile_size=256)
    assert steps[-1].device == "cpu" and [step.number for step in steps] == [1, 2, 3]


def test_the_cpu_computes_in_the_precision_that_was_asked_for(monkeypatch):
    monkeypatch.setattr(choosing, "has_fast_bfloat16", lambda: True)
    for asked, dtype in (("float32", torch.float32), ("auto", torch.bfloat16)):
        model = replace(ready(*tiny_model(), DeviceChoice("cpu", ""), asked), device=GPU)
        assert model.on_cpu("It is gone.").runner.dtype == dtype


def test_what_the_cpu_computes_is_right(image):
    model = model_on(GPU, RuntimeError(LOST), 0)
    with pytest.warns(UserWarning):
        steps = run(image, model)
    card, network = tiny_model()
    for found, expected in zip(steps, run(image, ready(card, network, DeviceChoice("cpu", ""))), strict=True):
        np.testing.assert_array_equal(found.foreground, expected.foreground)


@pytest.mark.parametrize("error", [MemoryError("too much"), RuntimeError("something else"), RuntimeError(LOST)])
def test_an_error_that_nothing_helps_against_is_told(image, error):
    with pytest.raises(type(error), match=str(error)):
        run(image, model_on(DeviceChoice("cpu", ""), error, 0))


@pytest.mark.parametrize(("free", "tile"), [(None, 1024), (1 << 40, 1024), (300 << 20, 640), (0, 256)])
def test_tiles_are_as_large_as_half_of_the_free_memory_holds(monkeypatch, free, tile):
    monkeypatch.setattr(fitting, "free_memory", lambda: free)
    card, network = tiny_model()
    config = network.config.model_copy(update={"base_channels": 8})
    assert fitting_tile(config, 1024) == tile
    model = LoadedModel(card.model_copy(update={"network": config}), network, DeviceChoice("cpu", ""))
    assert (at_once(model) == 1) == (free in (0, 300 << 20) or torch.get_num_threads() == 1)


def test_little_memory_is_told_and_a_small_image_is_left_alone(monkeypatch, image):
    monkeypatch.setattr(fitting, "free_memory", lambda: 0)
    card, network = tiny_model()
    model = LoadedModel(card, network, DeviceChoice("cpu", ""))
    with pytest.warns(UserWarning, match="Little memory is free, so tiles of 256 pixels"):
        run(image, model)
    small = ImageInput.from_array(np.zeros((200, 250, 3), np.uint8) + np.arange(3, dtype=np.uint8))
    assert {step.notice for step in run(small, model)} == {""}


def test_networks_that_recur_at_full_size_count_for_more():
    deep, full = (tiny_model(name=name)[1].config for name in ("dru-4", "dru-0"))
    assert bytes_a_pixel(full) > 2 * bytes_a_pixel(deep)
