"""OME-Zarr in and out: metadata by an independent validator, pixels, pyramids, and what is broken."""

import pickle
import shutil
from pathlib import Path

import numpy as np
import pytest
import zarr

from napari_runet.io.images import FileError
from napari_runet.io.ome_zarr import content_of, read_ome_zarr, state_of
from napari_runet.io.ome_zarr_labels import GrowingLabels, LabelImage, LabelLevel, with_coarser_levels
from ome_zarr_images import MODELS, chunk_files, write_image

PIXELS = np.random.default_rng(0).integers(0, 255, (3, 70, 90), np.uint8)


@pytest.mark.parametrize("version", ["0.4", "0.5"])
def test_an_image_is_read_as_it_says(tmp_path, version):
    path = write_image(tmp_path / "a.zarr", PIXELS, version=version, levels=2)
    image = read_ome_zarr(path)
    assert (image.version, image.axes, image.units) == (version, "CYX", (None, "micrometer", "micrometer"))
    assert [level.shape for level in image.levels] == [(3, 70, 90), (3, 35, 45)]
    assert image.levels[1].scale == (1.0, 1.0, 0.5) and image.levels[1].translation == (0, 0, 0)
    array = pickle.loads(pickle.dumps(image.array(0)))
    np.testing.assert_array_equal(array[0, 10:20, 30:80:2], PIXELS[0, 10:20, 30:80:2])
    with pytest.raises(FileError, match="levels 0 to 1, and none with number 2; choose another by --level"):
        image.level(2)


def test_scales_and_translations_of_all_levels_are_put_together(tmp_path):
    path = write_image(tmp_path / "a.zarr", PIXELS)
    group = zarr.open_group(path)
    ome = group.attrs["ome"]
    ome["multiscales"][0]["datasets"][0]["coordinateTransformations"].append(
        {"type": "translation", "translation": [0, 4, 6]}
    )
    ome["multiscales"][0]["coordinateTransformations"] = [{"type": "scale", "scale": [1, 10, 10]}]
    group.attrs["ome"] = ome
    [level] = read_ome_zarr(path).levels
    assert (level.scale, level.translation) == ((1, 5, 2.5), (0, 40, 60))


def test_what_is_no_image_is_a_sentence(tmp_path):
    with pytest.raises(FileError, match="there is no such folder"):
        read_ome_zarr(tmp_path / "missing.zarr")
    collection = tmp_path / "all.zarr"
    zarr.open_group(collection, mode="w").attrs["bioformats2raw.layout"] = 3
    write_image(collection / "0", PIXELS)
    with pytest.raises(FileError, match=r"give the folder of the image in it, such as .*all\.zarr/0"):
        read_ome_zarr(collection)
    zarr.open_group(collection, mode="a").attrs["plate"] = {}
    with pytest.raises(FileError, match="plate"):
        read_ome_zarr(collection)
    (collection / "0" / "zarr.json").write_text("{")
    with pytest.raises(FileError, match="holds no group"):
        read_ome_zarr(collection / "0")
    without = write_image(tmp_path / "b.zarr", PIXELS)
    shutil.rmtree(without / "0")
    with pytest.raises(FileError, match="is no zarr array"):
        read_ome_zarr(without)
    odd = write_image(tmp_path / "c.zarr", PIXELS)
    group = zarr.open_group(odd)
    group.attrs["ome"] = {"multiscales": [{"axes": 3}]}
    with pytest.raises(FileError, match="are not those of an OME-Zarr image"):
        read_ome_zarr(odd)


def test_damaged_chunks_and_vanished_stores_are_told_and_never_read_as_zeros(tmp_path):
    path = write_image(tmp_path / "a.zarr", PIXELS)
    array = read_ome_zarr(path).array(0)
    array[:, :32, :32]
    damaged = path / "0" / "c" / "0" / "0" / "1"
    damaged.write_bytes(b"xx" + damaged.read_bytes()[2:])
    np.testing.assert_array_equal(array[:, :32, :32], PIXELS[:, :32, :32])
    with pytest.raises(FileError, match=r"a\.zarr/0 cannot be read at \[0:3, 0:32, 30:50\]"):
        array[0:3, 0:32, 30:50]
    shutil.rmtree(path)
    with pytest.raises(FileError, match="vanished while it was read"):
        array[:, :32, :32]


