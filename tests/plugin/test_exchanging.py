"""Corrections to a folder and back, by clicks."""

import numpy as np
from correcting_helpers import PATIENCE, dock, predict, press
from qtpy.QtWidgets import QFileDialog

from napari_runet.corrections.correction import UNKNOWN, Correction
from napari_runet.corrections.exchange import export_correction
from napari_runet.training.pairs import read_pairs


def opened(viewer, photograph, card):
    image = viewer.add_image(photograph, name="eye: left/1", rgb=True)
    panel = dock(viewer, show=True)
    predict(panel, image, np.zeros((150, 200)), card)
    panel.choices.choose_model(next(model for model in panel.session.models if model.card.id == "retina"))
    return panel


def until_told(qtbot, panel, words):
    qtbot.waitUntil(lambda: words in panel.session.correction_notice.text, timeout=PATIENCE)


def test_what_is_exported_by_a_click_is_read_by_training_and_comes_back_on_the_image(
    make_napari_viewer, qtbot, own_home, tmp_path, monkeypatch, photograph, card
):
    panel = opened(make_napari_viewer(show=True), photograph, card)
    section = panel.correct_section
    assert not section.export.isEnabled()
    layer = panel.correcting.correct()
    layer.paint((50, 60), 1)
    panel.session.correction.compare()
    labels = panel.session.correction.known.labels.copy()
    folder = tmp_path / "exported"
    monkeypatch.setattr(QFileDialog, "getExistingDirectory", lambda *_: str(folder))
    qtbot.waitUntil(section.export.isVisible, timeout=PATIENCE)
    panel.scroll_area.ensureWidgetVisible(section.export)
    press(section.export)
    until_told(qtbot, panel, "Wrote 1 corrected image ")
    (pair,) = read_pairs(folder)
    assert np.array_equal(pair.image, photograph) and np.array_equal(pair.labels, labels)
    press(section.export)
    until_told(qtbot, panel, "there already")

    panel.correcting.forget()
    layer.data[50, 60] = 0
    layer.paint((50, 61), 0, refresh=True)
    layer.paint((120, 150), 1)
    panel.session.correction.compare()
    since = panel.session.correction.known.labels.copy()
    press(section.import_)
    until_told(qtbot, panel, "of 1 image;")
    now = panel.session.correction.known.labels
    assert np.array_equal(now, np.where(since != UNKNOWN, since, labels))
    assert np.array_equal(layer.data[now != UNKNOWN], now[now != UNKNOWN])
    panel.correcting.close()
    panel.engine.close()


def test_what_fits_on_no_open_image_is_said(make_napari_viewer, qtbot, own_home, tmp_path, photograph, card):
    panel = opened(make_napari_viewer(), photograph, card)
    labels = np.full((150, 200), UNKNOWN, np.uint8)
    labels[5, 5] = 7
    export_correction(tmp_path, "another", photograph, Correction(labels))
    export_correction(tmp_path, "eye_ left_1", photograph, Correction(labels))
    export_correction(tmp_path, "eye_ left_1", photograph, Correction(labels[:50], (3,)))
    panel.exchanging.import_from(tmp_path)
    until_told(qtbot, panel, "of 0 images;")
    text = panel.session.correction_notice.text
    assert "No open image is called another" in text and "7, which is no class" in text and "another way" in text
    panel.exchanging.import_from(tmp_path / "nothing")
    until_told(qtbot, panel, "There are no label images")
    panel.correcting.close()
    panel.engine.close()


def test_an_image_whose_name_ends_in_a_number_gets_its_own_corrections(
    make_napari_viewer, qtbot, own_home, tmp_path, photograph, card
):
    viewer = make_napari_viewer()
    viewer.add_image(photograph, name="eye", rgb=True)
    numbered = viewer.add_image(photograph, name="eye_1", rgb=True)
    panel = dock(viewer)
    panel.choices.choose_model(next(model for model in panel.session.models if model.card.id == "retina"))
    labels = np.full((150, 200), UNKNOWN, np.uint8)
    labels[5, 5] = 1
    export_correction(tmp_path, "eye_1", photograph, Correction(labels))
    panel.exchanging.import_from(tmp_path)
    until_told(qtbot, panel, "of 1 image;")
    (plane,) = panel.correcting.images.corrected_planes()
    assert plane.image is numbered
    panel.correcting.close()
    panel.engine.close()
