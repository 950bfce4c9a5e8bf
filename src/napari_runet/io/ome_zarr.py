"""OME-Zarr images (0.4 and 0.5), read as they are needed and never whole."""

import hashlib
import os
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, Literal

import numpy as np
import numpy.typing as npt
from pydantic import BaseModel, Field, ValidationError

from napari_runet.io.images import DECODING_ERRORS, FileError

MARKS = ("zarr.json", ".zattrs", ".zgroup", ".zarray")
"""Files of which at least one lies in every folder of a zarr store that is a group or an array."""
_LETTER_OF_TYPE = {"time": "T", "channel": "C"}
_CHUNK = 1 << 22


def is_zarr(path: Path) -> bool:
    """Whether a folder is a zarr store, or a part of one."""
    # what nobody may look into is none; asked of a Path, it would be an error
    return os.path.isdir(path) and any(os.path.isfile(path / mark) for mark in MARKS)


@dataclass(frozen=True, slots=True)
class Level:
    """One resolution of an image: where it lies below the store, its shape, and where its pixels lie in the world."""

    path: str
    shape: tuple[int, ...]
    dtype: np.dtype[Any]
    chunks: tuple[int, ...]
    scale: tuple[float, ...]
    translation: tuple[float, ...]


def level_of(path: Path, levels: tuple[Level, ...], number: int) -> Level:
    """One of the levels of an image.

    Raises
    ------
    FileError
        When there are fewer.
    """
    if not 0 <= number < len(levels):
        there = "only level 0" if len(levels) == 1 else f"levels 0 to {len(levels) - 1}"
        raise FileError(f"{path} has {there}, and none with number {number}; choose another by --level.")
    return levels[number]


@dataclass(frozen=True, slots=True)
class OmeZarr:
    """What an OME-Zarr image says about itself.

    Parameters
    ----------
    path
        The folder with the image's metadata.
    version
        ``"0.4"`` or ``"0.5"``; older ones count as 0.4.
    axes
        A letter for each dimension: T, Z, C, Y, X, and Q for one with another name; empty where it says nothing.
    units
        Of each dimension, None where there is none.
    levels
        The finest first.
    colours
        Of a label image: what its labels look like, as ``#rrggbb``, as far as it says; None for an image.
    """

    path: Path
    version: Literal["0.4", "0.5"]
    axes: str
    units: tuple[str | None, ...]
    levels: tuple[Level, ...]
    colours: dict[int, str] | None = None

    def level(self, number: int) -> Level:
        """One of the levels.

        Raises
        ------
        FileError
            When there are fewer.
        """
        return level_of(self.path, self.levels, number)

    def array(self, number: int) -> "ZarrArray":
        """The array of a level."""
        return ZarrArray(self.path, self.level(number).path)

    def content(self, number: int) -> str:
        """See `content_of`."""
        return content_of(self, number)

    def state(self, number: int) -> str:
        """See `state_of`."""
        return state_of(self, number)


class ZarrArray:
    """An array of a zarr store that is read chunk by chunk, whose errors are sentences; it may be pickled.

    Parameters
    ----------
    store, path
        The folder of the image, and where the array lies below it.
    """

    def __init__(self, store: Path, path: str) -> None:
        self._store, self._path = store, path

    def __reduce__(self) -> tuple[Any, ...]:
        return ZarrArray, (self._store, self._path)

    @cached_property
    def _array(self) -> Any:
        import zarr

        try:
            return zarr.open_array(self._store / self._path, mode="r")
        except DECODING_ERRORS as error:
            raise FileError(f"{self._store / self._path} is no zarr array that can be read.") from error

    @property
    def shape(self) -> tuple[int, ...]:
        """Of the whole."""
        return tuple(map(int, self._array.shape))

    @property
    def dtype(self) -> np.dtype[Any]:
        """Of its values."""
        dtype: np.dtype[Any] = np.dtype(self._array.dtype)
        return dtype

    @property
    def ndim(self) -> int:
        """Number of dimensions."""
        return len(self.shape)

    @property
    def chunks(self) -> tuple[int, ...]:
        """What is stored in one piece."""
        return tuple(map(int, self._array.chunks))

    def __getitem__(self, key: Any) -> npt.NDArray[Any]:
        """A part of the array, as numpy slices it.

        Raises
        ------
        FileError
            When a chunk of it cannot be read, or the store is gone: absent chunks would read as zeros.
        """
        try:
            part = np.asarray(self._array[key])
        except DECODING_ERRORS as error:
            self._see_that_it_is_there()
            raise FileError(
                f"{self._store / self._path} cannot be read at {_place(key)}: {error or type(error).__name__}."
            ) from error
        self._see_that_it_is_there()
        return part

    def _see_that_it_is_there(self) -> None:
        folder = self._store / self._path
        if not (folder / "zarr.json").is_file() and not (folder / ".zarray").is_file():
            raise FileError(f"{self._store} vanished while it was read; bring it back and run the same command again.")


def _place(key: Any) -> str:
    parts = key if isinstance(key, tuple) else (key,)
    return "[" + ", ".join(f"{p.start or 0}:{p.stop}" if isinstance(p, slice) else str(p) for p in parts) + "]"


