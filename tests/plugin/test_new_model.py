"""A model of one's own, made and painted for by mouse, before there is any mask."""

from dataclasses import replace

import numpy as np
import pytest
from correcting_helpers import PATIENCE, dock, paint, predict, press
from qtpy.QtCore import Qt
from qtpy.QtTest import QTest
from qtpy.QtWidgets import QApplication, QColorDialog

from napari_runet.engine.messages import Failed
from napari_runet.models.store import ModelStore, read_card


@pytest.fixture
def panel(make_napari_viewer, own_home, photograph):
    viewer = make_napari_viewer(show=True)
    viewer.add_image(photograph, name="eye", rgb=True)
    panel = dock(viewer, show=True)
    yield panel
    for engine in (panel.engine, panel.tuning_engine):
        engine.close()
    panel.correcting.close()


def choose(box, text):
    """An entry of a combo box, by its list and a click."""
    box.showPopup()
    index = next(i for i in range(box.count()) if text in box.itemText(i))
    view = box.view()
    view.scrollTo(box.model().index(index, 0))
    middle = view.visualRect(box.model().index(index, 0)).center()
    QTest.mouseClick(view.viewport(), Qt.MouseButton.LeftButton, pos=middle)


def ask(panel, qtbot):
    """The dialog, opened by a click."""
    panel.scroll_area.ensureWidgetVisible(panel.model_section.new)
    opened = []
    original = panel.model_section.new_model
    panel.model_section.new.clicked.disconnect()
    panel.model_section.new.clicked.connect(lambda: opened.append(original()))
    press(panel.model_section.new)
    qtbot.waitUntil(lambda: bool(opened) and opened[0].isVisible(), timeout=PATIENCE)
    return opened[0]


def test_a_model_from_nothing_is_made_chosen_and_painted_for_without_a_mask(panel, qtbot, own_home, monkeypatch):
    dialog = ask(panel, qtbot)
    assert not dialog.make.isEnabled() and "name" in dialog.problem.text()
    QTest.keyClicks(dialog.name, "Pollen Grains")
    QTest.keyClicks(dialog.rows[0].name, "grain")
    press(dialog.add)
    qtbot.waitUntil(dialog.rows[1].isVisible, timeout=PATIENCE)
    assert not dialog.make.isEnabled()  # the second class has no name yet
    QTest.keyClicks(dialog.rows[1].name, "wall")
    monkeypatch.setattr(QColorDialog, "getColor", lambda color, *_: type(color)("#123456"))
    press(dialog.rows[1].pick)
    press(dialog.make)
    qtbot.waitUntil(lambda: panel.session.model.card.title == "Pollen Grains", timeout=120_000)
    card = read_card(ModelStore().user / "pollen-grains")
    assert [info.name for info in card.classes] == ["background", "grain", "wall"]
    assert card.classes[2].color == "#123456" and card.network.in_channels == 3 and card.parent is None
    assert "Press Correct" in panel.session.notice.text
    panel.scroll_area.ensureWidgetVisible(panel.correct_section.correct)
    press(panel.correct_section.correct)
    layer = panel.session.correction.layer
    assert not layer.data.any()
    qtbot.wait(300)
    layer.selected_label = 2
    paint(panel._viewer, qtbot, layer, (40, 40), (40, 120))
    known = panel.session.correction.known
    qtbot.waitUntil(lambda: known.flags.any(), timeout=PATIENCE)
    assert set(np.unique(known.labels[known.flags != 0])) == {2} and known.classes == ("background", "grain", "wall")


