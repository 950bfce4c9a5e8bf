"""The panel in a viewer that is not shown; where the network matters, with a real worker and a tiny model."""

import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from napari.layers import Labels
from napari.settings import get_plugin_settings
from qtpy.QtWidgets import QSlider

from napari_runet.engine.messages import Progress
from napari_runet.plugin.card_dialog import card_html
from napari_runet.plugin.commands import open_panel, segment_all_images, segment_this_image
from napari_runet.plugin.layers import RECORD
from napari_runet.plugin.options_section import bounds
from napari_runet.plugin.panel import Panel
from napari_runet.plugin.segment_section import time_left
from napari_runet.plugin.session import Activity

PATIENCE_MS = 300_000


@pytest.fixture
def viewer(make_napari_viewer: Callable[..., Any], home: Path) -> Any:
    return make_napari_viewer()


def panel_with(viewer: Any, model: str = "tiny") -> Panel:
    panel = open_panel(viewer)
    panel.choices.choose_model(next(stored for stored in panel.session.models if stored.card.id == model))
    return panel


def segment(qtbot: Any, panel: Panel) -> None:
    assert panel.segment_now(), panel.session.obstacle
    wait_idle(qtbot, panel)


def wait_idle(qtbot: Any, panel: Panel) -> None:
    qtbot.waitUntil(lambda: panel.session.activity.stage == "idle", timeout=PATIENCE_MS)


def test_without_an_image_it_says_so_and_the_button_is_off(viewer: Any) -> None:
    panel = panel_with(viewer)
    assert panel.session.obstacle.startswith("No image is open")
    assert not panel.segment_section.segment.isEnabled()
    viewer.add_labels(np.zeros((20, 20), int))
    assert panel.session.obstacle.startswith("There is no Image layer")
    assert not panel.segment_now()
    viewer.add_image(np.zeros((20, 20)))
    assert panel.session.obstacle == ""
    assert panel.segment_section.segment.isEnabled()


@pytest.mark.parametrize(
    "data,options,part",
    [
        (np.full((30, 30), np.nan), {}, "no finite number"),
        (np.zeros((7, 30, 30)), {"axis_labels": ("c", "y", "x")}, "7 channels"),
        (np.zeros((1, 1, 1, 1, 30, 30)), {}, "6 dimensions"),
    ],
)
def test_what_cannot_be_segmented_is_said_beside_the_button(
    viewer: Any, data: np.ndarray, options: dict[str, Any], part: str
) -> None:
    panel = panel_with(viewer)
    viewer.add_image(data, **options)
    assert part in panel.segment_section.obstacle.text()
    assert not panel.segment_section.segment.isEnabled()
    assert not panel.segment_now()
    assert len(viewer.layers) == 1


def test_the_image_follows_the_active_layer_until_it_is_pinned(viewer: Any) -> None:
    panel = panel_with(viewer)
    first, second = viewer.add_image(np.zeros((20, 20))), viewer.add_image(np.zeros((30, 30)))
    assert panel.session.image is second
    viewer.layers.selection.active = first
    assert panel.session.image is first
    points = viewer.add_points([[1, 1]])
    assert panel.session.image is first
    panel.image_section.pin.click()
    viewer.layers.selection.active = second
    assert panel.session.image is first
    panel.image_section.pin.click()
    assert panel.session.image is second
    viewer.layers.selection.active = points
    viewer.layers.remove(second)
    assert panel.session.image is first
    assert panel.image_section.images.count() == 1


def test_the_reading_is_changed_with_one_click(viewer: Any) -> None:
    panel = panel_with(viewer)
    viewer.add_image(np.zeros((5, 30, 40), np.uint16))
    viewer.dims.set_current_step(0, 3)
    assert panel.image_section.description.text() == "5 frames, 30 x 40, grey, 16 bit; frame 4 shown"
    actions = {action.text(): action for action in panel.image_section.readings_menu().actions()}
    checked = [text for text, action in actions.items() if action.isChecked()]
    assert checked == ["T, Y, X:  5 frames, 30 x 40, grey, 16 bit"]
    actions["C, Y, X:  30 x 40, 5 channels, 16 bit"].trigger()
    assert panel.image_section.description.text() == "30 x 40, 5 channels, 16 bit"
    assert "5 channels" in panel.session.obstacle


