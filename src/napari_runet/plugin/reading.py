"""From an Image layer to what is computed on, and how that reading is put into words."""

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from napari_runet.images.axes import Axes, describe, possible_axes, read_axes
from napari_runet.images.image_input import ImageError, ImageInput, index_at_level
from napari_runet.images.normalisation import IntensityRange, measure_range

if TYPE_CHECKING:
    from collections.abc import Sequence

    from napari.layers import Image

    from napari_runet.models.card import ModelCard

COMFORTABLE_PIXELS = 1 << 24
"""Of a multiscale image, the finest level with at most this many pixels is taken by itself."""


@dataclass(frozen=True, slots=True)
class Reading:
    """What a person chose instead of what was guessed; None where the guess was right."""

    axes: Axes | None = None
    level: int | None = None


@dataclass(frozen=True, slots=True, eq=False)
class Source:
    """One plane of an Image layer, ready to be segmented.

    Parameters
    ----------
    input
        The array (of one multiscale level) and how its axes are read.
    index
        The plane shown, zero-based, on each of ``input.axes.plane_axes``.
    letters
        What each dimension of the layer is, one letter each; the colours of an RGB layer are no dimension of it.
    level, levels
        Which multiscale level, of how many; 0 and 1 for an ordinary image.
    factors
        For each dimension of the layer, how many full-resolution pixels one pixel of this level spans.
    corner
        First row and column of a square of the plane, which is then all that `input` holds; None for all of the plane.
    whole
        Of a square: the plane, or a coarser level of it, on which its intensities are measured.
    """

    input: ImageInput
    index: tuple[int, ...]
    letters: str
    level: int
    levels: int
    factors: tuple[float, ...]
    corner: tuple[int, int] | None = None
    whole: ImageInput | None = None

    @property
    def description(self) -> str:
        """One line for people: how the data is read."""
        text = describe(self.input.array.shape, np.dtype(self.input.array.dtype), self.input.axes, self.index)
        if self.levels == 1:
            return text
        return f"{text}; level {self.level} (of 0 to {self.levels - 1})"

    @property
    def has_alpha(self) -> bool:
        """Whether a fourth channel is read as transparency and left out."""
        return self.input.channels == 4

    @property
    def measured(self) -> tuple[ImageInput, tuple[int, ...]]:
        """The image, and the plane of it, on which intensities are measured."""
        if self.whole is None:
            return self.input, self.index
        return self.whole, index_at_level(self.input, self.index, self.whole)


def plane_intensities(source: Source, card: "ModelCard") -> IntensityRange:
    """The intensities of a plane, or, of a square, of the plane that it lies in, as a model's card says."""
    how = card.normalisation
    return measure_range(*source.measured, how.low_percentile, how.high_percentile, per_channel=how.per_channel)


def levels_of(layer: "Image") -> list[Any]:
    """The arrays of a layer, full resolution first; one array for an ordinary image."""
    return list(layer.data) if layer.multiscale else [layer.data]


def read_layer(layer: "Image", point: "Sequence[float]", reading: Reading | None = None) -> Source:
    """Read an Image layer at the plane that is shown.

    Parameters
    ----------
    layer
        An image of any kind.
    point
        The viewer's position in world coordinates (``viewer.dims.point``).
    reading
        What a person chose instead of the guess.

    Raises
    ------
    ImageError
        When the data cannot be segmented.
    """
    reading = reading or Reading()
    arrays = levels_of(layer)
    level = _choose_level(arrays, layer.rgb) if reading.level is None else min(reading.level, len(arrays) - 1)
    array = arrays[level]
    axes = reading.axes if reading.axes is not None and len(reading.axes.order) == len(array.shape) else None
    if axes is None:
        axes = _guess(layer, array)
    image = ImageInput.from_array(array, rgb=layer.rgb, axes=axes, name=layer.name)
    letters = axes.order[:-1] if layer.rgb else axes.order
    factors = tuple(full / max(1, here) for full, here in zip(arrays[0].shape[: layer.ndim], array.shape, strict=False))
    return Source(image, _plane_shown(layer, point, axes, array.shape, factors), letters, level, len(arrays), factors)


def _guess(layer: "Image", array: Any) -> Axes:
    """The axes by the layer's own labels, else by shape and scale; an `ImageError` where there is no reading."""
    try:
        axes = read_axes(array.shape, rgb=layer.rgb, axis_labels=layer.axis_labels)
        # colours have no distance from each other: where there is one, neither 1 nor a pixel's, they are planes
        if axes.order == "CYX" and layer.axis_labels[0].startswith("-") and layer.scale[0] not in (1, layer.scale[1]):
            return Axes("ZYX")
        return axes
    except ValueError as error:
        raise ImageError(f"{layer.name}: {error}") from error


def _choose_level(arrays: list[Any], rgb: bool) -> int:
    for level, array in enumerate(arrays):
        shape = array.shape[:-1] if rgb else array.shape
        rows, columns = sorted(shape)[-2:]
        if rows * columns <= COMFORTABLE_PIXELS:
            return level
    return len(arrays) - 1


def _plane_shown(
    layer: "Image", point: "Sequence[float]", axes: Axes, shape: "Sequence[int]", factors: "Sequence[float]"
) -> tuple[int, ...]:
    if not axes.plane_axes:
        return ()
    world = [0.0] * max(0, layer.ndim - len(point)) + list(point)
    position = layer.world_to_data(world[-layer.ndim :])
    return tuple(int(np.clip(np.round(position[axis] / factors[axis]), 0, shape[axis] - 1)) for axis in axes.plane_axes)


def other_readings(layer: "Image", level: int = 0) -> list[tuple[Axes, str]]:
    """Every sensible way to read a layer, each with a line for people, the likeliest first."""
    array = levels_of(layer)[level]
    try:
        choices = possible_axes(array.shape, rgb=layer.rgb)
    except ValueError:
        return []
    dtype = np.dtype(array.dtype)
    return [(axes, f"{', '.join(axes.order)}:  {describe(array.shape, dtype, axes)}") for axes in choices]


def why_not(source: Source, card: "ModelCard") -> str:
    """Why a model cannot segment a source, as a sentence; empty when it can."""
    channels = 3 if source.has_alpha else source.input.channels
    wanted = card.network.in_channels
    if not (channels in (1, wanted) or (wanted == 1 and channels == 3)):
        return (
            f"{source.input.name} has {channels} channels and {card.title} reads {wanted}; "
            "change how the image is read, or choose another model."
        )
    if not _has_a_number(source):
        return f"{source.input.name} holds no finite number in this plane, so there is nothing to segment."
    return ""


def _has_a_number(source: Source) -> bool:
    """Whether a float plane in memory has a finite pixel; data that would have to be loaded is taken on trust."""
    array = source.input.array
    if not isinstance(array, np.ndarray) or array.dtype.kind != "f":
        return True
    plane = source.input.plane(source.index)
    return bool(np.isfinite(plane[::17, ::17]).any() or np.isfinite(plane).any())
