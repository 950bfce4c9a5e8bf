"""All planes of a stack or movie, one after the other."""

import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from napari_runet.images.axes import Axes
from napari_runet.images.image_input import ImageInput
from napari_runet.images.prediction import Prediction
from napari_runet.inference.following import TimeFollower
from napari_runet.inference.iterations import Iteration, Report, _ignore
from napari_runet.inference.segmenter import LoadedModel, iterate, load_model
from napari_runet.inference.starting import Start
from napari_runet.settings import SegmentationSettings


class StackSegmenter:
    """Segments the planes of an image, each frame beginning from the one before where time is followed.

    Parameters
    ----------
    image
        With planes, or without.
    model, settings
        How to segment. Time is followed along T, for each Z by itself.
    """

    def __init__(self, image: ImageInput, model: LoadedModel, settings: SegmentationSettings) -> None:
        self._image, self._model, self._settings = image, model, settings
        letters = [image.axes.order[axis] for axis in image.axes.plane_axes]
        self._time = letters.index("T") if settings.follow_time and "T" in letters else None
        self._followers: dict[tuple[int, ...], TimeFollower] = {}

    @property
    def stack(self) -> tuple[int, ...]:
        """How many planes there are on each of ``image.axes.plane_axes``."""
        return tuple(int(self._image.array.shape[axis]) for axis in self._image.axes.plane_axes)

    def iterate(
        self,
        index: tuple[int, ...],
        report: Report = _ignore,
        *,
        quantised: bool = False,
        start: Start | None = None,
    ) -> Iterator[Iteration]:
        """Yield each iteration of a plane as it is computed; planes come in the order of ``np.ndindex(stack)``.

        `start` is what a plane begins from, where time is not followed.
        """
        if self._time is None:
            yield from iterate(
                self._image, self._model, self._settings, index=index, start=start, quantised=quantised, report=report
            )
            return
        line = index[: self._time] + index[self._time + 1 :]
        follower = self._followers.setdefault(line, TimeFollower(self._model.card, self._settings))
        frame = follower.begin(self._image, index)
        settings = self._settings.model_copy(update={"iterations": frame.iterations})
        for step in iterate(
            self._image,
            self._model,
            settings,
            index=index,
            start=frame.start,
            pixel_size=frame.pixel_size,
            quantised=quantised,
            report=report,
        ):
            yield step
        follower.end(step)


def segment_planes(
    image: Any,
    model: LoadedModel | str | Path,
    *,
    axes: str | None = None,
    iterations: int | None = None,
    threshold: float | None = None,
    tile_size: int | None = None,
    rescale: bool = True,
    flips: bool = False,
    scales: bool = False,
    follow_time: bool = False,
    follow_iterations: int = SegmentationSettings().follow_iterations,
) -> Iterator[Prediction]:
    """Yield the prediction of each plane of a stack or movie, in order.

    Parameters
    ----------
    image
        Array of any real dtype (numpy, dask, zarr: a plane is read when its turn comes), or an `ImageInput`.
    model
        From `load_model`, or what it takes.
    axes
        What its dimensions are, such as ``"TYXC"``; guessed from the shape when None.
    iterations, threshold, tile_size
        By default what the model's card recommends.
    rescale, flips, scales
        As for `segment`.
    follow_time
        Begin each frame from the mask of the frame before, with `follow_iterations` iterations; anew where the
        scene cuts.

    Raises
    ------
    ImageError
        When the array, or a plane of it, cannot be segmented.
    """
    settings = SegmentationSettings(
        iterations=iterations,
        threshold=threshold,
        tile_size=tile_size,
        rescale=rescale,
        flips=flips,
        scales=scales,
        follow_time=follow_time,
        follow_iterations=follow_iterations,
    )
    loaded = model if isinstance(model, LoadedModel) else load_model(model)
    source = image
    if not isinstance(image, ImageInput):
        source = ImageInput.from_array(image, axes=Axes(axes) if axes is not None else None)
    stack = StackSegmenter(source, loaded, settings)
    card, run = loaded.card, uuid.uuid4().hex
    for index in np.ndindex(stack.stack):
        steps = list(stack.iterate(index))
        yield Prediction(
            np.stack([step.foreground for step in steps]),
            settings.threshold or card.threshold,
            card.id,
            card.sha256,
            run_id=run,
            scale=steps[-1].pixel_size.scale,
        )
