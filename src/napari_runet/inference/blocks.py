"""The blocks of large images, each computed and written by itself: here, or by whoever is given them."""

from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from contextlib import contextmanager
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch

from napari_runet.batch.block_record import FinishedBlock
from napari_runet.batch.blocks import Block
from napari_runet.images.axes import Axes
from napari_runet.images.image_input import ImageInput
from napari_runet.images.normalisation import IntensityRange
from napari_runet.images.thresholding import labels_from
from napari_runet.inference.fitting import tiles_at_once
from napari_runet.inference.segmenter import LoadedModel, iterate
from napari_runet.io.large_source import BlockArray
from napari_runet.io.ome_zarr_labels import GrowingLabels
from napari_runet.settings import SegmentationSettings

MOST_AT_ONCE = 8
"""Blocks that are computed at a time in one process; each takes a few hundred megabytes."""


@dataclass(frozen=True, slots=True)
class BlockTask:
    """A block to be done, with all that a process on any machine that sees the same disks needs to know.

    Parameters
    ----------
    block
        Where.
    image, axes, name
        The array, how it is read, and what people call it.
    intensities
        Of the plane.
    settings, threshold
        How to segment; a block is one tile.
    labels, plane
        Where the labels go, and the plane's place among them.
    """

    block: Block
    image: BlockArray
    axes: str
    name: str
    intensities: IntensityRange
    settings: SegmentationSettings
    threshold: float
    labels: GrowingLabels
    plane: tuple[int, ...]


Ended = tuple[BlockTask, FinishedBlock | Exception]
Runner = Callable[[Iterable[BlockTask], LoadedModel], Iterator[Ended]]
"""Does tasks in any order, taking them as it needs them, and yields what became of each."""


def settings_for_blocks(settings: SegmentationSettings, core: int, halo: int) -> SegmentationSettings:
    """Settings with which a block is one tile, as it is."""
    return settings.model_copy(update={"tile_size": core + 2 * halo, "rescale": False, "follow_time": False})


def compute_block(task: BlockTask, model: LoadedModel) -> npt.NDArray[np.uint8]:
    """The labels of a block's core, (Y, X).

    Raises
    ------
    FileError, ImageError
        When the image cannot be read, or the model cannot read it.
    """
    image = ImageInput(task.image, Axes(task.axes), task.name)
    block = task.block
    *_, last = iterate(
        image,
        model,
        task.settings,
        index=block.index,
        region=block.read,
        intensities=task.intensities,
        quantised=True,
    )
    return labels_from(last.foreground[:, *block.inner], task.threshold)


def do_block(task: BlockTask, model: LoadedModel) -> FinishedBlock:
    """Segment a block and write its labels; else as `compute_block`.

    Raises
    ------
    OSError
        When the labels cannot be written.
    """
    block, labels = task.block, compute_block(task, model)
    task.labels.write(task.plane, block.core.y, block.core.x, labels)
    return FinishedBlock.of(block.number, labels, len(model.card.classes))


def run_here(tasks: Iterable[BlockTask], model: LoadedModel) -> Iterator[Ended]:
    """Do blocks in this process, as many at a time as torch may use processors, each on one of them.

    Sums of floats depend on how they are shared among threads: with one thread a block, labels are the same
    on machines with more processors or fewer.
    """
    workers = at_once(model)
    with one_thread_each(), ThreadPoolExecutor(workers) as pool:
        yield from in_order_of_ending(tasks, lambda task: pool.submit(_on_one_thread, task, model), workers)


def at_once(model: LoadedModel) -> int:
    """How many blocks are computed at a time in this process."""
    if model.device.name != "cpu":
        return 1
    return min(torch.get_num_threads(), MOST_AT_ONCE, tiles_at_once(model.card.network, model.card.tile_size))


def _on_one_thread(task: BlockTask, model: LoadedModel) -> FinishedBlock:
    torch.set_num_threads(1)  # the number is each thread's own
    return do_block(task, model)


@contextmanager
def one_thread_each() -> Iterator[None]:
    """Let torch use one thread for each operation, and afterwards as many as before."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(before)


def in_order_of_ending(
    tasks: Iterable[BlockTask], submit: Callable[[BlockTask], "Future[FinishedBlock]"], most: int
) -> Iterator[Ended]:
    """Yield what became of each task, with at most `most` waiting; the rest is not begun when nobody asks on."""
    waiting: dict[Future[FinishedBlock], BlockTask] = {}
    coming = iter(tasks)
    try:
        while True:
            while len(waiting) < most and (task := next(coming, None)) is not None:
                waiting[submit(task)] = task
            if not waiting:
                return
            ended, _ = wait(waiting, return_when=FIRST_COMPLETED)
            for future in ended:
                task, error = waiting.pop(future), future.exception()
                if error is not None and not isinstance(error, ValueError | OSError):
                    raise error
                yield task, future.result() if error is None else error
    finally:
        for future in waiting:
            future.cancel()
