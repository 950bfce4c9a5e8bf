"""Masks and corrections of other classes than the chosen model's: never mixed with those that are painted."""

import numpy as np
import pytest
from correcting_helpers import PATIENCE, choose_classes, dock, predict

from napari_runet.corrections.correction import UNKNOWN
from napari_runet.models.card import ClassInfo
from napari_runet.plugin.tuning_samples import usable


@pytest.fixture
def roads(card):
    """A model's card that finds something else."""
    classes = (ClassInfo(name="background", color="#000000"), ClassInfo(name="road", color="#ffb000"))
    return card.model_copy(update={"title": "Roads", "classes": classes})


@pytest.fixture
def mask():
    mask = np.zeros((150, 200), np.uint8)
    mask[40:80, 50:120] = 1
    return mask


def opened(make_napari_viewer, photograph, card):
    viewer = make_napari_viewer()
    image = viewer.add_image(photograph.copy(), name="eye", rgb=True)
    panel = dock(viewer)
    choose_classes(panel, card)
    return panel, image


def stroke(panel, y, x):
    layer = panel.session.correction.layer
    layer.brush_size = 5
    layer.paint((y, x), 1)
    panel.session.correction.compare()


def test_a_newer_mask_of_other_classes_is_not_taken_over(make_napari_viewer, own_home, photograph, mask, card, roads):
    panel, image = opened(make_napari_viewer, photograph, card)
    predict(panel, image, mask, card)
    layer = panel.correcting.correct()
    stroke(panel, 20, 20)
    held = layer.data.copy()
    predict(panel, image, 1 - mask, roads, "run 2")
    assert not panel.correcting.predictions.has_newer(panel.session.correction)
    assert panel.correcting.take_prediction() == 0
    np.testing.assert_array_equal(layer.data, held)
    panel.correcting.close()


def test_what_was_painted_keeps_its_classes_whatever_model_is_chosen_later(
    make_napari_viewer, qtbot, own_home, photograph, mask, card, roads
):
    panel, image = opened(make_napari_viewer, photograph, card)
    predict(panel, image, mask, card)
    panel.correcting.correct()
    stroke(panel, 20, 20)
    painted = panel.session.correction.known
    assert painted.classes == tuple(info.name for info in card.classes) != ("background", "road")
    panel.correcting.close()

    other, _ = opened(make_napari_viewer, photograph, roads)
    qtbot.waitUntil(lambda: "px added" in other.session.recovered, timeout=PATIENCE)
    assert other.correcting.restore()
    known = other.session.correction.known
    assert known.classes == painted.classes
    np.testing.assert_array_equal(known.labels != UNKNOWN, painted.labels != UNKNOWN)
    notice, vessel = other.session.correction_notice, card.classes[1].name
    assert notice.kind == "warning" and f"What was painted here is {vessel}" in notice.text
    samples, reasons = usable(other.correcting.images, other.session.model.card)
    assert not samples and f"was corrected with the classes {vessel}" in reasons[0]
    other.correcting.close()
