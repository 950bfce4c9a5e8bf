"""One run over an output folder: what is to be done, what has been done, and the table of it."""

import glob
import shutil
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType

from napari_runet.batch.blocks import HALO
from napari_runet.batch.finding import Found, FoundImage, find_images
from napari_runet.batch.output import (
    OME_TIFF,
    PRIVATE_FOLDER,
    SCRATCH,
    Output,
    bytes_expected,
    check_output,
    check_room,
    digest_of,
    make_folder,
)
from napari_runet.batch.record import FailedImage, FinishedImage, How, Job, Outcome
from napari_runet.batch.record_file import RecordFile, begun, clear_begun, read_entries
from napari_runet.batch.start_masks import find_start_masks
from napari_runet.batch.summary import SUMMARY_FILE, write_summary
from napari_runet.io.images import FileError
from napari_runet.io.large_source import file_source
from napari_runet.io.masks import why_not_written
from napari_runet.io.opening import image_shape
from napari_runet.io.pulled_image import PulledImage
from napari_runet.models.card import ModelCard
from napari_runet.settings import SegmentationSettings

SUMMARY_SECONDS = 2.0
"""The summary is written at most this often while a run goes on, and at its end."""


@dataclass(frozen=True, slots=True)
class Plan:
    """Which images are to be segmented into what; nothing is written yet.

    Parameters
    ----------
    found
        The images, and what was left out.
    output, how, settings
        What is written, what that depends on, and how it is computed.
    axes
        What the dimensions of an image are whose file does not say.
    overwrite
        Do everything anew, and replace whatever is there.
    starts
        The label image that each image begins from, by the image's name; empty for none.
    """

    found: Found
    output: Output
    how: How
    settings: SegmentationSettings
    axes: str = ""
    overwrite: bool = False
    starts: Mapping[str, Path] = field(default_factory=dict)

    def how_of(self, image: FoundImage) -> How:
        """What the mask of one of the images depends on."""
        if image.name in self.starts:
            return self.how.model_copy(update={"start_sha256": digest_of(self.starts[image.name])})
        if not self.output.is_in_blocks(image):
            return self.how
        kind = OME_TIFF if self.output.format == OME_TIFF else "zarr"
        return self.how.model_copy(update={"format": kind, "level": self.output.level, "halo": HALO, "rescale": False})


def plan(
    inputs: Sequence[str | Path],
    output: Output,
    card: ModelCard,
    settings: SegmentationSettings,
    *,
    pattern: str = "",
    axes: str = "",
    start: Path | None = None,
    overwrite: bool = False,
) -> Plan:
    """Find the images, and see that their masks would be in nobody's way.

    Raises
    ------
    FileError
        When there are none, the output cannot be as it is asked for, or an image has no mask in the folder `start`.
    """
    if start is not None and settings.follow_time:
        raise FileError("Frames cannot begin both from masks in a folder and from the frame before; choose one.")
    files = [file for entry in read_entries(output.folder).values() for file in entry.files]
    written = [output.folder / file for file in files]
    # masks of OME-Zarr images lie in labels/ of a store of their own, or in that of the image
    stores = [mask.parents[1] for mask in written if mask.parent.name == "labels"]
    written += [store for store in stores if store.is_relative_to(output.folder)]
    found = find_images(inputs, pattern, output=output.folder, written=written)
    how = How.of(card, settings, output)
    check_output(found.images, output, how.iterations, how.model_id)
    for image in found.images if settings.follow_time or start is not None else ():
        if output.is_in_blocks(image):
            what, option = ("begin from a mask", "--start") if start is not None else ("follow time", "--follow-time")
            raise FileError(
                f"What is segmented block by block ({image.path}) does not {what}; leave it out, or leave out {option}."
            )
    starts = {} if start is None else find_start_masks(start, found.images)
    return Plan(found, output, how, settings, axes.upper(), overwrite, starts)


def plan_layer(
    name: str,
    make: Callable[[], PulledImage],
    output: Output,
    card: ModelCard,
    settings: SegmentationSettings,
    *,
    overwrite: bool = False,
) -> Plan:
    """Plan to segment a layer that lies in this process, block by block; else as `plan`.

    Parameters
    ----------
    name
        What its labels are called.
    make
        Says what the layer is; it may read some of it.
    """
    image = FoundImage(Path(name), name, make())
    how = How.of(card, settings, output)
    check_output([image], output, how.iterations, how.model_id)
    return Plan(Found((image,)), output, how, settings, "", overwrite)


@dataclass(slots=True)
class Tally:
    """How many images were done, were done before, and could not be done; and the sentences on the latter."""

    done: int = 0
    skipped: int = 0
    problems: list[str] = field(default_factory=list)


