"""napari's way to open OME-Zarr: images as they say they lie, with their labels."""

from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from napari_runet.io.ome_zarr import is_zarr, label_images, read_ome_zarr
from napari_runet.plugin.layers import label_colormap
from napari_runet.plugin.laying_out import lay_out

if TYPE_CHECKING:
    from collections.abc import Callable

    from napari_runet.io.large_source import LargeSource
    from napari_runet.io.ome_zarr import Level, OmeZarr

    LayerData = tuple[Any, dict[str, Any], str]

COLOURS = (3, 4)


def get_reader(path: "str | list[str]") -> "Callable[[str | list[str]], list[LayerData]] | None":
    """A reader for the folder of an OME-Zarr image; None for what is none."""
    if not isinstance(path, str) or not is_zarr(Path(path)):
        return None
    return lambda given: read(Path(given if isinstance(given, str) else given[0]))


def read(path: Path) -> "list[LayerData]":
    """The layers of an OME-Zarr image: the image, and each of its labels; or those of a label image alone.

    Raises
    ------
    FileError
        When it cannot be read.
    """
    image = read_ome_zarr(path)
    if image.colours is not None:
        return [_labels(image, image.path.name)]
    name = path.name.removesuffix(".zarr").removesuffix(".ome")
    layers = [_image(image, name)]
    return layers + [_labels_of(image, each, f"{name} · {each.path.name}") for each in label_images(path)]


def _image(image: "OmeZarr", name: str) -> "LayerData":
    """An image; colours come last, as napari has them."""
    channel, rgb = image.axes.find("C"), _is_rgb(image)
    arrays = _arrays(image)
    if rgb:
        arrays = [np.moveaxis(array, channel, -1) for array in arrays]
    kept = [axis for axis in range(len(image.levels[0].shape)) if not (rgb and axis == channel)]
    return arrays if len(arrays) > 1 else arrays[0], {"name": name, "rgb": rgb, **placed_as_said(image, kept)}, "image"


def _is_rgb(image: "OmeZarr") -> bool:
    """Whether its channels are shown as colours."""
    channel, level = image.axes.find("C"), image.levels[0]
    return channel >= 0 and level.shape[channel] in COLOURS and level.dtype == "uint8"


def _labels(image: "OmeZarr", name: str) -> "LayerData":
    arrays = _arrays(image)
    kept = list(range(len(image.levels[0].shape)))
    how = {"name": name, "opacity": 0.7, **placed_as_said(image, kept)}
    if image.colours:
        how["colormap"] = label_colormap(image.colours)
    return arrays if len(arrays) > 1 else arrays[0], how, "labels"


def _labels_of(image: "OmeZarr", labels: "OmeZarr", name: str) -> "LayerData":
    """Labels with the dimensions of their image, so that napari, which aligns the last ones, moves both alike."""
    data, how, kind = _labels(labels, name)
    letters = image.axes.lstrip("C")  # a first one is left out: what follows is aligned
    if _is_rgb(image) or "C" not in letters or set(labels.axes) != set(letters) - {"C"}:
        return data, how, kind
    channels = image.levels[0].shape[image.axes.index("C")]
    arrays = [lay_out(array, labels.axes, letters, channels) for array in (data if how["multiscale"] else [data])]
    at = {letter: labels.axes.find(letter) for letter in letters}
    for key, otherwise in (("scale", 1.0), ("translate", 0.0), ("axis_labels", "c"), ("units", "pixel")):
        if key in how:
            how[key] = [how[key][at[letter]] if letter != "C" else otherwise for letter in letters]
    return arrays if how["multiscale"] else arrays[0], how, kind


def _arrays(image: "OmeZarr") -> list[Any]:
    """All levels, read chunk by chunk."""
    import dask.array as da

    return [
        da.from_array(image.array(number), chunks=level.chunks)  # type: ignore[no-untyped-call]
        for number, level in enumerate(image.levels)
    ]


def placed_as_said(image: "LargeSource", kept: list[int]) -> dict[str, Any]:
    """Where the finest level of an image lies, by what it says itself; arguments of a layer."""
    level: Level = image.levels[0]
    placed: dict[str, Any] = {
        "multiscale": len(image.levels) > 1,
        "scale": [level.scale[axis] for axis in kept],
        "translate": [level.translation[axis] for axis in kept],
    }
    if image.axes:
        placed["axis_labels"] = [image.axes[axis].lower() for axis in kept]
    if any(image.units):
        placed["units"] = [image.units[axis] or "pixel" for axis in kept]
    return placed