def test_what_is_disabled_says_why(viewer: Any) -> None:
    panel = panel_with(viewer)
    corrections, iterations, places = panel.correct_section, panel.iterations_section, panel.next_section
    tip = "Paint what is wrong on a layer of your own, with napari's tools."
    assert corrections.correct.toolTip() == f"{tip}\nNo image is open."
    assert "No image is open" in panel.segment_section.segment_all.toolTip()
    viewer.add_image(np.zeros((30, 40), np.uint8))
    assert corrections.correct.isEnabled() and corrections.correct.toolTip() == tip
    for button in (iterations.save, iterations.changes, places.next, places.uncertainty):
        assert not button.isEnabled() and button.toolTip().endswith("there is no mask of what is on show yet.")
    assert "Nothing is corrected yet" in corrections.export.toolTip()
    assert "Nothing is corrected yet" in panel.fine_tune_section.fine_tune.toolTip()
    panel.session.activity = Activity("running", "Segmenting")
    assert "wait for it or cancel it" in panel.segment_section.segment.toolTip()
    panel.session.activity = Activity()
    window = panel.batch_section.open_window()
    assert "Name the folder of images" in window.start.toolTip()
    assert "Select an image in the table first" in window.correct.toolTip()
    window.form.refresh(still=False)
    assert not any(button.isEnabled() for button in window.form.browse)  # else a run would end in another folder


def test_the_threshold_can_be_dragged_finely_in_a_narrow_panel(viewer: Any) -> None:
    options = panel_with(viewer).options_section
    options.resize(310, 400)
    options.layout().activate()
    options.threshold.parentWidget().layout().activate()
    groove = options.threshold.findChild(QSlider)
    assert groove.width() >= 90, groove.width()  # a pixel is about a hundredth


def test_the_options_are_those_of_the_settings(viewer: Any) -> None:
    panel = panel_with(viewer)
    options = panel.options_section
    assert bounds("iterations") == (1, 10)
    options.iterations.setValue(7)
    assert panel.session.settings.iterations == 7
    options.iterations.setValue(0)
    assert panel.session.settings.iterations is None
    options.threshold.setValue(0.25)
    assert panel.session.settings.threshold == 0.25
    options.reset.click()
    assert panel.session.settings.threshold is None
    assert options.threshold.value() == 0.5
    assert options.rescale.isChecked() and not options.rescale.isEnabled()  # its card names no width of structures
    retina = next(model for model in panel.session.models if model.card.id == "retina")
    panel.choices.choose_model(retina)
    assert options.rescale.isEnabled()
    options.rescale.click()
    assert panel.session.settings.rescale is False


def test_a_sample_comes_with_its_model_until_a_person_chooses_another(viewer: Any, photograph: np.ndarray) -> None:
    panel = panel_with(viewer)
    tiny = panel.session.model
    sample = viewer.add_image(photograph, rgb=True, metadata={"napari_runet_model": "retina"})
    assert panel.session.model.card.id == "retina"
    panel.choices.choose_model(tiny)
    other = viewer.add_image(photograph, rgb=True)
    viewer.layers.selection.active = sample
    assert panel.session.image is sample and panel.session.model == tiny
    viewer.layers.selection.active = other
    assert panel.session.model == tiny
    viewer.add_image(photograph, rgb=True, metadata={"napari_runet_model": "no such model"})
    assert panel.session.model == tiny


def test_a_panel_begins_with_the_model_that_was_chosen_last(make_napari_viewer: Callable[..., Any], home: Path) -> None:
    first = open_panel(make_napari_viewer())
    assert first.session.model == first.session.models[0]
    retina = next(model for model in first.session.models if model.card.id == "retina")
    assert retina != first.session.models[0]
    models = first.model_section.models
    models.setCurrentIndex(models.findData(retina))
    models.activated.emit(models.currentIndex())
    assert open_panel(make_napari_viewer()).session.model == retina
    get_plugin_settings("napari-runet").models.chosen = "gone"
    begun = open_panel(make_napari_viewer()).session
    assert begun.model == begun.models[0] and not begun.notice.text


