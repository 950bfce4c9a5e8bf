"""All planes of an image, one after the other, into as many masks."""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from napari_runet.batch.record import Job
from napari_runet.images.image_input import ImageError, ImageInput
from napari_runet.images.prediction import Prediction
from napari_runet.inference.planes import StackSegmenter
from napari_runet.inference.segmenter import LoadedModel
from napari_runet.inference.starting import read_start
from napari_runet.io.images import FileError, read_image
from napari_runet.io.masks import write_mask, write_probabilities, write_stack
from napari_runet.reviewing.doubt import doubt
from napari_runet.reviewing.places import doubt_of_plane, rank

LARGEST_SCORED = 1 << 24
"""Planes with more pixels are not scored, which would take much memory."""


class PlaneFile:
    """Planes of the same shape and dtype in a file, added at its end.

    They are written through the file and not through a mapping of it: a full disk is then an OSError and not a
    signal that ends the process.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._shape: tuple[int, ...] = ()
        self._dtype = np.dtype(np.uint8)

    def add(self, plane: npt.NDArray[Any]) -> None:
        """Add a plane."""
        self._shape, self._dtype = plane.shape, plane.dtype
        with self._path.open("ab") as stream:
            stream.write(np.ascontiguousarray(plane).data)

    def __iter__(self) -> Iterator[npt.NDArray[Any]]:
        count = int(np.prod(self._shape))
        with self._path.open("rb") as stream:
            while raw := stream.read(count * self._dtype.itemsize):
                yield np.frombuffer(raw, self._dtype).reshape(self._shape)


class StackMasks:
    """The masks of all planes of an image, computed and not yet written where they belong.

    Parameters
    ----------
    job, image
        What is done.
    classes
        How many foreground classes there are.
    scratch
        A folder for them.

    Attributes
    ----------
    foreground
        Pixels of each foreground class in the last iteration's masks.
    first
        (Y, X) that of the first plane.
    doubt
        How much the plane that needs it most needs a look; None where all planes are too large to be scored.
    """

    def __init__(self, job: Job, image: ImageInput, classes: int, scratch: Path) -> None:
        self._job = job
        self._axes = "".join(image.axes.order[axis] for axis in image.axes.plane_axes)
        self.stack = tuple(int(image.array.shape[axis]) for axis in image.axes.plane_axes)
        self._plane_shape = image.plane_shape
        kept = range(1, job.how.iterations + 1) if job.output.all_iterations else [job.how.iterations]
        self._masks = {t: PlaneFile(scratch / f"iteration{t}") for t in kept}
        self._probabilities = PlaneFile(scratch / "probabilities")
        self._counts = np.zeros(classes + 1, np.int64)
        self._added = 0
        self.first = np.zeros(image.plane_shape, np.uint8)
        self.doubt: float | None = None
        self._recent: list[Prediction] = []

    @property
    def planes(self) -> int:
        """How many planes there are."""
        return int(np.prod(self.stack))

    @property
    def foreground(self) -> tuple[int, ...]:
        """Pixels of each foreground class in the last iteration's masks."""
        return tuple(int(count) for count in self._counts[1:])

    def add(self, iteration: int, prediction: Prediction) -> None:
        """Take an iteration of the next plane."""
        last = iteration == self._job.how.iterations
        if last:
            self._score(prediction)
        else:
            self._recent = [*self._recent[-1:], prediction]
        if iteration in self._masks:
            labels = prediction.labels_at(1)
            self._masks[iteration].add(labels)
            if last:
                self._counts += np.bincount(labels.ravel(), minlength=len(self._counts))
                self.first = labels if not self._added else self.first
                self._added += 1
        if last and self._job.output.probabilities:
            self._probabilities.add(prediction.probabilities[0])

    def _score(self, last: Prediction) -> None:
        """Take up how doubtful a plane is, by its last two iterations."""
        # a frame that goes on from the one before is added again for the iterations that it leaves out
        before = [prediction.foreground[0] for prediction in self._recent if prediction is not last]
        self._recent = []
        if last.foreground[0, 0].size > LARGEST_SCORED:
            return
        other = before[-1] if before else None
        found = doubt_of_plane(rank(doubt(last.foreground[0], other, last.threshold)))
        self.doubt = max(found, self.doubt or 0.0)

    def write(self, pixel_size: tuple[float, float] | None, unit: str | None) -> None:
        """Write all files, each whole or not at all.

        Raises
        ------
        FileError
            When one cannot be written.
        """
        output, name = self._job.output, self._job.name
        output.mask(name).parent.mkdir(parents=True, exist_ok=True)
        for iteration, planes in self._masks.items():
            targets = [output.iteration_mask(name, iteration)] if output.all_iterations else []
            targets += [output.mask(name)] if iteration == self._job.how.iterations else []
            for path in targets:
                if self.planes == 1:
                    write_mask(path, next(iter(planes)), pixel_size=pixel_size, unit=unit)
                else:
                    shape = (*self.stack, *self._plane_shape)
                    write_stack(path, planes, shape, f"{self._axes}YX", pixel_size=pixel_size, unit=unit)
        if output.probabilities:
            path = output.probability_file(name)
            if self.planes == 1:
                write_probabilities(path, next(iter(self._probabilities)), pixel_size=pixel_size, unit=unit)
            else:
                shape = (*self.stack, len(self._counts), *self._plane_shape)
                pages = (page for plane in self._probabilities for page in plane)
                axes = f"{self._axes}CYX"
                write_stack(path, pages, shape, axes, np.float32, pixel_size=pixel_size, unit=unit)