def test_a_model_is_described_by_the_keyboard_alone_and_all_of_it_can_be_read(panel, qtbot, monkeypatch):
    asked = []
    monkeypatch.setattr(panel.engine, "new_model", lambda output, **options: asked.append((output, options)) or "new 1")
    dialog = ask(panel, qtbot)
    qtbot.waitUntil(dialog.name.hasFocus, timeout=PATIENCE)

    def type_on(text, *keys):
        QTest.keyClicks(QApplication.focusWidget(), text)
        for key in keys:
            QTest.keyClick(QApplication.focusWidget(), key)

    type_on("tiny")
    assert "already" in dialog.problem.text()
    qtbot.waitUntil(lambda: dialog.height() >= dialog.layout().totalHeightForWidth(dialog.width()), timeout=PATIENCE)
    dialog.name.clear()
    type_on("Twigs", Qt.Key.Key_Tab)
    assert dialog.rows[0].name.hasFocus()
    type_on("twig", Qt.Key.Key_Tab)
    while not dialog.add.hasFocus():
        type_on("", Qt.Key.Key_Tab)
    type_on("", Qt.Key.Key_Space)
    assert dialog.rows[1].name.hasFocus() and "Each class" in dialog.problem.text()
    type_on("", Qt.Key.Key_Return)
    assert len(dialog.rows) == 2 and dialog.isVisible()  # it cannot be made yet
    type_on("leaf", Qt.Key.Key_Return)
    qtbot.waitUntil(lambda: bool(asked), timeout=PATIENCE)
    assert [info.name for info in asked[0][1]["classes"]] == ["background", "twig", "leaf"]


def test_layers_of_another_model_are_offered_and_a_taken_name_is_refused(panel, qtbot, monkeypatch):
    asked = []
    monkeypatch.setattr(panel.engine, "new_model", lambda output, **options: asked.append((output, options)) or "new 1")
    dialog = ask(panel, qtbot)
    QTest.keyClicks(dialog.name, "tiny")
    QTest.keyClicks(dialog.rows[0].name, "twig")
    assert not dialog.make.isEnabled() and "already" in dialog.problem.text()
    dialog.name.clear()
    QTest.keyClicks(dialog.name, "Twigs")
    press(dialog.add)
    qtbot.waitUntil(dialog.rows[1].isVisible, timeout=PATIENCE)
    press(dialog.rows[1].remove)
    assert len(dialog.rows) == 1 and dialog.make.isEnabled()
    choose(dialog.start_with, "Tiny")
    press(dialog.make)
    ((output, options),) = asked
    assert output == ModelStore().user / "twigs" and options["title"] == "Twigs"
    assert options["parent"].name.startswith("tiny") and options["channels"] == 3
    panel.making.on_event(Failed(id="new 1", message="There is no space left."))
    assert panel.session.notice.kind == "error" and "no space" in panel.session.notice.text


def test_a_mask_of_other_classes_is_not_painted_on(panel, card):
    image = panel._viewer.layers["eye"]
    panel.choices.choose_model(next(model for model in panel.session.models if model.card.id == "tiny"))
    predict(panel, image, np.ones((150, 200)), card)  # of a model that finds vessels
    first = panel.correcting.correct()
    assert not first.data.any() and panel.session.correction.known.classes == ("background", "class 1")
    panel.correcting.reviewing.review("view")
    outline = panel.session.correction.outline
    panel.correcting.reviewing.take_back()
    retina = next(model for model in panel.session.models if model.card.id == "retina")
    panel.choices.choose_model(retina)
    second = panel.correcting.correct()  # nothing was painted for the other model
    assert second.data.all() and first not in panel._viewer.layers and outline not in panel._viewer.layers
    second.paint((20, 20), 0)
    panel.session.correction.compare()
    panel.choices.choose_model(next(model for model in panel.session.models if model.card.id == "tiny"))
    assert not panel.fine_tuning.start()
    assert "vessel" in panel.session.tuning_notice.text and "learns nothing" in panel.session.tuning_notice.text
    panel.correcting.correct()
    assert "learns nothing from this layer" in panel.session.correction_notice.text
    panel.choices.choose_model(retina)  # as that sentence says
    mine = replace(retina, card=retina.card.model_copy(update={"id": "mine"}))
    panel.session.models = (*panel.session.models, mine)
    panel.session.model = mine
    classes = retina.card.class_names
    assert panel.correcting.predictions.card(image, classes) is mine.card, "the colours are those of the chosen one"
    assert not panel.session.correction_notice.text
