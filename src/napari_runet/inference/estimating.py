"""How many bytes and how long a large image takes, from one of its tiles."""

import time
from dataclasses import dataclass

from napari_runet.batch.block_record import growing_folder
from napari_runet.batch.output import COMPRESSED_MASK, OME_TIFF, check_room, in_bytes, size_of
from napari_runet.batch.record import Job
from napari_runet.inference.blocks import at_once, compute_block, one_thread_each
from napari_runet.inference.large_image import LargeImage, task_of
from napari_runet.inference.segmenter import LoadedModel
from napari_runet.io.ome_zarr_labels import GrowingLabels, compressed_size
from napari_runet.io.pulled_image import Pull
from napari_runet.wording import counted

PYRAMID = 4 / 3
"""All levels of a pyramid, relative to the finest."""


@dataclass(frozen=True, slots=True)
class Estimate:
    """What an image is going to take.

    Parameters
    ----------
    name, plane_shape, level
        Of the image.
    planes, blocks
        How many.
    size
        Bytes of the labels.
    seconds
        Of computing.
    """

    name: str
    plane_shape: tuple[int, int]
    level: int
    planes: int
    blocks: int
    size: float
    seconds: float

    def sentence(self) -> str:
        """For people."""
        shape = " x ".join(map(str, self.plane_shape))
        planes = f"{self.planes} planes of " if self.planes > 1 else ""
        blocks = counted(self.blocks, "block")
        return (
            f"{self.name}: {planes}{shape} pixels at level {self.level}, {blocks}; the labels take about "
            f"{in_bytes(self.size)} and about {in_time(self.seconds)}."
        )


def estimate(job: Job, model: LoadedModel, processes: int = 1, pull: Pull | None = None) -> Estimate:
    """Segment the block in the middle of the first plane, and tell from it what the image is going to take.

    Parameters
    ----------
    job, model, pull
        As for `segment_large`.
    processes
        How many share the work; 1 for this one alone.

    Raises
    ------
    FileError, ImageError
        When the image cannot be read, or the model cannot read it.
    """
    large = LargeImage.open(job, model.card, pull)
    height, width = large.image.plane_shape
    columns = -(-width // large.core)
    number = (height // 2) // large.core * columns + (width // 2) // large.core
    middle = next(block for block in large.blocks if block.number == number)
    intensities = large.intensities(model.card, middle.index)
    task = task_of(job, large, middle, intensities, GrowingLabels(job.output.folder))
    with one_thread_each():
        started = time.perf_counter()
        labels = compute_block(task, model)
        seconds = time.perf_counter() - started
    planes = large.block_count // (columns * -(-height // large.core))
    share = planes * height * width / labels.size
    parallel = processes if processes > 1 else at_once(model)
    size = max(compressed_size(labels), COMPRESSED_MASK * labels.size) * share * PYRAMID
    seconds *= share / min(parallel, large.block_count)
    return Estimate(job.image.name, (height, width), large.level, planes, large.block_count, size, seconds)


def estimate_unfinished(job: Job, model: LoadedModel, processes: int = 1, pull: Pull | None = None) -> str:
    """The sentence on what is to come; empty for what is not done in blocks, is finished, or cannot be read.

    Raises
    ------
    FileError
        When the disk has no room for the labels.
    """
    known = job.known
    if not job.is_in_blocks or (known is not None and job.is_finished(known.image_sha256)):
        return ""
    try:
        found = estimate(job, model, processes, pull)
    except ValueError:  # told by whoever segments it
        return ""
    # an OME-TIFF is written beside the labels that it is made of
    needed = found.size * (2 if job.output.format == OME_TIFF else 1)
    check_room(job.output.folder, int(needed) - size_of(growing_folder(job.output.folder, job.name)))
    return found.sentence()


def in_time(seconds: float) -> str:
    """A duration for people."""
    for unit, length in (("days", 86400.0), ("hours", 3600.0), ("minutes", 60.0)):
        if seconds >= 1.5 * length:
            return f"{seconds / length:.1f} {unit}" if seconds < 10 * length else f"{seconds / length:.0f} {unit}"
    return f"{max(1, round(seconds))} s"
