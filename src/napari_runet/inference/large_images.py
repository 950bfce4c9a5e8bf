"""Images of any size into labels (OME-Zarr or OME-TIFF), block by block, going on where an earlier run ended."""

import shutil
import time
from collections.abc import Callable, Iterator

import numpy as np

from napari_runet.batch.block_record import BlockRecord, FinishedBlock, checksum_of, growing_folder
from napari_runet.batch.output import OME_TIFF, check_replacing, digest_of, is_out_of_room, name_below
from napari_runet.batch.record import FinishedImage, Job, Outcome
from napari_runet.batch.record_file import mark_begun
from napari_runet.batch.thumbnails import SIDE, thumbnail_path, write_thumbnail
from napari_runet.images.axes import Axes
from napari_runet.images.image_input import ImageInput
from napari_runet.inference.blocks import BlockTask, Runner
from napari_runet.inference.large_image import LargeImage, task_of
from napari_runet.inference.segmenter import LoadedModel
from napari_runet.io.images import FileError
from napari_runet.io.masks import why_not_written
from napari_runet.io.ome_tiff_labels import write_ome_tiff
from napari_runet.io.ome_zarr_labels import GrowingLabels, LabelImage
from napari_runet.io.pulled_image import Pull
from napari_runet.models.card import ModelCard

Progress = Callable[[float], None]
"""Called now and then with the share of a job that is done, in [0, 1]; may raise to stop."""


def segment_large(
    job: Job,
    model: LoadedModel,
    progress: Progress,
    run: Runner,
    pull: Pull | None,
) -> Outcome:
    """Segment an image in blocks, unless it is finished; blocks that an earlier run finished are not done again.

    Parameters
    ----------
    job
        What to do.
    model
        The one that the job names.
    progress
        Called after each block.
    run
        Who does the blocks.
    pull
        Reads a layer that lies in another process.

    Raises
    ------
    FileError, ImageError
        When the image cannot be read or segmented, was replaced meanwhile, or its labels cannot be written or would
        replace what is not to be replaced. What is finished of it stays for the next run.
    """
    started = time.perf_counter()
    large = LargeImage.open(job, model.card, pull)
    before, content = large.source.state(large.level), large.source.content(large.level)
    folder, [target] = job.output.folder, job.files
    if (finished := job.finished(content)) is not None:
        return finished
    if not job.overwrite:
        check_replacing([target], job.written, job.unfinished, folder)
    name = name_below(target, folder)
    try:
        work = _Work(job, model, large, content)
        work.do(progress, run)
        if large.source.state(large.level) != before:
            work.remove()
            raise FileError(f"{job.image} was replaced while it was read; run the same command again.")
        labels = work.labels
        labels.finish(work.described)
        _write_thumbnail(job, large, labels, work.described, model.card)
        mark_begun(folder, job.name, [name])
        target.parent.mkdir(parents=True, exist_ok=True)
        # digested before the work is given away, for that takes long: a run that is ended meanwhile loses no block
        if job.output.format == OME_TIFF:
            write_ome_tiff(target, labels, work.described)
            digest = digest_of(target)
        else:
            digest = digest_of(labels.folder)
            labels.publish(job.output.zarr_store(job.found), model.card.id)
        work.remove()
    except OSError as error:
        raise FileError(why_not_written(folder, error)) from error
    counts = np.sum([block.counts for block in work.finished.values()], axis=0)
    height, width = large.image.plane_shape
    planes = int(np.prod(large.stack, dtype=np.int64))
    record = FinishedImage(
        name=job.name,
        image=str(job.image),
        image_sha256=content,
        how=job.how,
        files={name: digest},
        planes=planes,
        pixels=planes * height * width,
        foreground=tuple(int(count) for count in counts[1:]),
        classes=model.card.class_names[1:],
        seconds=time.perf_counter() - started,
        read_as=large.image.axes.order,
        asked=large.asked,
    )
    return Outcome(record=record)