class BatchRun:
    """A run that holds its output folder against others, until it is closed.

    Parameters
    ----------
    plan
        What is to be done.
    clock
        Seconds, for how often the summary is written.

    Attributes
    ----------
    jobs
        One for each image; those that are finished are found out by whoever does them, at their turn.
    tally
        How it goes.

    Raises
    ------
    FileError
        When the folder cannot be made or written to, another run holds it, or there is no room for the results.
    """

    def __init__(self, plan: Plan, clock: Callable[[], float] = time.monotonic) -> None:
        self.plan = plan
        self.tally = Tally()
        self._clock = clock
        self._folder = plan.output.folder
        self._summarised = clock()
        make_folder(self._folder)
        self._record = RecordFile(self._folder)
        try:
            self.jobs = [self._job(image) for image in plan.found.images]
            self._sweep()
            check_room(self._folder, self._bytes_expected())
        except BaseException:
            self._record.close()
            raise

    def __enter__(self) -> "BatchRun":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def finish(self, outcome: Outcome) -> None:
        """Keep what a job gave.

        Raises
        ------
        FileError
            When there is no room for the record: what was written then counts as unfinished.
        """
        if outcome.skipped:
            self.tally.skipped += 1
        else:
            self._record.add(outcome.record)
            self.tally.done += 1
        clear_begun(self._folder, outcome.record.name)
        self._summarise_sometimes()

    def fail(self, job: Job, sentence: str, *, no_room: bool = False) -> None:
        """Keep why a job could not be done; the others go on, unless it was for want of room.

        Raises
        ------
        FileError
            When the disk is full, so that no other job could be done either.
        """
        self.tally.problems.append(sentence)
        if no_room:
            raise FileError(f"{sentence} What was finished stays; start again when there is room, to go on from there.")
        self._record.add(
            FailedImage(
                name=job.name, image=str(job.image), model_id=job.how.model_id, error=sentence, files=job.written
            )
        )
        self._summarise_sometimes()

    def close(self) -> None:
        """Write the summary, and let other runs into the folder.

        Raises
        ------
        FileError
            When the summary cannot be written; the folder is free nevertheless.
        """
        try:
            self._summarise()
        finally:
            self._record.close()

    def _job(self, image: FoundImage) -> Job:
        entry = self._record.entries.get(image.name)
        return Job(
            image=image.path,
            name=image.name,
            output=self.plan.output,
            how=self.plan.how_of(image),
            settings=self.plan.settings,
            known=entry if isinstance(entry, FinishedImage) else None,
            written=entry.files if entry is not None else {},
            unfinished=begun(self._folder, image.name),
            axes=self.plan.axes,
            start=self.plan.starts.get(image.name),
            overwrite=self.plan.overwrite,
            pulled=image.pulled,
        )

    def _sweep(self) -> None:
        """Remove what a run that was killed has left half-written."""
        for scratch in (self._folder / PRIVATE_FOLDER).glob(f"{SCRATCH}*"):
            shutil.rmtree(scratch)
        for job in self.jobs:
            for file in job.files if job.unfinished else ():
                for partial in file.parent.glob(f".{glob.escape(file.name)}.*.partial"):
                    partial.unlink(missing_ok=True)

    def _bytes_expected(self) -> int:
        """Of what is not there yet; an image that cannot be read counts nothing and is told at its turn."""
        expected = 0
        for job in self.jobs:
            if job.known is not None and job.known.is_whole(self._folder):
                continue
            try:
                shape = _shape_of(job)
            except FileError:
                continue
            pixels = 1
            for size in shape:
                pixels *= size if size > 4 else 1  # dimensions this short are colours
            expected += bytes_expected(pixels, 2, self.plan.how.iterations, self.plan.output)
        return expected

    def _summarise_sometimes(self) -> None:
        if self._clock() - self._summarised >= SUMMARY_SECONDS:
            with suppress(FileError):  # a spreadsheet may have it open; told at the end, if it then still cannot be
                self._summarise()

    def _summarise(self) -> None:
        self._summarised = self._clock()
        entries = self._record.entries
        order = {job.name: number for number, job in enumerate(self.jobs)}
        names = sorted(entries, key=lambda name: (order.get(name, len(order)), name))
        try:
            write_summary(self._folder, [entries[name] for name in names])
        except OSError as error:
            raise FileError(
                f"{why_not_written(self._folder / SUMMARY_FILE, error)} The masks are there; close it where it is "
                "open, and run the same command again."
            ) from error


def _shape_of(job: Job) -> tuple[int, ...]:
    """The shape of what a job reads, by its header."""
    if job.pulled is not None:
        return job.pulled.levels[job.output.level].shape
    if job.is_in_blocks:
        return file_source(job.image).level(job.output.level).shape
    return image_shape(job.image)[0]