def read_ome_zarr(path: Path) -> OmeZarr:
    """Read the metadata of an OME-Zarr image.

    Raises
    ------
    FileError
        When it is missing, or no OME-Zarr image, or its metadata are damaged.
    """
    import zarr

    try:
        group = zarr.open_group(path, mode="r")
        attributes: dict[str, Any] = group.attrs.asdict()
    except DECODING_ERRORS as error:
        if not path.exists():
            raise FileError(f"{path} cannot be read: there is no such folder.") from error
        raise FileError(f"{path} is no OME-Zarr image: it holds no group of arrays that can be read.") from error
    said = attributes.get("ome", attributes)
    if not isinstance(said, dict) or not said.get("multiscales"):
        raise FileError(f"{path} is no OME-Zarr image{_where_images_may_be(path, said)}.")
    try:
        image = _Multiscale.model_validate(said["multiscales"][0])
    except (ValidationError, LookupError, TypeError) as error:
        raise FileError(f"The metadata of {path} are not those of an OME-Zarr image.") from error
    axes = [axis if isinstance(axis, _Axis) else _Axis(name=axis) for axis in image.axes]
    version: Literal["0.4", "0.5"] = "0.5" if "ome" in attributes else "0.4"
    levels = tuple(_level(path.absolute(), dataset, image.transformations) for dataset in image.datasets)
    letters = "".join(axis.letter for axis in axes)
    return OmeZarr(path.absolute(), version, letters, tuple(axis.unit for axis in axes), levels, _colours(said))


def label_images(path: Path) -> list[OmeZarr]:
    """The label images in the ``labels`` group of an image.

    Raises
    ------
    FileError
        When one of them cannot be read.
    """
    import zarr

    if not is_zarr(path / "labels"):
        return []
    attributes: dict[str, Any] = zarr.open_group(path / "labels", mode="r").attrs.asdict()
    return [read_ome_zarr(path / "labels" / str(name)) for name in attributes.get("ome", attributes).get("labels", [])]


def _colours(said: dict[str, Any]) -> dict[int, str] | None:
    label = said.get("image-label")
    if not isinstance(label, dict):
        return None
    colours = (each for each in label.get("colors") or () if len(each.get("rgba", ())) == 4)
    return {int(each["label-value"]): "#" + "".join(f"{part:02x}" for part in each["rgba"][:3]) for each in colours}


class _Axis(BaseModel):
    name: str
    type: str | None = None
    unit: str | None = None

    @property
    def letter(self) -> str:
        name = self.name.upper()
        return name if name in tuple("TZCYX") else _LETTER_OF_TYPE.get(self.type or "", "Q")


class _Transformation(BaseModel):
    scale: tuple[float, ...] = ()
    translation: tuple[float, ...] = ()


class _Dataset(BaseModel):
    path: str
    transformations: list[_Transformation] = Field(default=[], alias="coordinateTransformations")


class _Multiscale(BaseModel):
    axes: list[_Axis | str] = []
    datasets: list[_Dataset] = Field(min_length=1)
    transformations: list[_Transformation] = Field(default=[], alias="coordinateTransformations")


def _level(path: Path, dataset: _Dataset, further: list[_Transformation]) -> Level:
    array = ZarrArray(path, dataset.path)
    scale, translation = np.ones(array.ndim), np.zeros(array.ndim)
    for step in (*dataset.transformations, *further):
        for values in (step.scale, step.translation):
            if values and len(values) != array.ndim:
                raise FileError(f"The metadata of {path} do not fit its arrays: {len(values)} numbers for a place.")
        if step.scale:
            scale, translation = scale * step.scale, translation * step.scale
        if step.translation:
            translation = translation + step.translation
    return Level(
        dataset.path, array.shape, array.dtype, array.chunks, tuple(scale.tolist()), tuple(translation.tolist())
    )


def _where_images_may_be(path: Path, said: Any) -> str:
    """What to give instead, for collections and plates."""
    inside = [folder for folder in sorted(path.iterdir()) if is_zarr(folder) and folder.name != "OME"]
    if isinstance(said, dict) and "plate" in said:
        return "; it is a plate, so give the folder of one field of a well"
    return f"; give the folder of the image in it, such as {inside[0]}" if inside else ""


def _files(image: OmeZarr, number: int) -> Iterator[Path]:
    """The files that a level consists of, and those with the metadata."""
    yield from (image.path / mark for mark in MARKS if (image.path / mark).is_file())
    yield from sorted(path for path in (image.path / image.level(number).path).rglob("*") if path.is_file())


def content_of(image: OmeZarr, number: int) -> str:
    """sha256 over all that is stored of a level.

    Raises
    ------
    FileError
        When a file of it cannot be read.
    """
    digest = hashlib.sha256()
    try:
        for path in _files(image, number):
            digest.update(path.relative_to(image.path).as_posix().encode() + b"\0")
            with path.open("rb") as stream:
                while chunk := stream.read(_CHUNK):
                    digest.update(chunk)
    except OSError as error:
        raise FileError(f"{image.path} cannot be read: {error.strerror or error}") from error
    return digest.hexdigest()


def state_of(image: OmeZarr, number: int) -> str:
    """A digest that changes when a file of a level is written, or another takes its place."""
    digest = hashlib.sha256()
    for path in _files(image, number):
        state = path.stat()
        digest.update(f"{path} {state.st_ino} {state.st_size} {state.st_mtime_ns}\n".encode())
    return digest.hexdigest()
