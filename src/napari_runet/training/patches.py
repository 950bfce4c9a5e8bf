"""The parts of images around corrections: all that fine-tuning ever reads of an image."""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from napari_runet.images.image_input import Region
from napari_runet.images.normalisation import IntensityRange, normalise
from napari_runet.images.rescaling import View, ViewedPlane
from napari_runet.inference.channels import match_channels
from napari_runet.inference.segmenter import LoadedModel
from napari_runet.inference.starting import Start
from napari_runet.inference.viewing import pixel_size_of, plane_intensities, viewed_start
from napari_runet.models.card import ModelCard
from napari_runet.networks import IterativeNetwork
from napari_runet.training.holding_out import Group
from napari_runet.training.losses import UNKNOWN
from napari_runet.training.pairs import Pair, as_plane, known_labels

CELL = 128
MARGIN = 96


@dataclass(frozen=True, slots=True)
class Patch:
    """A box of an image, normalised as at inference.

    Parameters
    ----------
    image
        (C, h, w) float16.
    labels
        (h, w) uint8, only the labels of the groups it was made for, else 255.
    untouched
        (h, w) bool: nobody said anything here, neither to train on nor to judge by.
    old
        (classes, h, w) float16: what the model said before, probabilities.
    """

    image: Tensor
    labels: Tensor
    untouched: Tensor
    old: Tensor


def as_seen(pair: Pair, model: LoadedModel) -> Pair:
    """The pair at the pixel size at which the model will see the image: what it learns must be what it is asked.

    Images whose structures the model sees well as they are, and those of models that do not say, stay the same.
    """
    source = as_plane(pair.image, pair.name)
    scale = pixel_size_of(model.card, model.runner, source).scale
    if scale == 1:
        return pair
    view = View(scale)
    seen = ViewedPlane(source, (), pair_intensities(model.card, pair), view)
    start = viewed_start(Start(pinned=known_labels(pair)), view, seen.shape[:2])
    assert start.pinned is not None
    return Pair(pair.name, seen, start.pinned)


def pair_intensities(card: ModelCard, pair: Pair) -> IntensityRange:
    """The intensities that the image of a pair is normalised by, as the card says."""
    pixels = pair.image if pair.measured is None else pair.measured
    return plane_intensities(card, as_plane(pixels, pair.name), ())


class PatchReader:
    """Cuts patches out of images, and asks the old model about each.

    Parameters
    ----------
    pairs
        Images with labels; arrays are only sliced, so that they may be memory maps.
    card, network
        The model that fine-tuning starts from; the network is in evaluation mode and is not changed.
    """

    def __init__(self, pairs: list[Pair], card: ModelCard, network: IterativeNetwork) -> None:
        self.card = card
        self.network = network
        self.pairs = pairs
        self.sources = [as_plane(pair.image, pair.name) for pair in pairs]
        self.labels = [known_labels(pair) for pair in pairs]
        self._ranges: dict[int, IntensityRange] = {}

    def patches(
        self, groups: Iterable[Group], most: int, seed: int, enough: Callable[[], bool] = lambda: False
    ) -> list[Patch]:
        """Patches that cover the groups.

        Parameters
        ----------
        most
            Of more than this many, as many are drawn at random.
        enough
            Asked after each patch; True leaves the others out.
        """
        cells: dict[tuple[int, int, int], list[npt.NDArray[np.int32]]] = {}
        for group in groups:
            squares = group.points // CELL
            for y, x in np.unique(squares, axis=0):
                inside = group.points[(squares == (y, x)).all(axis=1)]
                cells.setdefault((group.image, int(y), int(x)), []).append(inside)
        keys = sorted(cells)
        order = np.random.default_rng(seed).permutation(len(keys))[:most]
        patches: list[Patch] = []
        for image, y, x in (keys[i] for i in order):
            patches.append(self._patch(image, y, x, np.concatenate(cells[image, y, x])))
            if enough():
                break
        return patches

    def elsewhere(self, count: int, seed: int, *, ask: bool) -> list[Patch]:
        """Up to `count` patches without a label, drawn at random from the images that have some.

        The old model is asked about them only where `ask` says so; else each class counts as equally likely.
        """
        cells = [
            (image, y, x)
            for image, labels in enumerate(self.labels)
            if (labels != UNKNOWN).any()
            for y in range(-(-labels.shape[0] // CELL))
            for x in range(-(-labels.shape[1] // CELL))
        ]
        order = np.random.default_rng((seed, 1)).permutation(len(cells))[:count]
        nothing = np.empty((0, 2), np.int32)
        return [self._patch(image, y, x, nothing, ask=ask) for image, y, x in (cells[i] for i in order)]

    def _patch(self, image: int, y: int, x: int, points: npt.NDArray[np.int32], *, ask: bool = True) -> Patch:
        source = self.sources[image]
        rows = _side(y, source.plane_shape[0])
        columns = _side(x, source.plane_shape[1])
        box = Region(rows.start, columns.start, rows.stop - rows.start, columns.stop - columns.start)
        labels = np.full((box.height, box.width), UNKNOWN, np.uint8)
        local = points - (box.y, box.x)
        labels[local[:, 0], local[:, 1]] = self.labels[image][points[:, 0], points[:, 1]]
        pixels = normalise(source.plane((), box), self._range(image))
        pixels = match_channels(pixels, self.card.network.in_channels, source.name)
        tensor = torch.from_numpy(np.ascontiguousarray(pixels.transpose(2, 0, 1)))
        untouched = torch.from_numpy(self.labels[image][rows, columns] == UNKNOWN)
        return Patch(tensor.half(), torch.from_numpy(labels), untouched, self._old(tensor, ask))

    def _range(self, image: int) -> IntensityRange:
        if image not in self._ranges:
            self._ranges[image] = pair_intensities(self.card, self.pairs[image])
        return self._ranges[image]

    def _old(self, image: Tensor, ask: bool) -> Tensor:
        if not ask or is_untrained(self.card):  # the latter has no answers worth keeping
            return torch.full((self.card.network.classes, *image.shape[1:]), 1 / self.card.network.classes).half()
        return probabilities(self.network, image, self.card.iterations).half()


def reviewed(patches: Sequence[Patch]) -> bool:
    """Whether at least half of what a person said about the patches confirms the old model.

    That is so where regions were reviewed, which shows how far the corrections reach; strokes are on mistakes alone.
    """
    labelled = sum(int((patch.labels != UNKNOWN).sum()) for patch in patches)
    confirmed = sum(int((patch.old.argmax(dim=0) == patch.labels).sum()) for patch in patches)
    return 2 * confirmed >= labelled


def is_untrained(card: ModelCard) -> bool:
    """Whether a model was made and never taught."""
    return card.training.get("training_steps") == 0


def _side(cell: int, length: int) -> slice:
    """A cell and its margin, moved inside the image where it would reach beyond an edge."""
    size = min(length, CELL + 2 * MARGIN)
    start = min(max(0, cell * CELL - MARGIN), length - size)
    return slice(start, start + size)


@torch.inference_mode()
def probabilities(network: IterativeNetwork, image: Tensor, iterations: int) -> Tensor:
    """(classes, h, w) float32 on the CPU: the last iteration's probabilities for one image (C, h, w)."""
    parameter = next(network.parameters())
    batch = image.unsqueeze(0).to(parameter.device, parameter.dtype).contiguous(memory_format=torch.channels_last)
    logits = batch
    for logits in network.iterate(batch, iterations):  # noqa: B007
        pass
    return torch.softmax(logits.float(), dim=1)[0].cpu()
