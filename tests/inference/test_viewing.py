"""A plane at another pixel size, and averages over views: where masks lie, what is repeated, what is switched off."""

import numpy as np
import pytest
import torch

import napari_runet
from napari_runet.images.image_input import ImageInput, Region
from napari_runet.images.pixel_size import AS_IT_IS, PixelSize
from napari_runet.images.rescaling import View
from napari_runet.inference.devices import choose_device
from napari_runet.inference.segmenter import LoadedModel, iterate
from napari_runet.inference.starting import Start
from napari_runet.inference.viewing import iterate_views, pixel_size_of, viewed_start
from napari_runet.models.card import ClassInfo, ModelCard, NetworkConfig, StructureWidth
from napari_runet.networks import IterativeNetwork, State, build
from napari_runet.settings import SegmentationSettings

CLASSES = (ClassInfo(name="background", color="#000000"), ClassInfo(name="line", color="#ff0000"))
Y, X = np.mgrid[:600, :500]
DIAGONALS = (X + Y) % 240


class Brightness(IterativeNetwork):
    """A stand-in that finds what is bright; with it, where a mask belongs is known exactly."""

    def __init__(self):
        super().__init__(NetworkConfig(), stride=16)
        self.sharpness = torch.nn.Parameter(torch.tensor(10.0))

    def step(self, images, state):
        bright = self.sharpness * images[:, :1]
        logits = torch.cat([-bright, bright], dim=1)
        return logits, State(self.fed_back(logits), None)


@pytest.fixture
def model():
    width = StructureWidth(low=3.5, best=6, high=10)
    fields = {"id": "bright", "title": "B", "sentence": "S.", "network": NetworkConfig(), "classes": CLASSES}
    card = ModelCard(**fields, structure_width=width)
    return LoadedModel(card, Brightness().eval(), choose_device("cpu"))


def lines(width):
    mask = np.minimum(DIAGONALS, 240 - DIAGONALS) < width / np.sqrt(2)
    return np.repeat((40 + 180 * mask[..., None]).astype(np.uint8), 3, axis=-1), mask


def dice(a, b):
    return 2 * (a & b).sum() / (a.sum() + b.sum())


@pytest.mark.parametrize(("width", "low", "high"), [(30, 0.12, 0.32), (7, 1, 1), (2, 1.5, 3)])
def test_structures_far_from_the_best_width_are_rescaled_and_their_mask_lies_on_them(model, width, low, high):
    image, mask = lines(width)
    prediction = napari_runet.segment(image, model)
    assert low <= prediction.scale <= high
    assert prediction.labels.shape == (3, 600, 500)
    assert dice(prediction.labels[-1] > 0, mask) > (0.9 if width > 2 else 0.7)


def test_rescaling_can_be_switched_off_and_is_the_same_every_time(model):
    image, _ = lines(30)
    assert napari_runet.segment(image, model, rescale=False).scale == 1
    one, other = (napari_runet.segment(image, model) for _ in range(2))
    assert one.scale == other.scale != 1
    np.testing.assert_array_equal(one.foreground, other.foreground)
    unknown = LoadedModel(model.card.model_copy(update={"structure_width": None}), model.network, model.device)
    assert napari_runet.segment(image, unknown).scale == 1


def test_planes_of_a_stack_are_seen_as_an_image_is(model):
    image, _ = lines(30)
    for options in ({}, {"rescale": False}, {"flips": True, "rescale": False}, {"scales": True, "rescale": False}):
        alone = napari_runet.segment(image, model, iterations=1, **options)
        (plane,) = napari_runet.segment_planes(image[None], model, axes="TYXC", iterations=1, **options)
        assert plane.scale == alone.scale
        np.testing.assert_array_equal(plane.foreground, alone.foreground)


def test_a_region_gets_the_pixel_size_of_the_whole(model):
    image, mask = lines(30)
    source, region = ImageInput.from_array(image), Region(100, 50, 203, 307)
    (step,) = iterate(source, model, SegmentationSettings(iterations=1), region=region)
    assert step.foreground.shape == (1, 203, 307)
    assert step.pixel_size == pixel_size_of(model.card, model.network, source) != AS_IT_IS
    assert dice(step.foreground[0] > 0.5, mask[region.slices]) > 0.9


def test_an_image_with_nothing_in_it_is_taken_as_it_is(model):
    assert napari_runet.segment(np.zeros((300, 300), np.uint8), model).scale == 1
    assert napari_runet.segment(np.zeros((1, 1), np.uint8), model).scale == 1


@pytest.mark.parametrize("options", [{"flips": True}, {"scales": True}, {"flips": True, "scales": True}])
def test_averages_over_views_lie_on_the_image(model, options):
    image, mask = lines(8)
    prediction = napari_runet.segment(image, model, **options)
    assert dice(prediction.labels[-1] > 0, mask) > 0.95


def test_flips_are_the_mean_of_what_the_network_gives_for_each():
    torch.manual_seed(0)
    network = build("dru-4", base_channels=2, hidden_channels=4).eval()
    card = ModelCard(id="a", title="A", sentence="S.", network=network.config, classes=CLASSES)
    model = LoadedModel(card, network, choose_device("cpu"))
    image = np.random.default_rng(0).integers(0, 256, (70, 90, 3), np.uint8)
    mean = np.zeros((3, 1, 70, 90))
    for rows in (1, -1):
        for columns in (1, -1):
            flipped = napari_runet.segment(np.ascontiguousarray(image[::rows, ::columns]), model).foreground
            mean += flipped[:, :, ::rows, ::columns] / 4
    np.testing.assert_allclose(napari_runet.segment(image, model, flips=True).foreground, mean, atol=1e-5)


def test_pinned_pixels_and_starts_are_seen_through_the_view(model):
    pinned = np.full((600, 500), 255, np.uint8)
    pinned[100, 50:450] = 1
    pinned[400:420, 50:450] = 0
    seen = viewed_start(Start(labels=pinned, pinned=pinned), View(0.2), (120, 100))
    assert (seen.pinned[20, 10:90] == 1).all(), "a stroke of one pixel stays whole"
    assert (seen.pinned[80:84, 10:90] == 0).all() and (seen.pinned[40:70] == 255).all()
    flipped = viewed_start(Start(pinned=pinned), View(1.0, True), (600, 500))
    np.testing.assert_array_equal(flipped.pinned, pinned[::-1])
    image, _ = lines(30)
    steps = iterate_views(
        model.card, model.network, ImageInput.from_array(image), views=[View(0.2)], iterations=2, tile_size=512,
        tile_overlap=0, start=Start(pinned=pinned),
    )  # fmt: skip
    for step in steps:
        assert (step.foreground[0][pinned == 1] == 1).all() and (step.foreground[0][pinned == 0] == 0).all()


def test_progress_of_several_views_goes_from_nothing_to_all(model):
    told = []
    settings = SegmentationSettings(iterations=2, flips=True, rescale=False)
    for _ in iterate(ImageInput.from_array(lines(8)[0]), model, settings, report=lambda *r: told.append(r)):
        pass
    assert told == [(t, done, 4) for t in (1, 2) for done in (1, 2, 3, 4)]


def test_the_pixel_size_given_is_used(model):
    source = ImageInput.from_array(lines(7)[0])
    (step,) = iterate(source, model, SegmentationSettings(iterations=1), pixel_size=PixelSize(0.5, 12.0))
    assert step.pixel_size.scale == 0.5 and step.foreground.shape == (1, 600, 500)
