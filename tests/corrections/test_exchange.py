import numpy as np
import pytest
import tifffile
from PIL import Image

from napari_runet.corrections.annotator import Annotator
from napari_runet.corrections.correction import UNKNOWN, Correction
from napari_runet.corrections.exchange import export_correction, import_corrections
from napari_runet.io.images import FileError
from napari_runet.training.pairs import read_pairs


@pytest.mark.parametrize("image", [
    np.arange(30, dtype=np.uint16).reshape(5, 6),
    np.random.default_rng(0).integers(0, 255, (5, 6, 3), dtype=np.uint8),
    np.linspace(0, 1, 30, dtype=np.float32).reshape(5, 6),
])  # fmt: skip
def test_what_is_exported_is_what_training_reads_and_what_is_imported(tmp_path, image):
    labels = np.full((5, 6), UNKNOWN, np.uint8)
    labels[1:3, 2] = [0, 2]
    export_correction(tmp_path, "eye", image, Correction(labels))
    (pair,) = read_pairs(tmp_path)
    assert np.array_equal(pair.image, image) and np.array_equal(pair.labels, labels)
    assert np.array_equal(import_corrections(tmp_path)["eye"].labels, labels)


@pytest.mark.parametrize("channels", [1, 2, 4])
def test_an_exported_image_is_one_picture_for_other_programs_too(tmp_path, channels):
    image = np.random.default_rng(0).integers(0, 255, (15, 16, channels), np.uint8)
    export_correction(tmp_path, "eye", image, Correction(np.full((15, 16), UNKNOWN, np.uint8)))
    with tifffile.TiffFile(tmp_path / "images" / "eye.tif") as file:
        assert len(file.pages) == 1 and file.series[0].axes == ("YX" if channels == 1 else "YXS")
    (pair,) = read_pairs(tmp_path)
    assert np.array_equal(pair.image.reshape(image.shape), image)


@pytest.mark.parametrize("label", [-1, -2, 256, 511])
def test_labels_that_are_no_class_ids_are_refused(tmp_path, label):
    (tmp_path / "labels").mkdir()
    tifffile.imwrite(tmp_path / "labels" / "eye.tif", np.full((5, 6), label, np.int16))
    with pytest.raises(FileError, match="is no label image"):
        import_corrections(tmp_path)


def test_two_label_images_of_one_name_are_refused(tmp_path):
    (tmp_path / "labels").mkdir()
    for ending in ("tif", "png"):
        Image.fromarray(np.zeros((5, 6), np.uint8)).save(tmp_path / "labels" / f"eye.{ending}")
    with pytest.raises(FileError, match=r"eye\.png and eye\.tif share a name"):
        import_corrections(tmp_path)


def test_export_never_overwrites_and_import_refuses_what_is_no_label_image(tmp_path):
    correction = Correction(np.zeros((3, 3), np.uint8), (2,))
    path = export_correction(tmp_path, "movie", np.zeros((3, 3)), correction)
    assert path.name == "movie_2.tif"
    with pytest.raises(FileError, match="already"):
        export_correction(tmp_path, "movie", np.zeros((3, 3)), correction)
    path.write_bytes(b"no image")
    with pytest.raises(FileError, match="not an image"):
        import_corrections(tmp_path)
    with pytest.raises(FileError, match="no label images"):
        import_corrections(tmp_path / "nowhere")


def test_the_annotator_paints_the_truth_on_the_worst_mistakes_and_no_more_than_it_may():
    truth = np.zeros((60, 60), np.uint8)
    truth[10:14, 5:50] = 1
    shown = np.zeros_like(truth)
    shown[40:55, 40:55] = 1
    shown[0, 0] = 1
    known = np.full(truth.shape, UNKNOWN, np.uint8)
    painted = Annotator(pixels=60, mistakes=2).correct(shown, truth, known)
    where = painted != UNKNOWN
    assert where.sum() == 60
    assert (painted[where] == truth[where]).all() and (shown[where] != truth[where]).all()
    assert where[10:14, 5:50].any() and where[40:55, 40:55].any() and not where[0, 0]
    again = Annotator(pixels=60, mistakes=2).correct(shown, truth, painted)
    assert (again[where] == painted[where]).all() and (again != UNKNOWN).sum() > where.sum()
