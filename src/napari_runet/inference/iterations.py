"""The network over a whole plane: iteration 1 over every tile, then iteration 2, and so on."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from napari_runet.images.image_input import ImageInput, Region
from napari_runet.images.mapped import forget_pages
from napari_runet.images.normalisation import IntensityRange, measure_range, normalise
from napari_runet.images.pixel_size import AS_IT_IS, PixelSize
from napari_runet.images.thresholding import as_float, quantise
from napari_runet.inference.blending import BlendedPlane
from napari_runet.inference.channels import match_channels
from napari_runet.inference.starting import Start
from napari_runet.inference.tile_states import TileStates
from napari_runet.inference.tiling import Tile, tiles
from napari_runet.models.card import ModelCard
from napari_runet.networks import IterativeNetwork, State
from napari_runet.networks.iterative import pad_to_multiple, pin

Report = Callable[[int, int, int], None]
"""Called after each tile with iteration, tiles done and tiles in all; may raise to stop."""


@dataclass(frozen=True, slots=True)
class Iteration:
    """What one iteration gave.

    Parameters
    ----------
    number
        t, from 1.
    foreground
        (K, Y, X), read-only: the probability of each foreground class as float32, or as uint8 round(255 p) where
        that was asked for. A large one is a mapped file that is gone when the array is.
    pixel_size
        By how much the plane was rescaled for the network; the probabilities have its own size.
    device
        Where it was computed; empty where that was not asked.
    notice
        A sentence on what was done otherwise than asked, because memory or the GPU did not suffice; or empty.
    """

    number: int
    foreground: npt.NDArray[Any]
    pixel_size: PixelSize = AS_IT_IS
    device: str = ""
    notice: str = ""


def _ignore(iteration: int, done: int, total: int) -> None:
    pass


@torch.inference_mode()
def iterate_plane(
    card: ModelCard,
    network: IterativeNetwork,
    image: ImageInput,
    index: tuple[int, ...] = (),
    *,
    iterations: int,
    tile_size: int,
    tile_overlap: int,
    region: Region | None = None,
    start: Start | None = None,
    intensities: IntensityRange | None = None,
    quantised: bool = False,
    report: Report = _ignore,
) -> Iterator[Iteration]:
    """Yield each iteration's probabilities for one plane, or for a box of it.

    The image is read tile by tile. Each tile keeps its own hidden state; the mask that is fed back is the
    blended one of the whole plane, so that tiles agree where they meet; it is kept as uint8. Memory grows with
    the width of the plane, not with its area, as long as `quantised` is set and no iteration is held on to.

    Parameters
    ----------
    card, network
        The model; the network decides device and dtype.
    image, index, region
        What to segment; intensities are measured on the whole plane, so a region gets what the whole would.
    iterations, tile_size, tile_overlap
        `tile_overlap` is at least what neighbouring tiles share, in pixels.
    start
        What to begin from, as large as what is segmented; its pinned pixels are the same after every iteration.
    intensities
        Those of the whole of which the image is a part; measured on the plane when None.
    quantised
        Give uint8 round(255 p) instead of float32 probabilities.
    report
        Called after each tile.

    Raises
    ------
    ImageError
        When the plane holds no finite number, or channels that the model cannot read.
    OSError
        When the plane is large and the disk for temporary files is full.
    """
    if intensities is None:
        how = card.normalisation
        intensities = measure_range(image, index, how.low_percentile, how.high_percentile, per_channel=how.per_channel)
    start = start or Start()
    box = region or Region(0, 0, *image.plane_shape)
    read = _TileReader(card, network, image, index, box, intensities)
    forget_pages(image.array)
    grid = list(tiles(box.height, box.width, tile_size, min(tile_overlap, tile_size // 2)))
    blended = len(grid) > 1 and network.config.feedback == "probabilities"
    states = TileStates(len(grid))
    shape = (card.network.classes - 1, box.height, box.width)
    previous: npt.NDArray[Any] | None = None
    for number in range(1, iterations + 1):
        plane = BlendedPlane(shape, grid[0].height, quantised=quantised, pinned=start.pinned)
        for position, tile in enumerate(grid):
            pixels = read(tile)
            pins = start.pins(tile, network, pixels)
            state = states.get(position) or _first_state(start, tile, network, pixels)
            if previous is not None and blended:
                state = State(_segmentation(previous, tile, pixels), state.hidden)
            logits, state = network.step(pixels, pin(state, pins))
            state = pin(state, pins)
            plane.add(tile, _foreground(logits, state, network, tile))
            # not a slice of the mask, which would hold on to all of it
            states.put(position, State(state.segmentation.new_empty(0), state.hidden) if blended else state)
            report(number, position + 1, len(grid))
            if tile.columns.stop == box.width:
                for array in (image.array, previous, start.foreground, start.pinned):
                    forget_pages(array)
        previous = plane.finish()
        yield Iteration(number, previous)


def _first_state(start: Start, tile: Tile, network: IterativeNetwork, pixels: Tensor) -> State:
    """s_0 as given, and h_0."""
    if start.labels is None and start.foreground is None:
        return network.initial_state(pixels)
    return State(start.segmentation(tile, network, pixels), network.initial_hidden(pixels))


class _TileReader:
    """Reads tiles of a box of a plane as network input; the only tile of a small plane is read once."""

    def __init__(
        self,
        card: ModelCard,
        network: IterativeNetwork,
        image: ImageInput,
        index: tuple[int, ...],
        box: Region,
        intensities: IntensityRange,
    ) -> None:
        self._intensities = intensities
        self._channels, self._network = card.network.in_channels, network
        self._image, self._index, self._box = image, index, box
        self._whole: Tensor | None = None

    def __call__(self, tile: Tile) -> Tensor:
        """A tile, (1, C, Y, X), padded to the network's stride."""
        if self._whole is not None:
            return self._whole
        part = Region(self._box.y + tile.rows.start, self._box.x + tile.columns.start, tile.height, tile.width)
        raw = self._image.plane(self._index, part)
        pixels = match_channels(normalise(raw, self._intensities), self._channels, self._image.name)
        parameter = next(self._network.parameters())
        tensor = torch.from_numpy(np.ascontiguousarray(pixels)).permute(2, 0, 1).unsqueeze(0)
        padded = pad_to_multiple(tensor, self._network.stride).to(parameter.device, parameter.dtype)
        padded = padded.contiguous(memory_format=torch.channels_last)
        if (tile.height, tile.width) == (self._box.height, self._box.width):
            self._whole = padded
        return padded


