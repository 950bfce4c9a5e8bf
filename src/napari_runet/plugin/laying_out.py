"""Labels with the dimensions of the layer that they lie on: in its order, and repeated along its channels."""

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt


@dataclass(frozen=True, slots=True, eq=False)
class LaidOut:
    """An array that is read as it is needed, seen with other dimensions; see `lay_out`.

    Parameters
    ----------
    array
        Anything with shape, dtype and slicing.
    axes
        A letter for each dimension of it.
    letters
        A letter for each dimension that it is seen with: those of `axes`, and perhaps C.
    channels
        Length of the dimension C.
    """

    array: Any
    axes: str
    letters: str
    channels: int

    @property
    def shape(self) -> tuple[int, ...]:
        """Of what is seen."""
        sizes = dict(zip(self.axes, map(int, self.array.shape), strict=True)) | {"C": self.channels}
        return tuple(sizes[letter] for letter in self.letters)

    @property
    def dtype(self) -> np.dtype[Any]:
        """Of the values."""
        dtype: np.dtype[Any] = np.dtype(self.array.dtype)
        return dtype

    @property
    def ndim(self) -> int:
        """Number of dimensions."""
        return len(self.letters)

    @property
    def size(self) -> int:
        """Number of elements."""
        return int(np.prod(self.shape, dtype=np.int64))

    def __getitem__(self, key: Any) -> npt.NDArray[Any]:
        """A part of it, by numbers and slices."""
        given = list(key) if isinstance(key, tuple) else [key]
        if Ellipsis in given:
            at = given.index(Ellipsis)
            given[at : at + 1] = [slice(None)] * (self.ndim - len(given) + 1)
        given += [slice(None)] * (self.ndim - len(given))
        parts = dict(zip(self.letters, given, strict=True))
        found = np.asarray(self.array[tuple(parts[letter] for letter in self.axes)])
        held = [letter for letter in self.axes if isinstance(parts[letter], slice)]
        kept = [letter for letter in self.letters if isinstance(parts[letter], slice)]
        found = found.transpose([held.index(letter) for letter in kept if letter != "C"])
        if "C" not in kept:
            return found
        at = kept.index("C")
        count = len(range(self.channels)[parts["C"]])
        return np.broadcast_to(np.expand_dims(found, at), (*found.shape[:at], count, *found.shape[at:]))

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> npt.NDArray[Any]:
        """All of it."""
        return np.asarray(self[...], dtype)


def lay_out(array: Any, axes: str, letters: str, channels: int = 1) -> Any:
    """An array (one letter of `axes` for each dimension) with the dimensions `letters`; itself where they are its own.

    Parameters
    ----------
    array, axes
        Labels, and what their dimensions are.
    letters, channels
        Dimensions of the layer that they lie on; `channels` is how long C is, along which they are repeated.
    """
    return array if axes == letters else LaidOut(array, axes, letters, channels)
