"""An image that is segmented block by block: what is read of it, and what its labels are going to be."""

from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass

import numpy as np

from napari_runet.batch.axes_of_files import axes_of_file
from napari_runet.batch.blocks import LARGEST_CORE, Block, blocks, count_blocks
from napari_runet.batch.record import Job
from napari_runet.images.axes import Axes
from napari_runet.images.image_input import ImageInput, index_at_level
from napari_runet.images.normalisation import MEASURED_PIXELS, IntensityRange
from napari_runet.inference.blocks import BlockTask, settings_for_blocks
from napari_runet.inference.viewing import plane_intensities
from napari_runet.io.images import FileError
from napari_runet.io.large_source import BlockArray, LargeSource, file_source
from napari_runet.io.ome_zarr_labels import GrowingLabels, LabelImage, LabelLevel, with_coarser_levels
from napari_runet.io.pulled_image import Pull, PulledSource
from napari_runet.models.card import ModelCard

MEASURED_WHOLE = 1 << 28
"""Pixels of a plane up to which intensities are measured on itself; above, on a coarser level where there is one."""

READ_SIDE = 512
"""Rows and columns that are read at a time where a part of a plane cannot be read."""


@dataclass(frozen=True, slots=True)
class LargeImage:
    """An image as it is going to be segmented block by block.

    Parameters
    ----------
    source, image, level
        What is read; a level of it, with its axes; and its number.
    asked
        Whether it is read by what a person said.
    core, halo
        Pixels of a block's side, and around it.
    """

    source: LargeSource
    image: ImageInput
    level: int
    asked: bool
    core: int
    halo: int

    @classmethod
    def open(cls, job: Job, card: ModelCard, pull: Pull | None = None) -> "LargeImage":
        """Read what there is to be known before anything is computed; `pull` reads layers of another process.

        Raises
        ------
        FileError, ImageError
            When it cannot be read in blocks, or not by this model.
        """
        source = _source_of(job, pull)
        array = source.array(job.how.level)
        level = source.level(job.how.level)
        axes, asked = axes_of_file(job.image.name, level.shape, source.axes, card.network.in_channels, job.axes)
        image = ImageInput.from_array(array, axes=axes, name=job.image.name)
        return cls(source, image, job.how.level, asked, min(job.how.tile_size, LARGEST_CORE), job.how.halo)

    @property
    def array(self) -> BlockArray:
        """The level that is segmented; the same one for all blocks, so that its file is opened once."""
        array: BlockArray = self.image.array
        return array

    @property
    def stack(self) -> tuple[int, ...]:
        """How many planes there are on each axis that is no plane's."""
        return tuple(int(self.image.array.shape[axis]) for axis in self.image.axes.plane_axes)

    @property
    def blocks(self) -> Iterator[Block]:
        """All blocks, in order."""
        return blocks(self.stack, self.image.plane_shape, self.core, self.halo)

    @property
    def block_count(self) -> int:
        """How many blocks there are."""
        return count_blocks(self.stack, self.image.plane_shape, self.core)

    def intensities(self, card: ModelCard, index: tuple[int, ...]) -> IntensityRange:
        """Those of a plane, from a coarser level where it is huge."""
        array, (y, x) = self.image.array, self.image.axes.spatial
        for number in range(self.level, len(self.source.levels)):
            array = self.source.array(number)
            if array.shape[y] * array.shape[x] <= MEASURED_WHOLE:
                break
        image = ImageInput(array, self.image.axes, self.image.name)
        index = index_at_level(self.image, index, image)
        try:
            return plane_intensities(card, image, index)
        except FileError as error:
            readable = _what_can_be_read(image, index)
            if readable is None:
                raise error
            return plane_intensities(card, readable, ())

    def labels(self, job: Job, card: ModelCard) -> LabelImage:
        """What the labels are going to be."""
        order = self.image.axes.order
        kept = [order.index(letter) for letter in "TZYX" if letter in order]
        levels = tuple(
            LabelLevel(
                tuple(level.shape[axis] for axis in kept),
                tuple(level.scale[axis] for axis in kept),
                tuple(level.translation[axis] for axis in kept),
            )
            for level in self.source.levels[self.level :]
        )
        units = self.source.units or (None,) * len(order)
        return LabelImage(
            name=card.id,
            version=self.source.version,
            axes="".join(order[axis] for axis in kept),
            # in the image itself, labels must have as many levels as it has
            levels=levels if job.output.into_image else with_coarser_levels(levels),
            units=tuple(units[axis] for axis in kept),
            core=self.core,
            classes=tuple((info.name, info.color) for info in card.classes[1:]),
            made_by={**job.how.model_dump(), "image": str(job.image)},
        )

    def stack_index(self, index: tuple[int, ...]) -> tuple[int, ...]:
        """A plane's place among the labels, whose axes are in the order T, Z."""
        letters = [self.image.axes.order[axis] for axis in self.image.axes.plane_axes]
        return tuple(index[letters.index(letter)] for letter in "TZ" if letter in letters)


def task_of(job: Job, large: LargeImage, block: Block, intensities: IntensityRange, labels: GrowingLabels) -> BlockTask:
    """A block as a task of its own."""
    return BlockTask(
        block=block,
        image=large.array,
        axes=large.image.axes.order,
        name=large.image.name,
        intensities=intensities,
        settings=settings_for_blocks(job.settings, large.core, large.halo),
        threshold=job.how.threshold,
        labels=labels,
        plane=large.stack_index(block.index),
    )


def _what_can_be_read(image: ImageInput, index: tuple[int, ...]) -> ImageInput | None:
    """Evenly spaced pixels of those parts of a plane that can be read, as one row; None where there are none."""
    height, width = image.plane_shape
    step = max(1, int(np.ceil(np.sqrt(height * width / MEASURED_PIXELS))))
    found = []
    for block in blocks((), image.plane_shape, READ_SIDE, 0):
        with suppress(FileError):  # told by the blocks that need it
            part = image.plane(index, block.core, step)
            found.append(part.reshape(1, -1, part.shape[-1]))
    return ImageInput(np.concatenate(found, axis=1), Axes("YXC"), image.name) if found else None


def _source_of(job: Job, pull: Pull | None) -> LargeSource:
    if job.pulled is None:
        return file_source(job.image)
    if pull is None:
        raise FileError(f"{job.image} lies in another process, so it can only be segmented from there.")
    return PulledSource(job.image, job.pulled, pull)