def test_the_digest_is_of_the_level_and_the_state_changes_with_any_file(tmp_path):
    path = write_image(tmp_path / "a.zarr", PIXELS, levels=2)
    image = read_ome_zarr(path)
    content, state = content_of(image, 0), state_of(image, 0)
    copy = read_ome_zarr(Path(shutil.copytree(path, tmp_path / "copy.zarr")))
    assert content_of(copy, 0) == content and state_of(copy, 0) != state
    chunk = chunk_files(path)[0]
    chunk.write_bytes(chunk.read_bytes())
    assert content_of(image, 0) == content and state_of(image, 0) != state
    chunk_files(path, 1)[0].write_bytes(b"other level")
    assert content_of(image, 0) == content
    chunk.write_bytes(b"other")
    assert content_of(image, 0) != content


def image_of(version: str, shape: tuple[int, ...] = (2, 1500, 1100)) -> LabelImage:
    finest = LabelLevel(shape, (1.0, 0.5, 0.25)[-len(shape) :], (0.0, 3.0, 4.0)[-len(shape) :])
    return LabelImage(
        name="roads", version=version, axes="TYX"[-len(shape):], levels=with_coarser_levels((finest,)),
        units=(None, "micrometer", None)[-len(shape):], core=256,
        classes=(("road", "#ff2fd0"), ("river", "#102030")), made_by={"model_id": "roads"},
    )  # fmt: skip


@pytest.mark.parametrize("version", ["0.4", "0.5"])
def test_labels_are_valid_by_the_models_of_the_format_and_a_nearest_pyramid(tmp_path, version):
    image = image_of(version)
    mask = np.random.default_rng(1).integers(0, 3, image.levels[0].shape, np.uint8)
    growing = GrowingLabels.create(tmp_path / "growing", image)
    for t in range(2):
        for y in range(0, 1500, 256):
            for x in range(0, 1100, 256):
                pickle.loads(pickle.dumps(growing)).write((t,), y, x, mask[t, y : y + 256, x : x + 256])
    growing.finish(image)
    growing.publish(tmp_path / "out.ome.zarr", "roads")

    models = MODELS[version]
    labels = zarr.open_group(tmp_path / "out.ome.zarr" / "labels", mode="r")
    assert models.Labels.from_zarr(labels).attributes.model_dump().get("labels", ["roads"]) == ["roads"]
    label = models.ImageLabel.from_zarr(labels["roads"])
    said = label.attributes.ome if version == "0.5" else label.attributes
    colours = {each.label_value: tuple(each.rgba) for each in said.image_label.colors}
    assert colours == {1: (255, 47, 208, 255), 2: (16, 32, 48, 255)}
    [multiscale] = said.multiscales
    assert [axis.name for axis in multiscale.axes] == ["t", "y", "x"] and multiscale.axes[1].unit == "micrometer"
    for k, dataset in enumerate(multiscale.datasets):
        scale, translation = dataset.coordinateTransformations
        assert scale.scale == [1, 0.5 * 2**k, 0.25 * 2**k] and translation.translation == [0, 3, 4]
        np.testing.assert_array_equal(labels["roads"][dataset.path][:], mask[:, :: 2**k, :: 2**k])
    assert len(multiscale.datasets) == 3
    assert labels["roads"].attrs["napari-runet"] == {"model_id": "roads"}


@pytest.mark.parametrize("version", ["0.4", "0.5"])
def test_labels_in_the_image_itself_leave_others_as_they_are(tmp_path, version):
    store = write_image(tmp_path / "a.zarr", PIXELS, version=version)
    for name, value in (("roads", 1), ("rivers", 2), ("roads", 3)):
        image = image_of(version, (70, 90))
        growing = GrowingLabels.create(tmp_path / "growing", image)
        growing.write((), 0, 0, np.full((70, 90), value, np.uint8))
        growing.finish(image)
        growing.publish(store, name)
    models = MODELS[version]
    whole = models.Image.from_zarr(zarr.open_group(store, mode="r"))
    assert whole.labels is not None
    labels = zarr.open_group(store / "labels", mode="r")
    said = labels.attrs.asdict()
    assert said.get("ome", said)["labels"] == ["roads", "rivers"]
    assert [int(labels[name]["0"][0, 0]) for name in ("roads", "rivers")] == [3, 2]
    assert not list((store / "labels").glob(".*.*"))
    np.testing.assert_array_equal(read_ome_zarr(store).array(0)[:], PIXELS)
