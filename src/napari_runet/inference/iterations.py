"""The network over a whole plane: iteration 1 over every tile, then iteration 2, and so on."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from napari_runet.images.image_input import ImageInput, Region
from napari_runet.images.normalisation import IntensityRange, measure_range, normalise
from napari_runet.images.pixel_size import AS_IT_IS, PixelSize
from napari_runet.inference.channels import match_channels
from napari_runet.inference.starting import Start, set_pinned
from napari_runet.inference.tiling import Tile, tiles
from napari_runet.models.card import ModelCard
from napari_runet.networks import IterativeNetwork, State
from napari_runet.networks.iterative import pad_to_multiple, pin

Report = Callable[[int, int, int], None]
"""Called after each tile with iteration, tiles done and tiles in all; may raise to stop."""


@dataclass(frozen=True, slots=True)
class Iteration:
    """What one iteration gave: `foreground` (K, Y, X) float32, the probability of each foreground class.

    `pixel_size` says by how much the plane was rescaled for the network; the probabilities have its own size.
    """

    number: int
    foreground: npt.NDArray[np.float32]
    pixel_size: PixelSize = AS_IT_IS


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
    report: Report = _ignore,
) -> Iterator[Iteration]:
    """Yield each iteration's probabilities for one plane, or for a box of it.

    The image is read tile by tile. Each tile keeps its own hidden state; the mask that is fed back is the
    blended one of the whole plane, so that tiles agree where they meet.

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
    report
        Called after each tile.
    """
    if intensities is None:
        how = card.normalisation
        intensities = measure_range(
            image, index, how.low_percentile, how.high_percentile, per_channel=how.per_channel
        )
    start = start or Start()
    box = region or Region(0, 0, *image.plane_shape)
    grid = list(tiles(box.height, box.width, tile_size, min(tile_overlap, tile_size // 2)))
    states: list[State | None] = [None] * len(grid)
    previous: npt.NDArray[np.float32] | None = None
    for number in range(1, iterations + 1):
        foreground = np.zeros((card.network.classes - 1, box.height, box.width), np.float32)
        for position, tile in enumerate(grid):
            pixels = _read(image, index, box, tile, intensities, card, network)
            pins = start.pins(tile, network, pixels)
            state = states[position] or _first_state(start, tile, network, pixels)
            if previous is not None and len(grid) > 1 and network.config.feedback == "probabilities":
                state = State(_segmentation(previous, tile, pixels), state.hidden)
            logits, state = network.step(pixels, pin(state, pins))
            state = pin(state, pins)
            states[position] = _kept(state, network, alone=len(grid) == 1)
            height, width = tile.weight.shape
            probabilities = torch.softmax(logits.float(), dim=1)[0, 1:, :height, :width].cpu().numpy()
            foreground[:, tile.rows, tile.columns] += probabilities * tile.weight
            report(number, position + 1, len(grid))
        if start.pinned is not None:
            set_pinned(foreground, start.pinned)
        yield Iteration(number, foreground)
        previous = foreground


def _first_state(start: Start, tile: Tile, network: IterativeNetwork, pixels: Tensor) -> State:
    """s_0 as given, and h_0."""
    if start.labels is None and start.foreground is None:
        return network.initial_state(pixels)
    return State(start.segmentation(tile, network, pixels), network.initial_hidden(pixels))


def _read(
    image: ImageInput,
    index: tuple[int, ...],
    box: Region,
    tile: Tile,
    intensities: IntensityRange,
    card: ModelCard,
    network: IterativeNetwork,
) -> Tensor:
    """A tile as network input, (1, C, Y, X), padded to the network's stride."""
    height, width = tile.weight.shape
    part = Region(box.y + tile.rows.start, box.x + tile.columns.start, height, width)
    pixels = match_channels(
        normalise(image.plane(index, part), intensities), card.network.in_channels, image.name
    )
    parameter = next(network.parameters())
    tensor = torch.from_numpy(np.ascontiguousarray(pixels)).permute(2, 0, 1).unsqueeze(0)
    padded = pad_to_multiple(tensor, network.stride).to(parameter.device, parameter.dtype)
    return padded.contiguous(memory_format=torch.channels_last)


def _segmentation(foreground: npt.NDArray[np.float32], tile: Tile, pixels: Tensor) -> Tensor:
    """The blended mask of the last iteration as a tile's s, (1, classes, Y, X), padded like the tile."""
    part = torch.from_numpy(foreground[:, tile.rows, tile.columns]).unsqueeze(0)
    background = (1 - part.sum(dim=1, keepdim=True)).clamp(0, 1)
    padded = torch.nn.functional.pad(
        torch.cat([background, part], dim=1),
        (0, pixels.shape[-1] - part.shape[-1], 0, pixels.shape[-2] - part.shape[-2]),
        mode="replicate",
    )
    return padded.to(pixels.device, pixels.dtype).contiguous(memory_format=torch.channels_last)


def _kept(state: State, network: IterativeNetwork, *, alone: bool) -> State:
    """What a tile remembers; its mask is not kept where the blended one replaces it."""
    if alone or network.config.feedback == "logits":
        return state
    # not a slice, which would hold on to all of it: of 8192 x 8192 pixels, over half a gigabyte
    return State(state.segmentation.new_empty(0), state.hidden)
