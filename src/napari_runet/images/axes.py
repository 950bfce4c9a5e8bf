"""How the dimensions of an array are read: which are rows, columns, channels and planes."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

_LABELS = {
    "y": "Y", "row": "Y", "rows": "Y", "x": "X", "column": "X", "columns": "X", "col": "X",
    "c": "C", "channel": "C", "channels": "C", "z": "Z", "depth": "Z", "plane": "Z",
    "t": "T", "time": "T", "frame": "T", "frames": "T",
}  # fmt: skip
_PLANE_WORDS = {"T": ("frame", "frames"), "Z": ("plane", "planes")}


@dataclass(frozen=True, slots=True)
class Axes:
    """One letter for each dimension of an array, among T, Z, C, Y and X; Y and X once each, the others at most once.

    Raises
    ------
    ValueError
        When `order` is not such a word.
    """

    order: str

    def __post_init__(self) -> None:
        letters = set(self.order)
        if len(letters) != len(self.order) or not letters <= set("TZCYX") or not {"Y", "X"} <= letters:
            raise ValueError(f"{self.order!r} is no axis order: use Y and X once, and T, Z, C at most once")

    @property
    def plane_axes(self) -> tuple[int, ...]:
        """Positions of the axes that are stepped through (T and Z)."""
        return tuple(i for i, letter in enumerate(self.order) if letter in "TZ")

    @property
    def spatial(self) -> tuple[int, int]:
        """Positions of Y and X."""
        return self.order.index("Y"), self.order.index("X")

    @property
    def channel(self) -> int | None:
        """Position of the channel axis, None for a grey image."""
        return self.order.index("C") if "C" in self.order else None


def read_axes(shape: Sequence[int], *, rgb: bool = False, axis_labels: Sequence[str] = ()) -> Axes:
    """Decide how an array is read, from its labels first and its shape second.

    Parameters
    ----------
    shape
        Shape of the array, two to five dimensions.
    rgb
        Whether the last dimension holds colours (napari's ``Image.rgb``).
    axis_labels
        A name for each dimension (without the colour one when `rgb`), used where they name rows and columns.

    Raises
    ------
    ValueError
        When the array has fewer than two dimensions, or more than the letters T, Z, C, Y, X can name.
    """
    orders = possible_axes(shape, rgb=rgb)
    if axis_labels:
        letters = [_LABELS.get(str(label).strip().lower(), "?") for label in axis_labels]
        named = "".join(letters) + ("C" if rgb else "")
        if any(named == axes.order for axes in orders):
            return Axes(named)
    return orders[0]


def possible_axes(shape: Sequence[int], *, rgb: bool = False) -> list[Axes]:
    """All sensible ways to read an array of this shape, the most likely first."""
    if rgb:
        return [Axes(axes.order + "C") for axes in possible_axes(tuple(shape)[:-1]) if "C" not in axes.order]
    ndim = len(shape)
    if ndim < 2:
        raise ValueError(f"An image has at least two dimensions; this one has {ndim}.")
    if ndim > 5:
        raise ValueError(f"Arrays of {ndim} dimensions cannot be read as an image; take out a part of it first.")
    candidates = {
        2: ["YX"],
        3: ["TYX", "ZYX", "CYX", "YXC"],
        4: ["TYXC", "TCYX", "TZYX", "ZYXC", "ZCYX", "CZYX", "CTYX"],
        5: ["TZYXC", "TZCYX", "TCZYX", "CTZYX"],
    }[ndim]
    return sorted((Axes(order) for order in candidates), key=lambda axes: _unlikelihood(axes, shape))


def _unlikelihood(axes: Axes, shape: Sequence[int]) -> int:
    """0 for a reading whose channel axis has 3 or 4 entries and is shorter than its image, 1 without channels."""
    if axes.channel is None:
        return 1
    size = shape[axes.channel]
    side = min(shape[i] for i in axes.spatial)
    return 0 if size in (3, 4) and side > 4 else 2


def name_plane(axes: Axes, index: Sequence[int]) -> str:
    """What people call a plane of a stack: "frame 4, plane 2"; empty for an ordinary image."""
    words = (_PLANE_WORDS[axes.order[axis]][0] for axis in axes.plane_axes)
    return ", ".join(f"{word} {position + 1}" for word, position in zip(words, index, strict=True))


def name_planes(axes: Axes, count: int) -> str:
    """What people call some planes of a stack: "12 frames", or "60 planes" where they are frames and planes."""
    letters = {axes.order[axis] for axis in axes.plane_axes}
    one, many = _PLANE_WORDS["T" if letters == {"T"} else "Z"]
    return f"{count} {one if count == 1 else many}"


def describe(shape: Sequence[int], dtype: np.dtype[np.generic], axes: Axes, index: Sequence[int] = ()) -> str:
    """One line for people: how the data is read.

    Parameters
    ----------
    shape, dtype
        Of the array.
    axes
        How it is read.
    index
        The position shown on each of `axes.plane_axes`, zero-based.
    """
    y, x = axes.spatial
    bits = {"b": "yes/no", "f": f"{dtype.itemsize * 8} bit float"}.get(dtype.kind, f"{dtype.itemsize * 8} bit")
    channels = 1 if axes.channel is None else shape[axes.channel]
    colour = {1: "grey", 3: "RGB", 4: "RGBA, alpha left out"}.get(channels, f"{channels} channels")
    parts, shown = [], []
    for position, axis in enumerate(axes.plane_axes):
        one, many = _PLANE_WORDS[axes.order[axis]]
        parts.append(f"{shape[axis]} {many if shape[axis] != 1 else one}")
        if position < len(index):
            shown.append(f"{one} {index[position] + 1} shown")
    parts += [f"{shape[y]} x {shape[x]}", colour, bits]
    return ", ".join(parts) + ("; " + ", ".join(shown) if shown else "")
