from pathlib import Path
from unittest import mock

import numpy as np
import tifffile
from napari.components import ViewerModel
from qtpy.QtCore import Qt
from qtpy.QtTest import QTest
from qtpy.QtWidgets import QDialog, QFileDialog
from test_results import make

from napari_runet.models.card import ModelCard
from napari_runet.plugin.result_layers import ResultLayers
from napari_runet.plugin.save_dialog import SaveDialog
from napari_runet.plugin.saving import plan, write_all


def results(card: ModelCard, *names: str) -> list[ResultLayers]:
    viewer = ViewerModel()
    made = []
    for name in names:
        image = viewer.add_image(np.zeros((20, 30)), scale=(0.5, 0.25), units=("um", "um"))
        image.name = name
        made.append(ResultLayers(viewer, image, make(card)))
    return made


def test_the_shown_iteration_is_written_with_pixel_size(card: ModelCard, tmp_path: Path) -> None:
    (made,) = results(card, "photo")
    files = plan([made], tmp_path / "masks", "tif", 2)
    assert list(write_all(files)) == [tmp_path / "masks" / "photo.tif"]
    with tifffile.TiffFile(tmp_path / "masks" / "photo.tif") as tif:
        np.testing.assert_array_equal(tif.asarray(), made.result.labels(2))
        assert tif.pages[0].tags["XResolution"].value[0] / tif.pages[0].tags["XResolution"].value[1] == 4
        assert tif.imagej_metadata["unit"] == "um"


def test_all_iterations_of_all_images_get_names_of_their_own(card: ModelCard, tmp_path: Path) -> None:
    made = results(card, "a/b", "a:b")
    names = [file.path.name for file in plan(made, tmp_path, "png", None)]
    assert names == [f"{stem}_iteration{t}.png" for stem in ("a_b", "a_b-2") for t in (1, 2, 3)]
    assert len(list(write_all(plan(made, tmp_path, "png", None)))) == 6


def test_an_image_with_fewer_iterations_gives_its_last(card: ModelCard, tmp_path: Path) -> None:
    (made,) = results(card, "photo")
    (file,) = plan([made], tmp_path, "tif", 9)
    assert file.iteration == 3


def test_no_mask_is_written_over_its_image(card: ModelCard, tmp_path: Path, make_napari_viewer, qtbot) -> None:
    tifffile.imwrite(tmp_path / "photo.tif", np.zeros((20, 30), np.uint8))
    viewer = make_napari_viewer()
    (image,) = viewer.open(tmp_path / "photo.tif", plugin="napari")
    made = ResultLayers(viewer, image, make(card))
    dialog = SaveDialog(made, [made], 2, tmp_path)
    qtbot.addWidget(dialog)
    dialog.show()
    assert not dialog.save.isEnabled()
    assert dialog.preview.text() == f"{tmp_path / 'photo.tif'} is an image that is open; choose another folder."
    dialog.file_format.setCurrentIndex(dialog.file_format.findData("png"))
    assert dialog.save.isEnabled() and dialog.preview.text() == "photo.png"
    dialog.file_format.setCurrentIndex(dialog.file_format.findData("tif"))
    dialog.folder.clear()
    QTest.keyClicks(dialog.folder, str(tmp_path / "masks"))
    assert dialog.preview.text() == "photo.tif"
    dialog.browse.setFocus()  # as with the tab key, on the way to the folder
    dialog.folder.setFocus()
    with mock.patch.object(QFileDialog, "getExistingDirectory") as browsed:
        QTest.keyClick(dialog.folder, Qt.Key.Key_Return)
    assert not browsed.called and dialog.result() == QDialog.DialogCode.Accepted
