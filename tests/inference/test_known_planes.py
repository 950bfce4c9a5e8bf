"""What was found out about a plane is taken again for the same pixels and the same model, and for nothing else."""

from dataclasses import replace

import numpy as np
import pytest

from napari_runet import load_model
from napari_runet.images.drawn import draw_fundus
from napari_runet.images.image_input import ImageInput
from napari_runet.inference import known_planes
from napari_runet.inference.known_planes import KnownPlanes
from napari_runet.inference.viewing import pixel_size_of, plane_intensities
from napari_runet.models.card import StructureWidth


def test_what_is_known_is_of_these_pixels_and_this_model():
    retina, roads = load_model("retina", device="cpu"), load_model("roads", device="cpu")
    pixels = draw_fundus(1, 160)[0]
    known, image = KnownPlanes(), ImageInput.from_array(pixels)
    first = known.look(retina, image)
    intensities, pixel_size = first
    np.testing.assert_array_equal(intensities.high, plane_intensities(retina.card, image, ()).high)
    assert pixel_size == pixel_size_of(retina.card, retina.runner, image)
    assert known.look(retina, ImageInput.from_array(pixels.copy())) is first
    assert known.look(roads, image) is not first
    assert known.look(load_model("retina", device="cpu", backend="reference"), image) is not first
    elsewhere = retina.card.model_copy(update={"structure_width": StructureWidth(low=9, best=12, high=20)})
    assert known.look(replace(retina, card=elsewhere), image) is not first, "the same weights, by another card"

    pixels[...] = 255 - pixels  # in place, as people do
    changed, _ = known.look(retina, image)
    np.testing.assert_array_equal(changed.high, plane_intensities(retina.card, image, ()).high)
    assert not np.array_equal(changed.high, intensities.high)
    assert known.look(retina, ImageInput.from_array(255 - pixels)) is first


def test_what_is_known_does_not_grow(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(known_planes, "_KEPT", 2)
    model, known = load_model("retina", device="cpu"), KnownPlanes()
    images = [ImageInput.from_array(np.full((40, 40), value, np.uint8)) for value in (1, 2, 3)]
    first, second, _ = (known.look(model, image) for image in images)
    assert known.look(model, images[1]) is second
    assert known.look(model, images[0]) is not first
    monkeypatch.setattr(known_planes, "MOST_PIXELS", 40 * 40 - 1)
    assert known.look(model, images[1]) is None