class _Work:
    """The labels of one image while they grow, and the record of its blocks."""

    def __init__(self, job: Job, model: LoadedModel, large: LargeImage, content: str) -> None:
        self._job, self._model, self._large = job, model, large
        self.described = large.labels(job, model.card)
        growing = growing_folder(job.output.folder, job.name)
        growing.parent.mkdir(parents=True, exist_ok=True)
        self._folder, self._record_path = growing, growing.with_suffix(".jsonl")
        key = {"image": content, "how": job.how.model_dump(), "axes": large.image.axes.order, "core": large.core}
        if job.overwrite:
            self.remove()
        self._record = BlockRecord(self._record_path, key)
        self.labels = GrowingLabels(growing)
        if not self._record.finished or not growing.is_dir():
            self._record.finished.clear()
            self.labels = GrowingLabels.create(growing, self.described)
        self._forget_damaged()

    @property
    def finished(self) -> dict[int, FinishedBlock]:
        """The finished blocks, by number."""
        return self._record.finished

    def do(self, progress: Progress, run: Runner) -> None:
        """Do all blocks that are not finished.

        Raises
        ------
        FileError, OSError
            When some could not be done; at once when none could be.
        """
        total = self._large.block_count
        failed: list[tuple[BlockTask, Exception]] = []
        progress(len(self.finished) / total)
        for task, end in run(self._tasks(), self._model):
            if isinstance(end, FinishedBlock):
                self._record.add(end)
            elif is_out_of_room(end) or not (self._job.pulled or self._job.image.exists()):
                raise end
            else:
                failed.append((task, end))
            progress((len(self.finished) + len(failed)) / total)
        if failed:
            _, first = failed[0]
            raise FileError(
                f"{len(failed)} of {total} blocks of {self._job.image} could not be segmented; the others are kept "
                f"for the next run. The first: {first}"
            ) from first

    def remove(self) -> None:
        """Remove what is left of the work; the labels have moved on, or are worth nothing."""
        if self._folder.exists():
            shutil.rmtree(self._folder)
        self._record_path.unlink(missing_ok=True)

    def _tasks(self) -> Iterator[BlockTask]:
        large, job = self._large, self._job
        plane: tuple[int, ...] | None = None
        for block in large.blocks:
            if block.number in self.finished:
                continue
            if block.index != plane:
                plane, intensities = block.index, large.intensities(self._model.card, block.index)
            yield task_of(job, large, block, intensities, self.labels)

    def _forget_damaged(self) -> None:
        """Do anew what is not as the record says it was written."""
        for block in self._large.blocks:
            known = self.finished.get(block.number)
            if known is None:
                continue
            core = block.core
            place = self._large.stack_index(block.index)
            try:
                found = self.labels.read(place, core.y, core.x, (core.height, core.width))
            except FileError:
                del self.finished[block.number]
                continue
            if checksum_of(found) != known.checksum:
                del self.finished[block.number]


def _write_thumbnail(
    job: Job, large: LargeImage, labels: GrowingLabels, described: LabelImage, card: ModelCard
) -> None:
    """Draw the first plane, from the coarsest levels of image and labels."""
    coarsest = len(large.source.levels) - 1
    seen = ImageInput(large.source.array(coarsest), large.image.axes, large.image.name)
    small = seen.plane(step=max(1, -(-max(seen.plane_shape) // (4 * SIDE))))
    height, width = small.shape[:2]
    last = len(described.levels) - 1
    rows, columns = labels.level_shape(last)[-2:]
    mask = labels.read((0,) * (len(described.axes) - 2), 0, 0, (rows, columns), last)
    mask = mask[np.arange(height) * rows // height][:, np.arange(width) * columns // width]
    write_thumbnail(thumbnail_path(job.output.folder, job.name), ImageInput(small, Axes("YXC")), mask, card)
