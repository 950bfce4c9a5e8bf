"""The network over a plane at another pixel size, or over several views of it whose answers are averaged."""

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from PIL import Image

from napari_runet.corrections.correction import UNKNOWN
from napari_runet.images.image_input import ImageInput, Region
from napari_runet.images.mapped import forget_pages
from napari_runet.images.normalisation import IntensityRange, measure_range
from napari_runet.images.pixel_size import SIDE, PixelSize, find_pixel_size
from napari_runet.images.rescaling import View, ViewedPlane, brought_back
from napari_runet.images.thresholding import as_float, labels_from, quantise
from napari_runet.inference.iterations import Iteration, Report, _ignore, iterate_plane
from napari_runet.inference.starting import Start, set_pinned
from napari_runet.io.scratch import RowStore
from napari_runet.models.card import ModelCard
from napari_runet.networks import IterativeNetwork


def pixel_size_of(
    card: ModelCard,
    network: IterativeNetwork,
    image: ImageInput,
    index: tuple[int, ...] = (),
    intensities: IntensityRange | None = None,
) -> PixelSize:
    """By how much to rescale a plane for a model; as it is where the card does not say what the model sees best.

    `intensities` are those of `plane_intensities`, where they are known already.
    """
    widths = card.structure_width
    if widths is None:
        return PixelSize()
    how = plane_intensities(card, image, index) if intensities is None else intensities

    def look(scale: float, box: Region) -> npt.NDArray[np.bool_]:
        seen = ViewedPlane(image, index, how, View(scale), box).as_input()
        steps = iterate_plane(
            card, network, seen, iterations=1, tile_size=2 * SIDE, tile_overlap=0, intensities=_as_it_is(seen)
        )
        return labels_from(quantise(next(steps).foreground), card.threshold) > 0

    return find_pixel_size(image.plane_shape, look, best=widths.best, low=widths.low, high=widths.high)


def plane_intensities(card: ModelCard, image: ImageInput, index: tuple[int, ...]) -> IntensityRange:
    """The intensities that a plane is normalised by, as the card says."""
    how = card.normalisation
    return measure_range(image, index, how.low_percentile, how.high_percentile, per_channel=how.per_channel)


def _as_it_is(image: ImageInput) -> IntensityRange:
    """The intensities of what is normalised already."""
    return IntensityRange(np.full(image.channels, -1, np.float32), np.full(image.channels, 1, np.float32))


@torch.inference_mode()
def iterate_views(
    card: ModelCard,
    network: IterativeNetwork,
    image: ImageInput,
    index: tuple[int, ...] = (),
    *,
    views: Sequence[View],
    iterations: int,
    tile_size: int,
    tile_overlap: int,
    region: Region | None = None,
    start: Start | None = None,
    intensities: IntensityRange | None = None,
    quantised: bool = False,
    report: Report = _ignore,
) -> Iterator[Iteration]:
    """Yield each iteration's probabilities at the plane's own size: the mean over the views.

    Parameters are those of `iterate_plane`, besides `views`, one or more. Each view is iterated on its own.
    """
    box = region or Region(0, 0, *image.plane_shape)
    shape = (box.height, box.width)
    how = plane_intensities(card, image, index) if intensities is None else intensities
    runs = []
    for number, view in enumerate(views):
        seen = ViewedPlane(image, index, how, view, box).as_input()
        runs.append(
            iterate_plane(
                card,
                network,
                seen,
                iterations=iterations,
                tile_size=tile_size,
                tile_overlap=tile_overlap,
                start=None if start is None else viewed_start(start, view, seen.plane_shape),
                intensities=_as_it_is(seen),
                quantised=quantised,
                report=_share(report, number, len(views)),
            )
        )
    pinned = None if start is None else start.pinned
    for steps in zip(*runs, strict=True):
        store = RowStore((card.network.classes - 1, *shape), np.uint8 if quantised else np.float32)
        blocks = [brought_back(step.foreground, view, shape) for view, step in zip(views, steps, strict=True)]
        for parts in zip(*blocks, strict=True):
            top = parts[0][0]
            rows: npt.NDArray[np.float32] = np.mean([as_float(part) for _, part in parts], axis=0, dtype=np.float32)
            if pinned is not None:
                set_pinned(rows, pinned[top : top + rows.shape[1]])
            store.write(top, quantise(rows) if quantised else rows)
        for step in steps:
            forget_pages(step.foreground)
        yield Iteration(steps[0].number, store.finish())


def _share(report: Report, number: int, count: int) -> Report:
    """Progress of one of several views, told as that of all."""

    def told(iteration: int, done: int, total: int) -> None:
        report(iteration, number * total + done, count * total)

    return told


def viewed_start(start: Start, view: View, shape: tuple[int, int]) -> Start:
    """What a segmentation begins from, seen through a view of (Y, X) `shape`.

    A pinned pixel pins each pixel of the view that it touches, so that a thin stroke stays whole.
    """
    foreground = None
    if start.foreground is not None:
        size = shape[::-1]
        flipped = _flipped(start.foreground, view)
        foreground = np.stack([_resized(plane, size, Image.Resampling.BILINEAR) for plane in flipped])
    labels = None
    if start.labels is not None:
        labels = _resized(_flipped(start.labels, view), shape[::-1], Image.Resampling.NEAREST)
    pinned = None
    if start.pinned is not None:
        flipped = _flipped(start.pinned, view)
        pinned = np.full(shape, UNKNOWN, np.uint8)
        for label in np.unique(flipped[flipped != UNKNOWN]):
            touched = _resized((flipped == label).astype(np.float32), shape[::-1], Image.Resampling.BOX)
            pinned[touched > 0] = label
    return Start(labels, foreground, pinned)


def _flipped(array: npt.NDArray[Any], view: View) -> npt.NDArray[Any]:
    return array[..., :: -1 if view.flip_rows else 1, :: -1 if view.flip_columns else 1]


def _resized(plane: npt.NDArray[Any], size: tuple[int, int], how: Image.Resampling) -> npt.NDArray[Any]:
    return np.asarray(Image.fromarray(np.ascontiguousarray(plane)).resize(size, how))
