"""A plane through the network: tiled against untiled, regions, progress, cancelling, determinism."""

import gc
import weakref

import numpy as np
import pytest
import torch

from napari_runet.images.axes import Axes
from napari_runet.images.image_input import ImageError, ImageInput, Region
from napari_runet.inference.iterations import iterate_plane
from napari_runet.models.card import ClassInfo, ModelCard
from napari_runet.networks import build

CLASSES = (ClassInfo(name="background", color="#000000"), ClassInfo(name="thing", color="#ff0000"))


def tiny_model(seed=0, name="dru-4", **options):
    torch.manual_seed(seed)
    network = build(name, base_channels=2, hidden_channels=4, **options).eval()
    card = ModelCard(id="tiny", title="Tiny", sentence="For tests.", network=network.config, classes=CLASSES)
    return card, network


def run(image, *, iterations=3, tile_size=64, overlap=16, model=None, **options):
    card, network = model or tiny_model()
    source = ImageInput.from_array(image) if isinstance(image, np.ndarray) else image
    steps = iterate_plane(
        card, network, source, iterations=iterations, tile_size=tile_size, tile_overlap=overlap, **options
    )
    return [step.foreground for step in steps]


@pytest.fixture
def photograph():
    return np.random.default_rng(0).integers(0, 256, (150, 130, 3), dtype=np.uint8)


def test_untiled_is_the_network_on_the_normalised_image(photograph):
    _, network = tiny_model()
    low, high = np.percentile(photograph.reshape(-1, 3), [0.5, 99.5], axis=0)
    normal = np.clip(2 * (photograph - low) / (high - low) - 1, -2, 2).astype(np.float32)
    with torch.inference_mode():
        logits = network(torch.from_numpy(normal).permute(2, 0, 1)[None], iterations=3)
    for found, expected in zip(run(photograph, tile_size=512), logits, strict=True):
        np.testing.assert_allclose(found, torch.softmax(expected, 1)[0, 1:].numpy(), atol=1e-5)


@pytest.mark.parametrize("feedback", ["probabilities", "logits"])
def test_tiles_without_normalisation_over_them_agree_with_the_whole(photograph, feedback):
    """Group norm is what makes tiles differ from the whole; without it the first iteration is the same inside."""
    card, network = tiny_model(feedback=feedback)
    for module in network.modules():
        if isinstance(module, torch.nn.GroupNorm):
            module.forward = lambda x: x
    tiled = run(photograph, model=(card, network), tile_size=112, overlap=96)
    whole = run(photograph, model=(card, network), tile_size=512)
    # the receptive field of one iteration is wider than half the overlap, so only nearly the same
    assert np.abs(tiled[0] - whole[0]).mean() < 0.01


@pytest.mark.parametrize("shape", [(1, 1), (1, 200), (65, 64), (200, 17)])
@pytest.mark.parametrize("classes", [2, 4])
def test_any_size_gives_probabilities(shape, classes):
    torch.manual_seed(0)
    network = build("dru-4", base_channels=2, hidden_channels=4, classes=classes).eval()
    names = (*CLASSES, *CLASSES)[:classes]
    card = ModelCard(id="tiny", title="Tiny", sentence="For tests.", network=network.config, classes=names)
    image = np.random.default_rng(0).random(shape)
    for foreground in run(image, model=(card, network)):
        assert foreground.shape == (classes - 1, *shape) and foreground.dtype == np.float32
        assert foreground.min() >= 0 and foreground.sum(axis=0).max() <= 1 + 1e-5


def test_the_same_again(photograph):
    for one, other in zip(run(photograph), run(photograph), strict=True):
        np.testing.assert_array_equal(one, other)


def test_fewer_iterations_are_the_first_ones(photograph):
    for one, other in zip(run(photograph, iterations=2), run(photograph, iterations=4), strict=False):
        np.testing.assert_array_equal(one, other)


def test_a_region_has_its_own_shape_and_the_intensities_of_the_whole(photograph):
    region = Region(y=16, x=32, height=48, width=64)
    (part,) = run(photograph, iterations=1, tile_size=512, region=region)
    assert part.shape == (1, 48, 64)
    dark = photograph.copy()
    dark[region.slices] //= 2
    (changed,) = run(dark, iterations=1, tile_size=512, region=region)
    assert not np.allclose(part, changed), "a region that is darker than the rest must stay so"


def test_progress_counts_tiles_and_may_stop(photograph):
    seen = []

    class StoppedError(Exception):
        pass

    def report(iteration, done, total):
        seen.append((iteration, done, total))
        if len(seen) == 8:
            raise StoppedError

    with pytest.raises(StoppedError):
        run(photograph, report=report)
    total = seen[0][2]
    assert total > 1
    assert seen == [(1 + i // total, 1 + i % total, total) for i in range(8)]


def test_a_tile_does_not_hold_on_to_its_mask_between_iterations(photograph):
    card, network = tiny_model()
    seen, step = [], network.step

    def watched(images, state):
        seen.append(weakref.ref(state.segmentation.untyped_storage()))
        logits, state = step(images, state)
        seen.append(weakref.ref(state.segmentation.untyped_storage()))
        return logits, state

    network.step = watched
    steps = iterate_plane(card, network, ImageInput.from_array(photograph), iterations=2, tile_size=64, tile_overlap=16)
    next(steps)
    gc.collect()
    held = sum(storage() is not None for storage in seen)
    assert len(seen) > 8 and held <= 2, "only the last tile's mask may still be there"


def test_channels_that_do_not_fit_are_refused():
    with pytest.raises(ImageError, match="7 channels, the model reads 3"):
        run(ImageInput.from_array(np.ones((40, 40, 7)), axes=Axes("YXC")))


def test_grey_and_one_channel_models():
    grey = np.random.default_rng(0).random((40, 40))
    np.testing.assert_allclose(run(grey)[0], run(np.stack([grey] * 3, axis=-1))[0], atol=1e-6)
    assert run(np.stack([grey] * 3, axis=-1), model=tiny_model(in_channels=1))[0].shape == (1, 40, 40)


def test_no_finite_number_is_refused():
    with pytest.raises(ImageError, match="no finite number"):
        run(np.full((40, 40), np.nan))


def test_pixels_that_are_not_finite_do_not_spread():
    image = np.random.default_rng(0).random((64, 64))
    image[:8, :8] = np.nan
    assert np.isfinite(run(image)[2]).all()


def test_a_constant_image_is_fine():
    assert np.isfinite(run(np.full((40, 40), 7, np.uint16))[2]).all()