def segment_stack(
    image: ImageInput, model: LoadedModel, job: Job, scratch: Path, progress: Callable[[float], None]
) -> StackMasks:
    """Segment every plane of an image.

    Parameters
    ----------
    image, model, job
        What, and how.
    scratch
        A folder for what is not written yet.
    progress
        Told the share that is done, in [0, 1].

    Raises
    ------
    ImageError, FileError
        When a plane cannot be segmented or read; it is named where there are several.
    OSError
        When there is no room for the masks.
    """
    masks = StackMasks(job, image, len(model.card.classes) - 1, scratch)
    stack = StackSegmenter(image, model, job.settings)
    starts = None if job.start is None else _start_labels(job, (*masks.stack, *image.plane_shape))
    iterations = job.how.iterations
    for number, index in enumerate(np.ndindex(masks.stack)):

        def report(iteration: int, done: int, tiles: int, number: int = number) -> None:
            progress((number + (iteration - 1 + done / tiles) / iterations) / masks.planes)

        try:
            labels = None if starts is None else starts[index]
            start = read_start(labels, None, image.plane_shape, model.card, image.name)
            for step in stack.iterate(index, report, quantised=not job.output.probabilities, start=start):
                prediction = Prediction(step.foreground[None], job.how.threshold, model.card.id, model.card.sha256)
                masks.add(step.number, prediction)
            for iteration in range(step.number + 1, iterations + 1):  # a frame that goes on has fewer
                masks.add(iteration, prediction)
        except ImageError as error:
            if masks.planes == 1:
                raise
            raise ImageError(f"Plane {number + 1} of {masks.planes}: {error}") from error
    return masks


def _start_labels(job: Job, shape: tuple[int, ...]) -> npt.NDArray[Any]:
    """The labels that the planes begin from, (..., Y, X).

    Raises
    ------
    FileError
        When the file cannot be read, or has another size.
    """
    assert job.start is not None
    labels = read_image(job.start)
    if labels.shape != shape:
        sizes = [" x ".join(map(str, size)) for size in (labels.shape, shape)]
        raise FileError(f"The start mask {job.start} is {sizes[0]}, the image is {sizes[1]}; give one of its size.")
    return labels
