"""Pairs of image and labels: what is read, and a sentence for what cannot be."""

import numpy as np
import pytest
import tifffile
from PIL import Image

from napari_runet.training.losses import UNKNOWN
from napari_runet.training.pairs import DataError, PairFolder, known_labels, read_pairs

IMAGE = np.random.default_rng(0).integers(0, 256, (20, 30, 3), np.uint8)
HALF = np.zeros((20, 30), np.uint8)
HALF[:, :15] = 255


def put(folder, kind, name, array):
    (folder / kind).mkdir(parents=True, exist_ok=True)
    path = folder / kind / name
    if path.suffix == ".tif":
        tifffile.imwrite(path, array, photometric="minisblack")
    else:
        (array if isinstance(array, Image.Image) else Image.fromarray(array)).save(path)


def pair_of(folder, mask, *, kind="masks", name="a.png"):
    put(folder, "images", "a.png", IMAGE)
    put(folder, kind, name, mask)
    (pair,) = read_pairs(folder)
    return pair


def with_alpha(colours):
    return np.concatenate([colours, np.full((20, 30, 1), 255, np.uint8)], axis=-1)


@pytest.mark.parametrize(
    ("mask", "name"),
    [
        (HALF, "a.png"),
        (HALF // 255, "a.png"),
        (HALF > 0, "a.tif"),
        ((HALF > 0) * np.float32(0.5), "a.tif"),
        (HALF.astype(np.uint16) * 256, "a.tif"),
        (np.repeat(HALF[..., None], 3, -1), "a.png"),
        (with_alpha(np.repeat(HALF[..., None], 3, -1)), "a.png"),
        (with_alpha(HALF[..., None]), "a.png"),
        (Image.fromarray(HALF).convert("1"), "a.png"),
        (HALF, "a.gif"),
    ],
)
def test_any_kind_of_mask_is_foreground_where_it_is_not_zero(tmp_path, mask, name):
    np.testing.assert_array_equal(pair_of(tmp_path, mask, name=name).labels, HALF > 0)


def test_labels_are_class_ids_also_in_a_palette(tmp_path):
    ids = np.random.default_rng(0).choice([0, 1, 18, 255], (20, 30)).astype(np.uint8)
    np.testing.assert_array_equal(pair_of(tmp_path / "plain", ids, kind="labels").labels, ids)
    palette = Image.fromarray(ids, mode="P")
    palette.putpalette([7, 7, 7] * 256)
    np.testing.assert_array_equal(pair_of(tmp_path / "palette", palette, kind="labels").labels, ids)


def test_images_of_every_kind_that_can_be_segmented_can_be_learned_from(tmp_path):
    put(tmp_path, "images", "a.ppm", IMAGE)
    put(tmp_path, "masks", "a.gif", HALF)
    put(tmp_path, "fov", "a.gif", HALF)
    (pair,) = read_pairs(tmp_path)
    np.testing.assert_array_equal(pair.image, IMAGE)
    np.testing.assert_array_equal(pair.labels, HALF > 0)
    np.testing.assert_array_equal(pair.fov, HALF > 0)
    (tmp_path / "masks").rename(tmp_path / "labels")
    with pytest.raises(DataError, match="labels"):  # such a file numbers its colours anew
        read_pairs(tmp_path)


def test_outside_the_field_of_view_nothing_is_known(tmp_path):
    put(tmp_path, "fov", "a.png", HALF)
    pair = pair_of(tmp_path, HALF)
    np.testing.assert_array_equal(known_labels(pair), np.where(HALF > 0, 1, UNKNOWN))


@pytest.mark.parametrize(
    ("mask", "kind", "says"),
    [
        (np.full((20, 30), 300, np.uint16), "labels", "holds 300 to 300; class ids are 0 to 254"),
        (np.full((20, 30), -1, np.int16), "labels", "holds -1 to -1"),
        (np.full((20, 30), 0.5, np.float32), "labels", "no class ids"),
        (np.full((20, 30), np.nan, np.float32), "labels", "no class ids"),
        (np.full((20, 30), np.nan, np.float32), "masks", "not numbers"),
        (np.zeros((30, 20), np.uint8), "masks", "a: the image is 20 x 30, its file in masks/ is 30 x 20"),
        (np.zeros((4, 20, 30), np.uint8), "masks", "the image is 20 x 30, its file in masks/"),
    ],
)
def test_labels_that_cannot_be_used_are_a_sentence(tmp_path, mask, kind, says):
    with pytest.raises(DataError, match=says):
        pair_of(tmp_path, mask, kind=kind, name="a.tif")


def test_soft_masks_are_noted(tmp_path):
    soft = HALF.copy()
    soft[:, 15] = 90
    put(tmp_path, "images", "a.png", IMAGE)
    put(tmp_path, "masks", "a.png", soft)
    pairs = PairFolder(tmp_path)
    assert pairs[0].labels[:, 15].all() and "1 mask holds more than one value above 0 (such as a.png)" in pairs.notes[0]
    put(tmp_path, "masks", "a.png", HALF)
    pairs = PairFolder(tmp_path)
    assert pairs[0].labels.any() and pairs.notes == []


def test_masks_without_an_image_are_noted(tmp_path):
    pair_of(tmp_path, HALF)
    put(tmp_path, "masks", "stray.png", HALF)
    assert PairFolder(tmp_path).notes == ["Files in masks/ without an image are left out: 1, such as stray.png."]


def test_folders_that_cannot_be_used_are_a_sentence(tmp_path):
    with pytest.raises(DataError, match="There is no folder"):
        PairFolder(tmp_path / "nowhere")
    with pytest.raises(DataError, match="There are no images in"):
        PairFolder(tmp_path)
    put(tmp_path, "images", "a.png", IMAGE)
    put(tmp_path, "images", "b.png", IMAGE)
    put(tmp_path, "masks", "a.png", HALF)
    with pytest.raises(DataError, match=r"1 of 2 images in .* have no file in masks/; the first is 'b'"):
        PairFolder(tmp_path)
    put(tmp_path, "masks", "b.png", HALF)
    put(tmp_path, "fov", "a.png", HALF)
    with pytest.raises(DataError, match="no file in fov/; the first is 'b'"):
        PairFolder(tmp_path)
    put(tmp_path, "images", "a.jpg", IMAGE)
    with pytest.raises(DataError, match="share a name"):
        PairFolder(tmp_path)


def test_pairs_are_read_when_asked_for_and_in_the_order_of_their_names(tmp_path):
    for name in ("b", "a", "c"):
        put(tmp_path, "images", f"{name}.png", IMAGE)
        put(tmp_path, "masks", f"{name}.png", HALF)
    (tmp_path / "images" / "._a.png").write_bytes(b"what some systems leave behind")
    pairs = PairFolder(tmp_path)
    (tmp_path / "images" / "c.png").write_bytes(b"damaged since")
    assert len(pairs) == 3 and [pair.name for pair in pairs[:2]] == ["a", "b"]
    with pytest.raises(ValueError, match=r"c\.png is not an image"):
        pairs[2]
