"""The base backend gives the logits of the readable network."""

import copy
import gc
import weakref
from dataclasses import replace

import numpy as np
import pytest
import torch
from PIL import Image

import napari_runet
from napari_runet.images.image_input import ImageInput
from napari_runet.images.normalisation import measure_range, normalise
from napari_runet.inference.backends import choosing
from napari_runet.inference.backends.allocator import keep_memory
from napari_runet.inference.backends.base import BaseBackend
from napari_runet.inference.backends.choosing import BackendError, accelerated
from napari_runet.inference.doctor import diagnosis
from napari_runet.inference.segmenter import segment
from napari_runet.networks import Pins, State, build
from real_data import real_data

FAMILY = [f"{unit}-{level}" for unit in ("dru", "sru") for level in range(5)]


def random_network(name, **options):
    """With biases, which a fresh network has none of in its normalisations."""
    torch.manual_seed(0)
    network = build(name, base_channels=4, hidden_channels=8, **options).eval()
    with torch.no_grad():
        for parameter in network.parameters():
            if parameter.dim() == 1:
                parameter.normal_()
    return network.requires_grad_(False)


def photograph(task, number, size):
    """Part of a real photograph as network input, (1, 3, Y, X)."""
    path = sorted((real_data(task) / "val" / "images").iterdir())[number]
    image = np.asarray(Image.open(path).convert("RGB"))
    intensities = measure_range(ImageInput.from_array(image), (), 0.5, 99.5, per_channel=True)
    rows, columns = size
    pixels = normalise(image, intensities)[60 : 60 + rows, 60 : 60 + columns]
    return torch.from_numpy(np.ascontiguousarray(pixels, np.float32)).permute(2, 0, 1)[None]


def compare(found, expected, atol=1e-4):
    for one, other in zip(found, expected, strict=True):
        torch.testing.assert_close(one.double(), other.double(), rtol=0, atol=atol)


@pytest.mark.parametrize("task", ["retina", "roads", "hands"])
@pytest.mark.parametrize("size", [(1, 1), (17, 33), (161, 96), (230, 180)])
def test_shipped_models_on_photographs_through_ten_iterations(task, size):
    network = napari_runet.load_model(task, "cpu").network
    exact = build(network.config).double().eval().requires_grad_(False)
    exact.load_state_dict(network.state_dict())
    pixels = photograph(task, 3, size)
    found, expected = BaseBackend(network)(pixels, 10), exact(pixels.double(), 10)
    compare(found[:3], expected[:3])
    compare(found[3:], expected[3:], 5e-4)  # what is fed back amplifies rounding, in torch's own float32 as much


@pytest.mark.parametrize("name", FAMILY)
@pytest.mark.parametrize("feedback", ["probabilities", "logits"])
def test_every_recurrent_network_in_batches_from_any_state(name, feedback):
    network = random_network(name, in_channels=2, classes=3, feedback=feedback)
    images = torch.rand(2, 2, 48, 64)
    begin = network.initial_state(images)
    begin = State(torch.rand_like(begin.segmentation), torch.rand_like(begin.hidden))
    pins = Pins(torch.rand(2, 1, 48, 64) < 0.1, torch.rand(2, 3, 48, 64))
    exact = copy.deepcopy(network).double()  # float32 is off by as much itself, by more where logits are fed back
    for state, pinned in ((network.initial_state(images), None), (begin, None), (begin, pins)):
        as_exact = State(state.segmentation.double(), state.hidden.double())
        pinned_exactly = pinned and Pins(pinned.where, pinned.segmentation.double())
        expected = exact.iterate_from(images.double(), as_exact, 3, pinned_exactly)
        compare(BaseBackend(network).iterate_from(images, state, 3, pinned), expected)


def test_the_next_state_is_that_of_the_network():
    network = random_network("dru-4")
    images = torch.rand(1, 3, 32, 32)
    expected = network.step(images, network.initial_state(images))[1]
    found = BaseBackend(network).step(images, network.initial_state(images))[1]
    compare(found, expected, 1e-5)


def test_the_image_half_is_not_confused_between_images_and_not_kept():
    network = random_network("dru-4")
    backend = BaseBackend(network)
    images = [torch.rand(1, 3, 32, 32) for _ in range(2)]
    for pixels in (*images, *images):
        compare(backend(pixels, 2), network(pixels, 2))
    kept = [weakref.ref(part) for part in backend._of_images.values()]
    assert kept
    del images, pixels
    gc.collect()
    assert not any(part() is not None for part in kept)


