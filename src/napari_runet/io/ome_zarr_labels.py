"""Labels as OME-Zarr: a pyramid that grows block by block and is put into a ``labels`` group when it is whole."""

import os
import shutil
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from napari_runet.io.images import DECODING_ERRORS, FileError

SMALLEST_SIDE = 512
"""A pyramid ends where rows and columns are at most this many."""
BAND = 2048
"""Rows and columns of a level that are made at a time."""
LEVEL = 3
"""Of Zstandard compression."""
_TYPES = {"T": "time", "Z": "space", "Y": "space", "X": "space"}


@dataclass(frozen=True, slots=True)
class LabelLevel:
    """A resolution of a label image: its shape, and where its pixels lie in the world; one number for each axis."""

    shape: tuple[int, ...]
    scale: tuple[float, ...]
    translation: tuple[float, ...]

    @property
    def halved(self) -> "LabelLevel":
        """Every other row and column of it."""
        rows, columns = (-(-side // 2) for side in self.shape[-2:])
        scale = (*self.scale[:-2], *(2 * side for side in self.scale[-2:]))
        return LabelLevel((*self.shape[:-2], rows, columns), scale, self.translation)


def with_coarser_levels(levels: tuple[LabelLevel, ...]) -> tuple[LabelLevel, ...]:
    """Levels, and halved ones until the last is small."""
    while max(levels[-1].shape[-2:]) > SMALLEST_SIDE:
        levels = (*levels, levels[-1].halved)
    return levels


@dataclass(frozen=True, slots=True)
class LabelImage:
    """What a label image is, besides its pixels.

    Parameters
    ----------
    name
        What it is called in its ``labels`` group.
    version
        ``"0.4"`` or ``"0.5"``.
    axes
        Letters among T, Z, Y and X, the last two last.
    levels
        The finest first.
    units
        One for each of `axes`.
    core
        Rows and columns of a block; also of a chunk.
    classes
        Name and colour (``#rrggbb``) of each label from 1 on.
    made_by
        What made it, as JSON can hold it.
    """

    name: str
    version: Literal["0.4", "0.5"]
    axes: str
    levels: tuple[LabelLevel, ...]
    units: tuple[str | None, ...]
    core: int
    classes: tuple[tuple[str, str], ...]
    made_by: dict[str, Any] = field(default_factory=dict)


class GrowingLabels:
    """A label image in a folder of its own, written block by block; several processes may write at a time.

    Parameters
    ----------
    folder
        Of the label image; see `create`.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._open: dict[int, Any] = {}

    def __reduce__(self) -> tuple[Any, ...]:
        return GrowingLabels, (self.folder,)

    @classmethod
    def create(cls, folder: Path, image: LabelImage) -> "GrowingLabels":
        """Make the folder, with a finest level that is 0 everywhere and takes no room.

        Raises
        ------
        OSError
            When it cannot be written.
        """
        import zarr

        shutil.rmtree(folder, ignore_errors=True)
        group = zarr.open_group(folder, mode="w", zarr_format=_format(image.version))
        _create_level(group, image, 0)
        _describe(group, image, levels=1)
        return cls(folder)

    def write(self, index: tuple[int, ...], y: int, x: int, labels: npt.NDArray[np.uint8]) -> None:
        """Write a block, whose place is that of a chunk: one file, which is there whole or not at all.

        Raises
        ------
        OSError
            When it cannot be written.
        """
        self._level(0)[(*index, *_box(y, x, labels.shape))] = labels

    def read(self, index: tuple[int, ...], y: int, x: int, shape: tuple[int, int], level: int = 0) -> Any:
        """Read a box of a level.

        Raises
        ------
        FileError
            When it cannot be read.
        """
        try:
            return np.asarray(self._level(level)[(*index, *_box(y, x, shape))])
        except DECODING_ERRORS as error:
            raise FileError(f"The labels in {self.folder} cannot be read: {error}") from error

    def level_shape(self, level: int) -> tuple[int, ...]:
        """The shape of a level."""
        return tuple(self._level(level).shape)

    def finish(self, image: LabelImage) -> None:
        """Make the coarser levels, each pixel being the nearest of the finer level's, and describe them all.

        Raises
        ------
        FileError, OSError
            When a level cannot be read or written.
        """
        import zarr

        group = zarr.open_group(self.folder, mode="r+")
        for number in range(1, len(image.levels)):
            target = _create_level(group, image, number)
            *stack, rows, columns = _nearest(image.levels[number], image.levels[number - 1])
            for index in np.ndindex(*map(len, stack)):
                finer = tuple(int(axis[i]) for axis, i in zip(stack, index, strict=True))
                for y in range(0, len(rows), BAND):
                    for x in range(0, len(columns), BAND):
                        part = self._picked(finer, rows[y : y + BAND], columns[x : x + BAND], number - 1)
                        target[(*index, *_box(y, x, part.shape))] = part
        _describe(group, image, len(image.levels))

    def _picked(
        self, index: tuple[int, ...], rows: npt.NDArray[np.intp], columns: npt.NDArray[np.intp], level: int
    ) -> npt.NDArray[np.uint8]:
        """Some rows and columns, which rise, of a plane."""
        y, x = int(rows[0]), int(columns[0])
        part: npt.NDArray[np.uint8] = self.read(index, y, x, (int(rows[-1]) + 1 - y, int(columns[-1]) + 1 - x), level)
        return part[rows - y][:, columns - x]

    def publish(self, store: Path, name: str) -> None:
        """Move the label image into the ``labels`` group of a store, in the place of an older one of this name.

        Parameters
        ----------
        store
            An OME-Zarr image, or a folder that is made.

        Raises
        ------
        OSError
            When it cannot be written.
        """
        import zarr

        version: Literal["0.4", "0.5"] = "0.4" if (self.folder / ".zgroup").is_file() else "0.5"
        root = zarr.open_group(store, mode="a", zarr_format=_format(version))
        labels = root.require_group("labels")
        target, arriving, old = (store / "labels" / part for part in (name, f".{name}.partial", f".{name}.old"))
        for left in (arriving, old):
            shutil.rmtree(left, ignore_errors=True)
        shutil.move(self.folder, arriving)  # across disks, that is a copy
        if target.exists():
            os.rename(target, old)
        os.rename(arriving, target)
        shutil.rmtree(old, ignore_errors=True)
        said: dict[str, Any] = labels.attrs.asdict()
        listed = said.get("ome", said).get("labels", [])
        names = [*listed, *([] if name in listed else [name])]
        if version == "0.4":
            labels.attrs.update({"labels": names})
        else:
            labels.attrs.update({"ome": {**said.get("ome", {}), "version": "0.5", "labels": names}})

    def _level(self, number: int) -> Any:
        import zarr

        if number not in self._open:
            self._open[number] = zarr.open_array(self.folder / str(number), mode="r+")
        return self._open[number]


def compressed_size(labels: npt.NDArray[np.uint8]) -> int:
    """How many bytes labels take in a store."""
    import numcodecs

    return len(numcodecs.Zstd(level=LEVEL).encode(np.ascontiguousarray(labels)))


def _nearest(coarse: LabelLevel, fine: LabelLevel) -> list[npt.NDArray[np.intp]]:
    """On each axis, for each pixel of a coarse level the nearest one of a fine level."""
    found = []
    for axis, size in enumerate(coarse.shape):
        place = np.arange(size) * coarse.scale[axis] + coarse.translation[axis] - fine.translation[axis]
        nearest = np.floor(place / fine.scale[axis] + 0.5).astype(np.intp)
        found.append(np.clip(nearest, 0, fine.shape[axis] - 1))
    return found


def _format(version: str) -> Literal[2, 3]:
    return 3 if version == "0.5" else 2


def _box(y: int, x: int, shape: tuple[int, ...]) -> tuple[slice, slice]:
    return slice(y, y + shape[0]), slice(x, x + shape[1])


def _create_level(group: Any, image: LabelImage, number: int) -> Any:
    import numcodecs
    import zarr.codecs

    shape = image.levels[number].shape
    version3 = image.version == "0.5"
    return group.create_array(
        str(number),
        shape=shape,
        chunks=(*(1 for _ in shape[:-2]), *(min(image.core, side) for side in shape[-2:])),
        dtype="uint8",
        fill_value=0,
        compressors=zarr.codecs.ZstdCodec(level=LEVEL) if version3 else numcodecs.Zstd(level=LEVEL),
        chunk_key_encoding=None if version3 else {"name": "v2", "separator": "/"},
        dimension_names=[letter.lower() for letter in image.axes] if version3 else None,
        overwrite=True,
    )


def _describe(group: Any, image: LabelImage, levels: int) -> None:
    """Write the metadata of a label image with so many levels."""
    axes = []
    for letter, unit in zip(image.axes, image.units, strict=True):
        axes.append({"name": letter.lower(), "type": _TYPES[letter], **({"unit": unit} if unit else {})})
    datasets = []
    for number, level in enumerate(image.levels[:levels]):
        steps: list[dict[str, Any]] = [{"type": "scale", "scale": list(level.scale)}]
        if any(level.translation):
            steps.append({"type": "translation", "translation": list(level.translation)})
        datasets.append({"path": str(number), "coordinateTransformations": steps})
    multiscale = {"name": image.name, "axes": axes, "datasets": datasets, "type": "nearest"}
    colours = [
        {"label-value": value, "rgba": [*(int(colour[i : i + 2], 16) for i in (1, 3, 5)), 255]}
        for value, (_, colour) in enumerate(image.classes, 1)
    ]
    properties = [{"label-value": value, "class": name} for value, (name, _) in enumerate(image.classes, 1)]
    label = {"colors": colours, "properties": properties, "source": {"image": "../../"}}
    ours = {"napari-runet": image.made_by}
    if image.version == "0.5":
        group.attrs.put({"ome": {"version": "0.5", "multiscales": [multiscale], "image-label": label}, **ours})
    else:
        multiscale["version"] = label["version"] = "0.4"
        group.attrs.put({"multiscales": [multiscale], "image-label": label, **ours})
