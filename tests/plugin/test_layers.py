import copy

import numpy as np
import pytest
from napari.components import ViewerModel
from napari.layers import Image, Labels
from test_results import make

from napari_runet.images.image_input import Region
from napari_runet.models.card import ModelCard
from napari_runet.plugin.layers import (
    EARLIER,
    OWNER,
    RECORD,
    ResultLayers,
    found_in,
    images_in,
    owner_of,
    results_of,
)
from napari_runet.plugin.results import Result


@pytest.fixture
def viewer() -> ViewerModel:
    return ViewerModel()


@pytest.fixture
def made(viewer: ViewerModel, card: ModelCard) -> ResultLayers:
    image = viewer.add_image(np.zeros((20, 30)), name="photo", scale=(2, 3), translate=(4, 5))
    result = make(card)
    layers = ResultLayers(viewer, image, result)
    for number in (1, 2, 3):
        layers.update(number)
    return layers


def again(card: ModelCard, run: str = "another", region: Region | None = None) -> Result:
    result = make(card, region)
    result.run_id = run
    return result


def test_each_iteration_is_a_layer_that_cannot_be_edited(viewer: ViewerModel, made: ResultLayers) -> None:
    assert [layer.name for layer in viewer.layers] == ["photo"] + [f"photo · some · iteration {t}" for t in (1, 2, 3)]
    for number, layer in made.iterations.items():
        assert isinstance(layer, Labels)
        assert not layer.editable
        np.testing.assert_array_equal(layer.data, made.result.labels(number))
        assert tuple(layer.scale) == (2, 3) and tuple(layer.translate) == (4, 5)
        assert layer.metadata[RECORD]["iteration"] == number
        assert layer.metadata[RECORD]["run"] == "run"
        np.testing.assert_allclose(layer.get_color(1)[:3], [1, 0x2F / 255, 0xD1 / 255], atol=0.01)


def test_adding_layers_leaves_the_selection_alone(viewer: ViewerModel, card: ModelCard) -> None:
    image = viewer.add_image(np.zeros((20, 30)))
    mine = viewer.add_labels(np.zeros((20, 30), int))
    ResultLayers(viewer, image, make(card)).update(1)
    assert viewer.layers.selection.active is mine


def test_a_new_run_updates_in_place_and_marks_what_it_has_not_computed(
    viewer: ViewerModel, made: ResultLayers, card: ModelCard
) -> None:
    before = dict(made.iterations)
    before[2].name = "my favourite"
    result = again(card)
    made.begin(result)
    assert all(layer.name.endswith(EARLIER) and not layer.visible for layer in before.values())
    made.update(1)
    assert made.iterations[1] is before[1]
    assert not before[1].name.endswith(EARLIER)
    assert before[2].name == f"my favourite{EARLIER}"
    np.testing.assert_array_equal(before[1].data, result.labels(1))
    made.update(2)
    assert before[2].name == "my favourite"
    assert len(viewer.layers) == 4


def test_a_shorter_run_leaves_no_layer_of_the_earlier_one(
    viewer: ViewerModel, made: ResultLayers, card: ModelCard
) -> None:
    result = again(card)
    del result.iterations[1:]
    made.begin(result)
    made.update(1)
    made.finish()
    assert [layer.name for layer in viewer.layers] == ["photo", "photo · some · iteration 1"]


def test_a_deleted_layer_comes_back_as_a_new_one(viewer: ViewerModel, made: ResultLayers) -> None:
    corpse = made.iterations[2]
    viewer.layers.remove(corpse)
    kept = corpse.data.copy()
    made.result.threshold = 0.9
    fresh = made.update(2)
    assert fresh is not corpse and fresh in viewer.layers
    np.testing.assert_array_equal(fresh.data, made.result.labels(2))
    assert made.all() == [made.iterations[1], fresh, made.iterations[3]]
    assert kept.shape == corpse.data.shape


def test_the_next_run_may_cover_another_region(viewer: ViewerModel, made: ResultLayers, card: ModelCard) -> None:
    layer = made.iterations[1]
    result = again(card, region=Region(3, 4, 6, 7))
    made.begin(result)
    made.update(1)
    assert layer.data.shape == (6, 7)
    assert tuple(layer.translate) == (4 + 3 * 2, 5 + 4 * 3)
    made.begin(again(card, "third"))
    made.update(1)
    assert layer.data.shape == (20, 30) and tuple(layer.translate) == (4, 5)


def test_a_copy_is_editable_and_no_prediction_writes_to_it(made: ResultLayers, card: ModelCard) -> None:
    copied = made.editable_copy(3)
    assert copied.editable
    before = copied.data.copy()
    made.result.threshold = 0.99
    made.begin(again(card))
    for number in (1, 2, 3):
        made.update(number)
    np.testing.assert_array_equal(copied.data, before)
    copied.data_setitem((np.array([0]), np.array([0])), 1 - before[0, 0])
    copied.undo()
    np.testing.assert_array_equal(copied.data, before)
    assert not any(np.shares_memory(copied.data, layer.data) for layer in made.iterations.values())


def test_changes_and_confidence_are_layers_of_their_own(viewer: ViewerModel, made: ResultLayers) -> None:
    made.show_changes(2, True)
    assert made.changes is not None and made.changes.visible
    np.testing.assert_array_equal(made.changes.data, made.result.changes(2))
    made.show_changes(2, False)
    assert not made.changes.visible
    confidence = made.show_confidence(1)
    assert made.show_confidence(2) is confidence
    np.testing.assert_array_equal(confidence.data, made.result.confidence(2))
    assert images_in(viewer) == [made.image]


def test_results_are_found_again_through_their_layers(viewer: ViewerModel, made: ResultLayers, card: ModelCard) -> None:
    assert list(found_in(viewer)) == [made]
    assert results_of(viewer, made.image) is made
    assert results_of(viewer, made.image, "other") is None
    assert owner_of(viewer, made.iterations[2]) is made
    twin = copy.deepcopy(made.iterations[2].metadata)
    duplicate = Labels(made.iterations[2].data.copy(), metadata=twin)
    viewer.add_layer(duplicate)
    assert duplicate.metadata[OWNER] is made
    assert owner_of(viewer, duplicate) is None
    viewer.layers.clear()
    assert list(found_in(viewer)) == []


@pytest.mark.parametrize("plane", [0, 3])
def test_the_mask_of_a_stack_lies_on_the_plane_shown(card: ModelCard, plane: int) -> None:
    from napari_runet.plugin.reading import read_layer

    viewer = ViewerModel()
    image = viewer.add_image(np.zeros((6, 20, 30)), scale=(5, 1, 1))
    viewer.dims.set_current_step(0, plane)
    result = make(card)
    result.source = read_layer(image, viewer.dims.point)
    layer = ResultLayers(viewer, image, result).update(1)
    assert isinstance(image, Image) and layer.data.shape == (1, 20, 30)
    assert layer.data_to_world((0, 0, 0)) == (plane * 5, 0, 0)