@pytest.mark.parametrize("tile_size", [64, 512])
def test_segmenting_with_tiles_a_start_and_pinned_pixels_gives_the_same(tile_size):
    fast = napari_runet.load_model("retina", "cpu", "float32")
    plain = replace(fast, backend=None)
    assert isinstance(fast.runner, BaseBackend) and plain.runner is plain.network
    image = (photograph("retina", 0, (150, 130))[0].permute(1, 2, 0).numpy() * 100 + 120).astype(np.uint8)
    rng = np.random.default_rng(0)
    start, pinned = rng.integers(0, 2, image.shape[:2]), rng.random(image.shape[:2]) < 0.01
    for options in ({}, {"start": start, "pinned": pinned}):
        found, expected = (segment(image, each, tile_size=tile_size, **options).foreground for each in (fast, plain))
        # torch's own normalisation is less exact in the layout that the plain network runs in
        np.testing.assert_allclose(found, expected, atol=0.01)


@pytest.mark.parametrize(
    "other", [lambda: build("unet-g"), lambda: build("dru-4", norm="batch"), lambda: build("dru-4").double()]
)
def test_other_networks_run_as_they_are(other):
    network = other().eval()
    assert accelerated(network) is network
    assert accelerated(build("dru-4").eval(), "reference").config.name == "dru-4"


def test_keeping_memory_is_harmless():
    assert keep_memory() in (True, False)
    assert torch.rand(3000, 3000).sum() > 0


@pytest.mark.parametrize("task", ["retina", "roads", "hands"])
def test_bfloat16_gives_nearly_the_same_masks(task):
    network = napari_runet.load_model(task, "cpu").network
    pixels = photograph(task, 0, (180, 160))
    plain, half = (BaseBackend(network, dtype)(pixels, 3)[-1] for dtype in (torch.float32, torch.bfloat16))
    assert half.dtype == torch.float32
    assert 0 < (half - plain).abs().mean() < 0.05
    assert (half.argmax(1) == plain.argmax(1)).float().mean() > 0.99


def test_bfloat16_is_refused_in_a_sentence_where_it_is_of_no_use(monkeypatch):
    monkeypatch.setattr(choosing, "has_fast_bfloat16", lambda: True)
    assert isinstance(accelerated(random_network("sru-2"), "bfloat16"), BaseBackend)
    with pytest.raises(BackendError, match="unet-g on this machine"):
        accelerated(build("unet-g"), "bfloat16")
    monkeypatch.setattr(choosing, "has_fast_bfloat16", lambda: False)
    with pytest.raises(BackendError, match="AMX"):
        accelerated(random_network("sru-2"), "bfloat16")
    with pytest.raises(BackendError, match="no backend called 'fast'"):
        accelerated(random_network("sru-2"), "fast")


@pytest.mark.parametrize(
    ("amx", "avx512_bf16", "expected"), [(1, 1, "bfloat16"), (0, 1, "bfloat16"), (0, 0, "float32")]
)
def test_auto_takes_bfloat16_where_the_processor_has_instructions_for_it(monkeypatch, amx, avx512_bf16, expected):
    monkeypatch.setattr(torch.cpu, "_is_amx_tile_supported", lambda: bool(amx), raising=False)
    monkeypatch.setattr(torch.cpu, "_is_avx512_bf16_supported", lambda: bool(avx512_bf16), raising=False)
    network = random_network("dru-4")
    assert accelerated(network).dtype == getattr(torch, expected)
    assert accelerated(network, "float32").dtype == torch.float32
    if not avx512_bf16:
        with pytest.raises(BackendError):
            accelerated(network, "bfloat16")
    assert expected in dict(diagnosis())["Precision"]


def test_a_torch_that_says_nothing_of_the_processor_computes_in_float32(monkeypatch):
    monkeypatch.delattr(torch.cpu, "_is_amx_tile_supported", raising=False)
    monkeypatch.delattr(torch.cpu, "_is_avx512_bf16_supported", raising=False)
    assert accelerated(random_network("dru-4")).dtype == torch.float32
