from pathlib import Path

import numpy as np
import tifffile
from napari.components import ViewerModel
from test_results import make

from napari_runet.models.card import ModelCard
from napari_runet.plugin.result_layers import ResultLayers
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
