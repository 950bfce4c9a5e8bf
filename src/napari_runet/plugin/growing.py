"""Labels of a large image on show while they grow in a store."""

from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from napari.layers import Labels

from napari_runet.batch.block_record import numbers_of_finished
from napari_runet.batch.blocks import Block, blocks
from napari_runet.io.images import FileError
from napari_runet.io.ome_zarr import ZarrArray, read_ome_zarr
from napari_runet.plugin.layers import LARGE_LABELS, LabelsOf
from napari_runet.plugin.opening_labels import labels_on, laid_on

if TYPE_CHECKING:
    import numpy.typing as npt
    from napari.components import ViewerModel
    from napari.layers import Image, Layer

    from napari_runet.models.card import ModelCard
    from napari_runet.plugin.placing import Placement

COARSE_PIXELS = 1 << 22
"""Of the level that is kept in memory while labels grow; where the finest level has no more, it is the only one."""


class GrowingArray:
    """The finest level of labels that grow, as napari reads it: what is not there, or has moved on, reads as 0."""

    def __init__(self, array: ZarrArray) -> None:
        self._array = array
        self.shape, self.dtype, self.ndim = array.shape, array.dtype, array.ndim
        self.size = int(np.prod(array.shape, dtype=np.int64))

    def __getitem__(self, key: Any) -> "npt.NDArray[Any]":
        try:
            return self._array[key]
        except FileError:  # moved to its place between two looks: the next look shows it there
            empty: npt.NDArray[Any] = np.broadcast_to(np.zeros((), self.dtype), self.shape)[key]
            return empty


class GrowingLabelsLayer:
    """A Labels layer that shows the labels of a job while they grow, and the finished ones afterwards.

    Parameters
    ----------
    viewer
        Where the layer goes.
    folder
        Where the labels grow; it need not be there yet.
    name
        Of the layer.
    placed
        Where it lies; as the labels say when None.
    card
        Of the model, for the colours of labels whose file does not say them.
    image
        What they are labels of.

    Attributes
    ----------
    layer
        The layer, once there is something to be shown.
    is_finished
        Whether it shows finished labels.
    folder, name
        Where the labels grow, and what the layer is called.
    """

    def __init__(
        self,
        viewer: "ViewerModel",
        folder: Path,
        name: str,
        placed: "Placement | None" = None,
        card: "ModelCard | None" = None,
        image: "Image | None" = None,
    ) -> None:
        self._viewer, self.folder, self.name = viewer, folder, name
        self._placed, self._card, self._image = placed, card, image
        self.layer: Labels | None = None
        self.is_finished = False
        self._seen: set[int] = set()
        self._array: ZarrArray | None = None
        self._blocks: dict[int, Block] = {}
        self._coarse: npt.NDArray[np.uint8] | None = None
        self._step = 1

    def look(self) -> None:
        """Show what has been finished since the last time."""
        if self.layer is None and not self._begin():
            return
        assert self._array is not None
        new = numbers_of_finished(self.folder.with_suffix(".jsonl")) - self._seen
        for number in new if self._coarse is not None else ():
            self._draw(self._blocks[number])
        self._seen |= new
        if new and self.layer is not None:
            self.layer.refresh()

    def finish(self, labels: Path) -> None:
        """Show the finished labels, in the place of those that grew.

        Raises
        ------
        FileError
            When they cannot be read.
        """
        finished = Labels(**labels_on(labels, self._placed, self._card) | {"name": self.name})
        finished.editable = False
        if self._placed is not None and self._image is not None:
            finished.metadata[LARGE_LABELS] = LabelsOf(self._image, self._card)
        held = self._viewer.layers.selection.active
        held = finished if held is self.layer else held
        self.remove()
        self._add(finished, held)
        self.layer, self.is_finished = finished, True

    def remove(self) -> None:
        """Take the layer away."""
        if self.layer is not None and self.layer in self._viewer.layers:
            self._viewer.layers.remove(self.layer)
        self.layer = None

    def _begin(self) -> bool:
        """Add the layer, where there is something to be shown."""
        try:
            how = labels_on(self.folder, self._placed, self._card)
            image = read_ome_zarr(self.folder)
        except FileError:  # not there yet
            return False
        self._array = image.array(0)
        shape, core = self._array.shape, self._array.chunks[-1]
        plane_shape = (shape[-2], shape[-1])
        self._blocks = {block.number: block for block in blocks(shape[:-2], plane_shape, core, 0)}
        while np.prod(shape[:-2]) * (shape[-2] // self._step) * (shape[-1] // self._step) > COARSE_PIXELS:
            self._step *= 2
        data: Any = GrowingArray(self._array)
        if self._step > 1:
            rows, columns = (-(-side // self._step) for side in shape[-2:])
            self._coarse = np.zeros((*shape[:-2], rows, columns), np.uint8)
        levels = [laid_on(level, image.axes, self._placed) for level in (data, self._coarse) if level is not None]
        data = levels if self._step > 1 else levels[0]
        how |= {"data": data, "name": f"{self.name} (growing)", "multiscale": self._step > 1}
        self.layer = Labels(**how)
        self.layer.editable = False
        self._add(self.layer, self._viewer.layers.selection.active)
        return True

    def _add(self, layer: Labels, held: "Layer | None") -> None:
        """Add a layer, and leave selected what people work on: they may be painting on it."""
        self._viewer.add_layer(layer)
        if held is not None and held in self._viewer.layers:
            self._viewer.layers.selection.active = held

    def _draw(self, block: Block) -> None:
        """Bring a finished block into the coarse level."""
        assert self._array is not None and self._coarse is not None
        step, core = self._step, block.core
        top, left = -(-core.y // step), -(-core.x // step)  # the first rows and columns of it that are kept
        rows, columns = slice(top * step, core.y + core.height), slice(left * step, core.x + core.width)
        try:
            part = self._array[(*block.index, rows, columns)][::step, ::step]
        except FileError:  # moved to its place meanwhile
            return
        plane = self._coarse[block.index]
        plane[top : top + part.shape[0], left : left + part.shape[1]] = part
