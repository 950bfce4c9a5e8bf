"""Image layers that are too large to be loaded: who can read their blocks, and where labels of them lie."""

import re
import uuid
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from pathlib import Path, PurePath
from typing import TYPE_CHECKING, Any
from weakref import WeakKeyDictionary

import numpy as np

from napari_runet.batch.finding import stem_of
from napari_runet.corrections.image_key import content_digest
from napari_runet.images.image_input import ImageInput
from napari_runet.io.images import TIFF_SUFFIXES, FileError
from napari_runet.io.large_tiff import read_large_tiff
from napari_runet.io.ome_zarr import is_zarr, read_ome_zarr
from napari_runet.io.pulled_image import PulledImage, PulledLevel
from napari_runet.plugin.placing import Placement, place
from napari_runet.plugin.reading import COMFORTABLE_PIXELS, Source, levels_of

if TYPE_CHECKING:
    from collections.abc import Callable

    from napari.layers import Image

    from napari_runet.io.large_source import LargeSource
    from napari_runet.io.ome_zarr import Level


@dataclass(frozen=True, slots=True, eq=False)
class LargeLayer:
    """A layer that is segmented block by block.

    Parameters
    ----------
    image, source
        The layer, and how it is read.
    name
        What its labels are called.
    path
        The file that the worker reads by itself; None where only this process can read the layer.
    shapes
        Of each level, with a letter of `axes` for each dimension.
    axes
        What the dimensions are.
    describe
        Says what the layer is; it reads some of it, so not on the GUI's thread.
    """

    image: "Image"
    source: Source
    name: str
    path: Path | None
    shapes: tuple[tuple[int, ...], ...]
    axes: str
    describe: "Callable[[], PulledImage]"

    @property
    def arrays(self) -> Sequence[Any]:
        """The levels, for the worker that has no file to read."""
        return () if self.path is not None else levels_of(self.image)

    @property
    def sizes(self) -> list[str]:
        """Of each level, for people."""
        letters = self.axes if len(self.axes) == len(self.shapes[0]) else "Q" * len(self.shapes[0])
        kept = [axis for axis, letter in enumerate(letters) if letter not in "CS"]
        return [" x ".join(str(shape[axis]) for axis in kept) for shape in self.shapes]

    def placement(self, level: int) -> Placement | None:
        """Where labels of a level lie; None where layer and file are so different that only the file can tell."""
        source, arrays = self.source, levels_of(self.image)
        if level < len(arrays):
            array = arrays[level]
        elif len(arrays[0].shape) == len(self.shapes[level]):
            array = np.broadcast_to(np.zeros((), np.uint8), self.shapes[level])
        else:
            return None
        full = arrays[0].shape
        factors = tuple(whole / here for whole, here in zip(full[: self.image.ndim], array.shape, strict=False))
        seen = Source(
            ImageInput(array, source.input.axes, source.input.name),
            (0,) * len(source.index),
            source.letters,
            level,
            max(len(arrays), len(self.shapes)),
            factors,
        )
        return place(self.image, seen, whole_stack=True)


class LargeLayers:
    """Tells which layers are large, and remembers which arrays it has described."""

    def __init__(self) -> None:
        self._last: tuple[object, LargeLayer | None] | None = None
        self._tokens: WeakKeyDictionary[Image, tuple[Any, str]] = WeakKeyDictionary()

    def find(self, image: "Image | None", source: Source | None) -> LargeLayer | None:
        """What an image is when it is segmented block by block; None where it is not large.

        Images in OME-Zarr are so at any size, because that is what they are for. Files are looked into only when
        another image, or another reading of it, is asked about: it is asked with each turn of the wheel.
        """
        if image is None or source is None:
            return None
        what = (id(image), id(image.data), image.source.path, source.input.axes)
        if self._last is None or self._last[0] != what:
            self._last = what, self._look(image, source)
        return self._last[1]

    def _look(self, image: "Image", source: Source) -> LargeLayer | None:
        path = Path(image.source.path) if image.source.path else None
        if path is not None and is_zarr(path):
            with suppress(FileError):  # it says so when it is opened
                return _of_file(image, source, path, read_ome_zarr(path))
        if not is_large(image, source):
            return None
        if path is not None and path.suffix.lower() in TIFF_SUFFIXES:
            with suppress(FileError):  # read by this process instead
                file = read_large_tiff(path)
                if _is_alike(file.levels, file.axes, image, source):
                    return _of_file(image, source, path, file)
        arrays = levels_of(image)
        name = re.sub(r"[^\w.\- ]+", "_", image.name).strip(" .") or "layer"
        shapes = tuple(tuple(map(int, array.shape)) for array in arrays)
        axes = source.input.axes.order
        describe = partial(_describe, image, axes, arrays, self._token(image))
        return LargeLayer(image, source, name, None, shapes, axes, describe)

    def _token(self, image: "Image") -> str:
        """A word for the arrays of a layer, another one for other arrays."""
        known = self._tokens.get(image)
        if known is None or known[0] is not image.data:
            known = self._tokens[image] = (image.data, uuid.uuid4().hex)
        return known[1]


def is_large(image: "Image", source: Source) -> bool:
    """Whether the planes of an image have more pixels, at the finest level, than are taken at a time."""
    shape = levels_of(image)[0].shape
    y, x = source.input.axes.spatial
    return int(shape[y]) * int(shape[x]) > COMFORTABLE_PIXELS


def _of_file(image: "Image", source: Source, path: Path, file: "LargeSource") -> LargeLayer:
    shapes = tuple(level.shape for level in file.levels)
    axes = file.axes.replace("S", "C")
    return LargeLayer(image, source, stem_of(PurePath(path.name)), path, shapes, axes, _nothing)


def _nothing() -> PulledImage:
    raise FileError("The worker reads this image by itself.")


def _is_alike(levels: "tuple[Level, ...]", axes: str, image: "Image", source: Source) -> bool:
    """Whether a file holds just what a layer shows, read in the same way."""
    arrays = levels_of(image)
    order, said = source.input.axes.order, axes.replace("S", "C")
    shapes = [tuple(map(int, array.shape)) for array in arrays]
    same = [level.shape for level in levels[: len(arrays)]] == shapes and arrays[0].dtype == levels[0].dtype
    return same and (said == order or not set(said) <= set("TZCYX"))


def _describe(image: "Image", axes: str, arrays: Sequence[Any], token: str) -> PulledImage:
    """What a worker has to know of a layer; its content is told by its arrays' identity and some of its pixels."""
    scale = dict(zip(axes, image.scale, strict=False))  # the colours of an RGB layer come last and have none
    origin = dict(zip(axes, image.translate, strict=False))
    units = dict(zip(axes, map(str, image.units), strict=False))
    full = arrays[0].shape
    levels = tuple(
        PulledLevel(
            shape=tuple(map(int, array.shape)),
            scale=tuple(
                float(scale.get(letter, 1.0)) * (whole / here if letter != "C" else 1.0)
                for letter, whole, here in zip(axes, full, array.shape, strict=True)
            ),
            translation=tuple(float(origin.get(letter, 0.0)) for letter in axes),
        )
        for array in arrays
    )
    named = tuple(None if units.get(letter, "pixel") == "pixel" else units[letter] for letter in axes)
    content = f"{token}-{content_digest(arrays[0])}"
    return PulledImage(axes=axes, units=named, levels=levels, dtype=np.dtype(arrays[0].dtype).str, content=content)
