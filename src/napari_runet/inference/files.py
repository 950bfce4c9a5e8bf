"""Segmenting image files into mask files: one job, from its file to its record."""

import os
import time
from pathlib import Path
from tempfile import TemporaryDirectory

from napari_runet.batch.axes_of_files import axes_of_file
from napari_runet.batch.output import PRIVATE_FOLDER, SCRATCH, check_replacing, digest_of
from napari_runet.batch.record import FinishedImage, Job, Outcome
from napari_runet.batch.record_file import mark_begun
from napari_runet.batch.thumbnails import thumbnail_path, write_thumbnail
from napari_runet.images.image_input import ImageInput
from napari_runet.inference.blocks import Runner, run_here
from napari_runet.inference.large_images import Progress, segment_large
from napari_runet.inference.segmenter import LoadedModel
from napari_runet.inference.stacks import segment_stack
from napari_runet.io.images import FileError
from napari_runet.io.masks import why_not_written
from napari_runet.io.opening import OpenedImage, open_image
from napari_runet.io.pulled_image import Pull


def _ignore(share: float) -> None:
    pass


def segment_file(
    job: Job,
    model: LoadedModel,
    progress: Progress = _ignore,
    run: Runner = run_here,
    pull: Pull | None = None,
) -> Outcome:
    """Segment one image, unless it is finished: image, model, settings and masks are as they were.

    All masks are computed before the first of them is written.

    Parameters
    ----------
    job
        What to do.
    model
        The one that the job names.
    progress
        Called now and then.
    run
        Who does the blocks, where an image is segmented in blocks.
    pull
        Reads a layer that lies in another process.

    Raises
    ------
    FileError, ImageError
        When the image cannot be read or segmented, was replaced meanwhile, or its masks cannot be written or would
        replace what is not to be replaced.
    """
    if job.is_in_blocks:
        return segment_large(job, model, progress, run, pull)
    started = time.perf_counter()
    folder = job.output.folder
    before = _state_of(job.image)
    digest = _digest(job.image)
    if (finished := job.finished(digest)) is not None:
        return finished
    paths = job.files
    if not job.overwrite:
        check_replacing(paths, job.written, job.unfinished, folder)
    names = [path.relative_to(folder).as_posix() for path in paths]
    try:
        with open_image(job.image) as opened, _scratch(folder) as scratch:
            image, asked = _read_as(job, opened, model)
            masks = segment_stack(image, model, job, Path(scratch), progress)
            if _state_of(job.image) != before:
                raise FileError(f"{job.image} was replaced while it was read; run the same command again.")
            mark_begun(folder, job.name, names)
            masks.write(opened.pixel_size, opened.unit)
            write_thumbnail(thumbnail_path(folder, job.name), image, masks.first, model.card)
    except OSError as error:
        raise FileError(why_not_written(folder, error)) from error
    record = FinishedImage(
        name=job.name,
        image=str(job.image),
        image_sha256=digest,
        how=job.how,
        files={name: digest_of(folder / name) for name in names},
        planes=masks.planes,
        pixels=masks.planes * image.plane_shape[0] * image.plane_shape[1],
        foreground=masks.foreground,
        classes=model.card.class_names[1:],
        seconds=time.perf_counter() - started,
        read_as=image.axes.order,
        asked=asked,
        doubt=masks.doubt,
    )
    return Outcome(record=record)


def _digest(path: Path) -> str:
    try:
        return digest_of(path)
    except OSError as error:
        raise FileError(f"{path} cannot be read: {error.strerror or error}") from error


def _state_of(path: Path) -> tuple[int, int, int]:
    """What changes when a file is written or another takes its place."""
    try:
        state = path.stat()
    except OSError as error:
        raise FileError(f"{path} cannot be read: {error.strerror or error}") from error
    return state.st_ino, state.st_size, state.st_mtime_ns


def _read_as(job: Job, opened: OpenedImage, model: LoadedModel) -> tuple[ImageInput, bool]:
    """The image as it is read, and whether that is by what a person said."""
    name, channels = job.image.name, model.card.network.in_channels
    axes, asked = axes_of_file(name, opened.array.shape, opened.axes, channels, job.axes)
    return ImageInput.from_array(opened.array, axes=axes, name=name), asked


def _scratch(folder: Path) -> "TemporaryDirectory[str]":
    """A folder for what is computed before it is written, on the disk that it is written to."""
    private = folder / PRIVATE_FOLDER
    private.mkdir(parents=True, exist_ok=True)
    return TemporaryDirectory(prefix=f"{SCRATCH}{os.getpid()}-", dir=private, ignore_cleanup_errors=True)