def test_the_list_of_models_shows_the_one_that_was_chosen_from_it(
    viewer: Any, home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    own = tmp_path / "home"
    shutil.copytree(home, own)
    monkeypatch.setenv("NAPARI_RUNET_HOME", str(own))
    panel = open_panel(viewer)
    models = panel.model_section.models
    for title in ("Retina vessels", "Tiny (yours)", "Tiny (yours)"):
        models.showPopup()  # reads all cards anew
        models.hidePopup()
        models.setCurrentIndex(models.findText(title))
        models.activated.emit(models.currentIndex())
        assert models.currentText() == title
    shutil.rmtree(own / "models" / "tiny-classes")  # another entry than the chosen one
    panel.choices.list_models()
    assert models.currentText() == "Tiny (yours)" and models.findText("Tiny-classes (yours)") == -1


def test_a_card_can_be_read(viewer: Any) -> None:
    panel = panel_with(viewer)
    card = panel.session.model.card
    assert card.sentence in card_html(card)
    told = {"limits": "<b>bold</b>", "open_questions": "<i>whose?</i>", "metrics": {"dice": {"test": 0.123456}}}
    unsafe = card_html(card.model_copy(update=told))
    assert "&lt;b&gt;bold" in unsafe and "&lt;i&gt;whose?" in unsafe and "0.1235" in unsafe
    dialog = panel.model_section.show_card()
    assert card.title in dialog.text.toPlainText()
    dialog.close()


@pytest.mark.parametrize("seconds,text", [(None, "."), (0.2, "; about 1 s left."), (200, "; about 3 min left.")])
def test_time_left(seconds: float | None, text: str) -> None:
    assert time_left(seconds) == text


def test_progress_is_told_of_what_is_not_over_at_once(
    viewer: Any, photograph: np.ndarray, monkeypatch: pytest.MonkeyPatch
) -> None:
    panel = panel_with(viewer)
    viewer.add_image(photograph, rgb=True)
    monkeypatch.setattr(panel.engine, "segment", lambda *_, **__: "one")
    assert panel.segment_now()
    begun = panel.session.activity
    event = Progress(id="one", iteration=2, iterations=3, done=1, total=4, seconds_left=5.0)
    panel.segmentation.on_event(event)
    assert panel.session.activity == begun
    panel.segmentation.queue.begin -= 1
    panel.segmentation.on_event(event)
    assert panel.session.activity.fraction == pytest.approx(1.25 / 3) and panel.session.activity.seconds_left


def test_one_click_and_all_that_people_do_to_layers(viewer: Any, qtbot: Any, photograph: np.ndarray) -> None:
    image = viewer.add_image(photograph, name="photo", scale=(2, 3), rotate=20)
    panel = panel_with(viewer)
    segment(qtbot, panel)
    layers = list(viewer.layers)[1:]
    assert [layer.name for layer in layers] == [f"photo · tiny · iteration {t}" for t in (1, 2, 3)]
    assert viewer.layers.selection.active is layers[2]
    result = panel.session.results.result
    assert result.state == "complete" and len(result) == 3
    np.testing.assert_allclose(layers[0].data_to_world((5, 7)), image.data_to_world((5, 7)))
    assert 0 < layers[2].data.mean() < 1

    # a threshold acts at once on the shown iteration, and soon on the hidden ones
    panel.options_section.threshold.setValue(0.6)
    np.testing.assert_array_equal(layers[2].data, (result.iterations[2].foreground[0] >= 153).astype(np.uint8))
    expected = (result.iterations[0].foreground[0] >= 153).astype(np.uint8)
    qtbot.waitUntil(lambda: np.array_equal(layers[0].data, expected), timeout=PATIENCE_MS)
    assert layers[0].metadata[RECORD]["threshold"] == 0.6

    # renamed, moved and deleted layers break nothing
    layers[0].name = "mine"
    viewer.layers.move(viewer.layers.index(layers[0]), 4)
    viewer.layers.remove(layers[1])
    image.name = "renamed"
    segment(qtbot, panel)
    assert panel.session.notice.text.startswith("renamed: 3 iterations")
    names = {layer.name for layer in viewer.layers}
    assert names == {"renamed", "mine", "renamed · tiny · iteration 3", "renamed · tiny · iteration 2"}

    # closed and opened again
    pid = panel.engine.worker_pid
    assert pid is not None
    viewer.window.remove_dock_widget(panel.parent())
    qtbot.waitUntil(lambda: not os.path.exists(f"/proc/{pid}"), timeout=PATIENCE_MS)
    again = panel_with(viewer)
    assert again is not panel
    assert again.session.results is panel.session.results
    assert again.session.shown == 3 and again.stepping.count == 3
    again.stepping.show(1)
    assert layers[0].visible
    segment(qtbot, again)
    assert len(viewer.layers) == 4


def test_new_masks_do_not_show_through_what_is_being_corrected(viewer: Any, qtbot: Any, photograph: np.ndarray) -> None:
    image = viewer.add_image(photograph, rgb=True, name="eye")
    panel = panel_with(viewer)
    segment(qtbot, panel)
    layer = panel.correcting.correct()
    assert layer is not None
    panel.session.settings = panel.session.settings.model_copy(update={"iterations": 4})
    segment(qtbot, panel)
    results = panel.session.results
    assert results is not None and len(results.result) == panel.session.shown == 4
    assert [there for there in viewer.layers if there.visible] == [image, layer]
    assert viewer.layers.selection.active is layer and layer.mode == "paint"
    assert "hidden" in panel.session.notice.text
    layer.visible = False  # now they are wanted
    segment(qtbot, panel)
    assert results.iterations[4].visible and "hidden" not in panel.session.notice.text
    panel.correcting.correct()
    assert layer.visible and not results.iterations[4].visible
    viewer.layers.remove(layer)
    assert results.iterations[4].visible
    panel.correcting.close()


def test_all_open_images_one_after_the_other(viewer: Any, qtbot: Any, photograph: np.ndarray) -> None:
    viewer.add_image(photograph, name="a")
    viewer.add_image(np.zeros((7, 40, 40)), name="seven", axis_labels=("c", "y", "x"))
    viewer.add_image(np.dstack([photograph, photograph[..., 0]]), name="b", rgb=True)
    stack = viewer.add_image(np.random.default_rng(0).random((6, 60, 50)), name="c")
    viewer.dims.set_current_step(0, 2)
    panel = panel_with(viewer)
    segment_all_images(viewer)
    wait_idle(qtbot, panel)
    text = panel.session.notice.text
    assert text.startswith("3 of 3 images segmented.") and "seven has 7 channels" in text
    assert text.count("transparency (alpha channel) of b is left out") == 1
    masks = [layer for layer in viewer.layers if isinstance(layer, Labels)]
    assert len(masks) == 9
    of_stack = next(layer for layer in masks if layer.name == "c · tiny · iteration 3")
    assert of_stack.data.shape == (6, 60, 50)
    assert [bool(plane.any()) for plane in of_stack.data] == [False, False, True, False, False, False]
    assert of_stack.data_to_world((2, 1, 2)) == stack.data_to_world((2, 1, 2))
    panel.choices.choose_image(viewer.layers["b"])
    segment(qtbot, panel)
    assert "transparency" not in panel.session.notice.text


def test_an_iteration_is_on_show_as_soon_as_it_is_there_and_no_image_is_taken_from_a_person(
    viewer: Any, qtbot: Any, photograph: np.ndarray
) -> None:
    image = viewer.add_image(photograph, name="photo")
    other = viewer.add_image(photograph[:90, :80], name="other")
    panel = panel_with(viewer)
    panel.choices.choose_image(image)
    seen = []

    def look() -> None:
        results = panel.session.results
        if results is not None and len(results.result) > len(seen):
            shown = [number for number, layer in results.iterations.items() if layer.visible]
            seen.append((len(results.result), panel.session.shown, shown, viewer.layers.selection.active.name))

    panel.session.events.revision.connect(look)
    segment(qtbot, panel)
    name = "photo · tiny · iteration"
    assert seen == [(t, t, [t], f"{name} 1") for t in (1, 2, 3)]
    assert viewer.layers.selection.active.name == f"{name} 3"  # once: napari does much at each change

    # A person who turns to another image meanwhile stays there; the masks are shown where they belong.
    panel.image_section.pin.click()
    panel.options_section.iterations.setValue(2)
    viewer.layers.selection.active = image
    assert panel.segment_now()
    viewer.layers.selection.active = other
    wait_idle(qtbot, panel)
    assert viewer.layers.selection.active is other
    assert panel.session.image is other and panel.session.results is None
    assert [layer.name for layer in viewer.layers if layer.visible] == ["photo", "other", f"{name} 2"]


def test_an_image_that_is_removed_is_not_segmented_any_further(
    viewer: Any, qtbot: Any, photograph: np.ndarray, capsys: pytest.CaptureFixture[str]
) -> None:
    image = viewer.add_image(photograph, name="photo")
    viewer.add_image(photograph, name="next")
    panel = panel_with(viewer)
    assert panel.segment_all()
    assert panel.session.activity.text.endswith("photo")
    viewer.layers.remove(image)
    wait_idle(qtbot, panel)
    assert "photo was closed before" in panel.session.notice.text
    assert {layer.name.split(" ")[0] for layer in viewer.layers} == {"next"}
    assert len(viewer.layers) == 4
    assert panel.segment_now()
    segment_this_image(viewer)
    assert "is being segmented" in capsys.readouterr().out
    viewer.layers.clear()
    wait_idle(qtbot, panel)
    assert not viewer.layers
    segment_this_image(viewer)
    assert "No image is open" in capsys.readouterr().out


def test_several_classes_in_their_colours_over_part_of_the_image(viewer: Any, qtbot: Any) -> None:
    image = viewer.add_image(np.random.default_rng(0).random((80, 90)), name="grey")
    viewer.add_shapes([np.array([[10, 20], [10, 50], [40, 50], [40, 20]])], shape_type="rectangle")
    panel = panel_with(viewer, "tiny-classes")
    assert panel.session.image is image
    drawn = viewer.layers["Shapes"].data
    viewer.layers["Shapes"].data = []
    panel.options_section.region.activated.emit(2)
    assert panel.session.region == "shapes"
    assert "encloses nothing" in panel.session.obstacle
    viewer.layers["Shapes"].add_rectangles(drawn)
    assert panel.session.obstacle == ""
    segment(qtbot, panel)
    assert panel.session.notice.kind == "info", panel.session.notice
    layer = panel.session.results.iterations[3]
    assert tuple(layer.translate) == (10, 20) and layer.data.shape[0] in range(30, 33)
    np.testing.assert_allclose(layer.get_color(2)[:3], [1, 0xB7 / 255, 0x03 / 255], atol=0.01)


def test_a_model_that_was_installed_meanwhile_is_in_the_list(
    viewer: Any, home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    own = tmp_path / "home"
    monkeypatch.setenv("NAPARI_RUNET_HOME", str(own))
    panel = open_panel(viewer)
    assert panel.model_section.models.findText("Tiny (yours)") == -1
    shutil.copytree(home, own)
    panel.model_section.models.showPopup()
    assert panel.model_section.models.findText("Tiny (yours)") >= 0
    panel.model_section.models.hidePopup()
    panel.choices.choose_model(next(model for model in panel.session.models if model.card.id == "tiny"))
    shutil.rmtree(own / "models" / "tiny")
    panel.choices.list_models()
    assert panel.session.notice.kind == "warning"
    assert panel.session.notice.text.startswith("Tiny is no longer among the models; ")
    assert panel.session.model is not None and panel.session.model.card.title in panel.session.notice.text


def test_a_damaged_model_is_refused_in_words(
    viewer: Any, qtbot: Any, photograph: np.ndarray, home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    broken = tmp_path / "home"
    shutil.copytree(home, broken)
    weights = broken / "models" / "tiny" / "model.safetensors"
    weights.write_bytes(weights.read_bytes()[:-100])
    (broken / "models" / "newer").mkdir()
    (broken / "models" / "newer" / "card.json").write_text('{"schema_version": 99}')
    monkeypatch.setenv("NAPARI_RUNET_HOME", str(broken))
    viewer.add_image(photograph)
    panel = panel_with(viewer)
    assert "newer version" in panel.model_section.problems.text()
    panel.segmentation.warm_up()
    qtbot.waitUntil(lambda: "damaged" in panel.session.obstacle, timeout=PATIENCE_MS)
    assert not panel.segment_section.segment.isEnabled()
    panel.choices.choose_model(next(model for model in panel.session.models if model.card.id == "tiny-classes"))
    assert "damaged" not in panel.session.obstacle


@pytest.mark.usefixtures("default_keys")
def test_keys_are_changed_in_the_preferences(viewer: Any, qtbot: Any, photograph: np.ndarray) -> None:
    viewer.add_image(photograph)
    panel = panel_with(viewer)
    segment(qtbot, panel)
    layer = panel.session.results.iterations[3]
    assert {str(key) for key in layer.keymap} >= {"J", "K", "Shift+J", "Shift+K", "G", "H"}
    get_plugin_settings("napari-runet").keys.next = "U"
    assert "U" in {str(key) for key in layer.keymap} and "K" not in {str(key) for key in layer.keymap}
