"""Crops: labels stay on their image under every transform, and the same seed draws the same."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from napari_runet.models.card import ClassInfo, ModelCard, NetworkConfig
from napari_runet.training.augmentation import Augmentation, gaussian_blur, jpeg_compressed, motion_blur
from napari_runet.training.compositing import drawn_background, paste, tinted
from napari_runet.training.draws import Draws
from napari_runet.training.losses import UNKNOWN
from napari_runet.training.pairs import DataError, Pair
from napari_runet.training.samples import CropSampler, photographs, prepare

CARD = ModelCard(
    id="tiny",
    title="Tiny",
    sentence="For tests.",
    network=NetworkConfig(),
    classes=(ClassInfo(name="background", color="#000000"), ClassInfo(name="thing", color="#ff0000")),
)
PLAIN = {"contrast": 0, "brightness": 0, "colour": 0, "gamma": 0, "shading": 0, "blur": 0, "noise": 0, "grey": 0}


def disc_pair(height=120, width=150):
    y, x = np.mgrid[:height, :width]
    labels = ((y - 60) ** 2 + (x - 80) ** 2 < 30**2).astype(np.uint8)
    image = np.repeat((40 + 170 * labels)[..., None], 3, axis=-1).astype(np.uint8)
    return Pair("disc", image, labels)


def sampler(seed=0, **augmentation):
    generator = torch.Generator().manual_seed(seed)
    return CropSampler([prepare(disc_pair(), CARD)], 64, Augmentation(**augmentation), generator)


@settings(max_examples=25, deadline=None)
@given(st.integers(0, 10_000), st.floats(0.3, 1.0), st.floats(1.0, 3.0), st.floats(0, 180))
def test_labels_stay_on_their_image(seed, smallest, largest, rotation):
    """The disc is bright, so brightness tells the label, whatever the transform."""
    crops = sampler(seed, smallest_scale=smallest, largest_scale=largest, rotation=rotation, **PLAIN)
    images, labels = crops.batch(2)
    assert images.shape == (2, 3, 64, 64) and labels.shape == (2, 64, 64)
    bright = images[:, 0] > 0
    known = labels != UNKNOWN
    outline = gaussian_blur(bright.float()[:, None], 1.0)[:, 0]
    away_from_it = (outline - 0.5).abs() > 0.45
    assert ((labels == 1) == bright)[known & away_from_it].all()


def test_unchanged_crop_is_the_image():
    crops = sampler(flips=False, rotation=0, smallest_scale=1, largest_scale=1, stretch=0, **PLAIN)
    image, labels = crops.batch(1)
    sample = crops.samples[0]
    disc = torch.from_numpy(disc_pair().labels)
    assert labels.float().mean() > 0
    # positions are not whole pixels, so only values away from the outline are the very same
    assert {round(float(v), 2) for v in image[0, 0].flatten()} >= {-1.0, 1.0}
    assert sample.labels.sum() == disc.sum()


def test_same_seed_same_crops():
    for one, other in zip(sampler(3).batch(4), sampler(3).batch(4), strict=True):
        torch.testing.assert_close(one, other)
    assert not torch.equal(sampler(3).batch(4)[0], sampler(4).batch(4)[0])


def test_outside_the_field_of_view():
    pair = disc_pair()
    fov = np.zeros(pair.labels.shape, bool)
    fov[:, :75] = True
    pair = Pair(pair.name, pair.image, pair.labels, fov)
    ignored, background = prepare(pair, CARD), prepare(pair, CARD, outside_fov="background")
    assert (ignored.labels[:, 75:] == UNKNOWN).all()
    np.testing.assert_array_equal(background.labels, pair.labels)


@pytest.mark.parametrize("deviation", [0.5, 1.0, 2.5])
def test_blur_against_scipy(deviation):
    from scipy.ndimage import gaussian_filter

    image = torch.rand(1, 2, 40, 40, dtype=torch.float64)
    radius = max(1, round(3 * deviation))
    expected = [gaussian_filter(c.numpy(), deviation, mode="nearest", radius=radius) for c in image[0]]
    np.testing.assert_allclose(gaussian_blur(image, deviation)[0].numpy(), expected, atol=1e-6)


def test_paste_keeps_the_object_and_its_labels():
    labels = torch.zeros(32, 32, dtype=torch.long)
    labels[8:24, 8:24] = 1
    labels[0] = UNKNOWN
    under_labels = torch.zeros(32, 32, dtype=torch.long)
    under_labels[:, :4] = 1
    image, under = torch.ones(3, 32, 32), -torch.ones(3, 32, 32)
    pasted, merged = paste(image, labels, under, under_labels, softness=1.0)
    assert (pasted[:, 12:20, 12:20] == 1).all() and (pasted[:, :4, 16:] == -1).all()
    assert (merged[8:24, 8:24] == 1).all() and (merged[:, :4] == 1).all() and (merged != UNKNOWN).all()


def test_a_tinted_background_has_about_the_colour_of_the_object_and_its_own_pattern():
    draws = Draws(torch.Generator().manual_seed(0))
    labels = torch.zeros(32, 32, dtype=torch.long)
    labels[8:24, 8:24] = 1
    image = torch.full((3, 32, 32), -1.0)
    image[:, 8:24, 8:24] = torch.tensor([0.8, 0.1, -0.4])[:, None, None]
    under = torch.randn(3, 32, 32, generator=draws.generator) + torch.tensor([-1.0, -1.0, 1.0])[:, None, None]
    found = torch.stack([tinted(under, image, labels, draws) for _ in range(40)])
    shift = found - under
    assert (shift - shift[..., :1, :1]).abs().max() < 1e-5, "the pattern stays"
    off = (found.mean(dim=(0, 2, 3)) - torch.tensor([0.8, 0.1, -0.4])).abs()
    assert (off < 0.3 * (under.mean(dim=(1, 2)) - torch.tensor([0.8, 0.1, -0.4])).abs()).all(), "a quarter is left"
    assert torch.equal(tinted(under, image, torch.full_like(labels, UNKNOWN), draws), under)


def test_drawn_backgrounds_differ_and_repeat():
    draw = [drawn_background(3, 64, Draws(torch.Generator().manual_seed(seed))) for seed in (0, 0, 1)]
    assert torch.equal(draw[0], draw[1]) and not torch.equal(draw[0], draw[2])
    assert draw[0].abs().max() <= 1.5


def test_motion_blur_moves_nothing_and_smears_along_its_angle():
    dot = torch.zeros(1, 1, 31, 31)
    dot[0, 0, 15, 15] = 1
    smeared = motion_blur(dot, 9, 0.0)[0, 0]
    assert smeared.sum() == pytest.approx(1, abs=1e-5)
    assert smeared[15, 11:20].sum() == pytest.approx(1, abs=1e-5) and smeared[15, 11] > 0 and smeared[15, 10] == 0
    torch.testing.assert_close(motion_blur(dot, 9, np.pi / 2)[0, 0], smeared.T, atol=1e-5, rtol=0)


@pytest.mark.parametrize("channels", [1, 3, 5])
def test_jpeg_changes_little_and_less_at_a_higher_quality(channels):
    y, x = torch.meshgrid(torch.linspace(-1, 1, 40), torch.linspace(-1, 1, 48), indexing="ij")
    image = torch.stack([torch.sin(3 * x + c) * y for c in range(channels)])
    far, near = (float((jpeg_compressed(image, quality) - image).abs().mean()) for quality in (10, 95))
    assert 0 < near < far < 0.1


@pytest.mark.parametrize("channels", [1, 3, 4])
def test_photographs_are_all_background(channels):
    found = photographs(channels)
    assert len(found) >= 10
    for sample in found:
        assert sample.image.shape == (channels, *sample.labels.shape) and not sample.labels.any()
        assert -1.2 <= float(sample.image.float().quantile(0.02)) < float(sample.image.float().quantile(0.98)) <= 1.2


def test_objects_are_pasted_over_photographs():
    changes = {"paste": 1.0, "photographs": 1.0, "flips": False, "rotation": 0, **PLAIN}
    pasted, _ = sampler(**changes).batch(8)
    plain, _ = sampler(**{**changes, "paste": 0.0}).batch(8)
    # the disc's own picture has two values; photographs have many between them
    between = [float(((images > -0.9) & (images < 0.9)).float().mean()) for images in (pasted, plain)]
    assert between[0] > 0.3 > 0.15 > between[1]


def test_crops_are_shared_out_by_the_beginnings_of_names():
    pairs = [Pair(name, np.full((64, 64, 3), value, np.uint8), np.zeros((64, 64), np.uint8))
             for name, value in (("a1", 10), ("a2", 10), ("a3", 10), ("b1", 200))]  # fmt: skip
    samples = [replace(prepare(pair, CARD), image=torch.full((3, 64, 64), float("b" in pair.name))) for pair in pairs]
    still = Augmentation(flips=False, rotation=0, smallest_scale=1, largest_scale=1, stretch=0, **PLAIN)

    def share_of_b(shares):
        crops = CropSampler(samples, 32, still, torch.Generator().manual_seed(0), 0.5, shares)
        return float(crops.batch(200)[0].mean())

    assert share_of_b(None) == pytest.approx(0.25, abs=0.08)
    assert share_of_b({"a": 0.2, "b": 0.8}) == pytest.approx(0.8, abs=0.08)
    with pytest.raises(DataError, match="say nothing of b1"):
        share_of_b({"a": 1.0})
    with pytest.raises(DataError, match="no image's name begins so"):
        share_of_b({"a": 0.2, "b": 0.4, "c": 0.4})
