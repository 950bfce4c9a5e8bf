import copy
from dataclasses import replace

import numpy as np
import pytest
from napari.components import ViewerModel
from napari.layers import Image, Labels
from test_results import RNG, make

from napari_runet.images.axes import Axes
from napari_runet.images.image_input import Region
from napari_runet.io import plane_store
from napari_runet.models.card import ModelCard
from napari_runet.plugin.layers import (
    EARLIER,
    OWNER,
    RECORD,
    found_in,
    images_in,
    owner_of,
    results_of,
)
from napari_runet.plugin.reading import Reading, read_layer
from napari_runet.plugin.result_layers import ResultLayers
from napari_runet.plugin.results import IterationResult, Result
from napari_runet.plugin.run_texts import plane_text


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
    more, result = made.of_plane, made.result
    more.show_changes(result, 2, True)
    assert more.changes is not None and more.changes.visible
    np.testing.assert_array_equal(more.changes.data, result.changes(2))
    more.show_changes(result, 2, False)
    assert not more.changes.visible
    confidence = more.show_confidence(result, 1)
    assert more.show_confidence(result, 2) is confidence
    np.testing.assert_array_equal(confidence.data, result.confidence(2))
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


def plane_of(image: Image, index: tuple[int, ...], card: ModelCard, iterations: int = 3, press: str = "one") -> Result:
    """A run over one plane of a stack."""
    source = replace(read_layer(image, (0.0,) * image.ndim), index=index)
    result = Result("movie", card, f"{press} {index}", source, None, 0.5, press)
    for _ in range(iterations):
        foreground = RNG.integers(0, 256, (1, *result.plane_shape), np.uint8)
        result.iterations.append(IterationResult(foreground, 0.9))
    return result


def take(layers: ResultLayers, result: Result) -> None:
    """Give a run's iterations one by one, as the engine does."""
    iterations, result.iterations = result.iterations, []
    layers.begin(result)
    for iteration in iterations:
        result.iterations.append(iteration)
        layers.receive(result)


@pytest.mark.parametrize("kept", [0, 1 << 24])
@pytest.mark.parametrize("order,shape", [("TYX", (6, 20, 30)), ("TZYX", (2, 3, 20, 30)), ("TCYX", (4, 3, 20, 30))])
def test_the_masks_of_a_stack_fill_one_layer_an_iteration(
    order: str, shape: tuple[int, ...], kept: int, card: ModelCard, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(plane_store, "KEPT_IN_MEMORY", kept)
    viewer = ViewerModel()
    scale = (5, *[1] * (len(shape) - 1))
    image = viewer.add_image(np.zeros(shape), scale=scale, axis_labels=tuple(order.lower()))
    stack = tuple(length for letter, length in zip(order, shape, strict=True) if letter in "TZ")
    indices = list(np.ndindex(stack))
    first, last = plane_of(image, indices[1], card), plane_of(image, indices[-1], card, iterations=1)
    layers = ResultLayers(viewer, image, first)
    for number in (1, 2, 3):
        layers.update(number)
    take(layers, last)  # it has one iteration, which is as good as it gets
    assert len(viewer.layers) == 4 and layers.count == 3
    expected = np.zeros((*stack, 20, 30), np.uint8)
    for number, layer in layers.iterations.items():
        expected[indices[1]], expected[indices[-1]] = first.labels(number), last.labels(1)
        data = layer.data if "C" not in order else layer.data[:, 2]
        np.testing.assert_array_equal(data, expected)
        assert layer.data.shape == shape and tuple(layer.scale) == scale
        np.testing.assert_allclose(layer.extent.world, image.extent.world)
        planes = layer.metadata[RECORD]["planes"]
        assert {record["run"] for record in planes.values()} == {first.run_id, last.run_id}
        assert planes[",".join(map(str, indices[-1]))]["iteration"] == 1

    # what has not been segmented is empty, and says so
    layers.index = indices[0]
    assert len(layers.result) == 0 and plane_text(layers).endswith("has not been segmented.")

    # a threshold reaches all planes
    assert layers.stale() is None
    layers.set_threshold(0.9)
    while (stale := layers.stale()) is not None:
        layers.update(*stale)
    expected[indices[1]], expected[indices[-1]] = first.labels(2), last.labels(1)
    np.testing.assert_array_equal(layers.iterations[2].data.reshape(*stack, -1, 20, 30)[..., 0, :, :], expected)

    # a copy is of all planes, can be painted on, and stays
    copied = layers.editable_copy(2)
    assert copied.editable and copied.data.flags.writeable
    layers.begin(plane_of(image, indices[1], card, press="two"))
    layers.update(2)
    np.testing.assert_array_equal(copied.data.reshape(*stack, -1, 20, 30)[..., 0, :, :], expected)
    assert copied.metadata[RECORD]["planes"][",".join(map(str, indices[1]))]["run"] == first.run_id


def test_planes_of_an_earlier_run_stay_and_say_so(viewer: ViewerModel, card: ModelCard) -> None:
    image = viewer.add_image(np.zeros((5, 20, 30)))
    layers = ResultLayers(viewer, image, plane_of(image, (0,), card))
    layers.update(1)
    take(layers, plane_of(image, (2,), card, press="two"))
    assert layers.iterations[1].data[0].any() and not layers.iterations[1].name.endswith(EARLIER)
    assert plane_text(layers) == "Frame 1: 3 iterations, of an earlier run."

    # a deleted layer does not come back with the next plane, but with the next press
    viewer.layers.remove(layers.iterations[3])
    take(layers, plane_of(image, (3,), card, press="two"))
    assert layers.iterations[3] not in viewer.layers and layers.iterations[1].data[3].any()
    take(layers, plane_of(image, (3,), card, press="three"))
    assert layers.iterations[3] in viewer.layers

    # another reading has other planes: nothing of this one is shown as if it were of that
    source = read_layer(image, (0.0, 0.0, 0.0), Reading(Axes("ZYX")))
    other = Result("movie", card, "other", source, None, 0.5, "four")
    other.iterations.append(IterationResult(np.zeros((1, 20, 30), np.uint8), 0.9))
    layers.begin(other)
    assert all(layer.name.endswith(EARLIER) for layer in layers.iterations.values())
    layers.update(1)
    assert list(layers.planes) == [(0,)] and not layers.iterations[1].data.any()
    layers.finish()
    assert [layer.name for layer in viewer.layers[1:]] == ["movie · some · iteration 1"]