def _segmentation(foreground: npt.NDArray[Any], tile: Tile, pixels: Tensor) -> Tensor:
    """The blended mask of the last iteration as a tile's s, (1, classes, Y, X), padded like the tile."""
    found = foreground[:, tile.rows, tile.columns]
    # always of uint8, so that the masks do not depend on what the caller wants to have them as
    part = torch.from_numpy(as_float(found if found.dtype == np.uint8 else quantise(found))).unsqueeze(0)
    background = (1 - part.sum(dim=1, keepdim=True)).clamp(0, 1)
    padded = torch.nn.functional.pad(
        torch.cat([background, part], dim=1),
        (0, pixels.shape[-1] - part.shape[-1], 0, pixels.shape[-2] - part.shape[-2]),
        mode="replicate",
    )
    return padded.to(pixels.device, pixels.dtype).contiguous(memory_format=torch.channels_last)


def _foreground(logits: Tensor, state: State, network: IterativeNetwork, tile: Tile) -> npt.NDArray[np.float32]:
    """The probabilities of a tile's foreground classes, (K, height, width)."""
    fed_back = network.config.feedback == "probabilities"
    probabilities = state.segmentation if fed_back else torch.softmax(logits.float(), dim=1)
    part: npt.NDArray[np.float32] = probabilities[0, 1:, : tile.height, : tile.width].float().cpu().numpy()
    return part
