"""Layers of any size that lie in another process, which is asked for their blocks."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
import numpy.typing as npt
from pydantic import BaseModel, ConfigDict

from napari_runet.io.ome_zarr import Level, level_of

Key = tuple[int | slice, ...]
"""A part of an array: for each dimension a number, or a slice that says where it starts and stops, and its step."""
Pull = Callable[[int, Key], npt.NDArray[Any]]
"""Reads a part of a level of an image that lies in another process."""


class PulledLevel(BaseModel):
    """A level of a layer: its shape, and where its pixels lie."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    shape: tuple[int, ...]
    scale: tuple[float, ...]
    translation: tuple[float, ...]


class PulledImage(BaseModel):
    """A layer whose pixels only another process can read, such as a dask graph in napari.

    Parameters
    ----------
    axes, units
        What its dimensions are.
    levels, dtype
        Of its arrays.
    content
        Digest of what its pixels depend on, as far as can be told.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    axes: str
    units: tuple[str | None, ...]
    levels: tuple[PulledLevel, ...]
    dtype: str
    content: str


class PulledSource:
    """A layer that lies in another process, which reads its blocks.

    Parameters
    ----------
    name, image
        What people call it, and what it is.
    pull
        Reads a part of a level.
    """

    version: Literal["0.4", "0.5"] = "0.5"

    def __init__(self, name: Path, image: PulledImage, pull: Pull) -> None:
        self._name, self._image, self._pull = name, image, pull
        self.axes, self.units = image.axes, image.units
        self.levels = tuple(
            Level(str(n), level.shape, np.dtype(image.dtype), level.shape, level.scale, level.translation)
            for n, level in enumerate(image.levels)
        )

    def level(self, number: int) -> Level:
        """One of the levels; a `FileError` where there are fewer."""
        return level_of(self._name, self.levels, number)

    def array(self, number: int) -> "PulledArray":
        """The array of a level."""
        return PulledArray(self.level(number), number, self._pull)

    def content(self, number: int) -> str:
        """What the layer's process says."""
        return self._image.content

    def state(self, number: int) -> str:
        """Nothing that could be told from here."""
        return self._image.content


@dataclass(frozen=True, slots=True)
class PulledArray:
    """A level of a layer that lies in another process.

    Parameters
    ----------
    described, number
        The level.
    pull
        Reads a part of it.
    """

    described: Level
    number: int
    pull: Pull

    @property
    def shape(self) -> tuple[int, ...]:
        """Of the whole."""
        return self.described.shape

    @property
    def dtype(self) -> np.dtype[Any]:
        """Of its values."""
        return self.described.dtype

    @property
    def ndim(self) -> int:
        """Number of dimensions."""
        return len(self.described.shape)

    def __getitem__(self, key: Any) -> npt.NDArray[Any]:
        """A part of the array, with a number or a slice for each dimension."""
        sizes = zip(key, self.shape, strict=True)
        whole = (slice(*part.indices(size)) if isinstance(part, slice) else int(part) for part, size in sizes)
        return self.pull(self.number, tuple(whole))
