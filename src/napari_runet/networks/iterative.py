"""What every network here shares: images go in once, and the mask is refined iteration by iteration."""

from abc import ABC, abstractmethod
from collections.abc import Iterator
from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional

from napari_runet.models.card import NetworkConfig


class State(NamedTuple):
    """What one iteration hands to the next.

    `segmentation` is s, the mask that is fed back, (B, classes, Y, X); `hidden` is h, None where a network has none.
    """

    segmentation: Tensor
    hidden: Tensor | None


class Pins(NamedTuple):
    """Pixels that a person set, and that no iteration may change.

    `where` is (B, 1, Y, X) bool; `segmentation` is (B, classes, Y, X), what s holds there: one-hot.
    """

    where: Tensor
    segmentation: Tensor


def pin(state: State, pins: Pins | None) -> State:
    """The state with s as a person set it; the hidden state is not touched."""
    if pins is None:
        return state
    return State(torch.where(pins.where, pins.segmentation, state.segmentation), state.hidden)


class IterativeNetwork(nn.Module, ABC):
    """A network that gives logits at every iteration.

    Parameters
    ----------
    config
        What it was built from.
    stride
        `step` needs images whose rows and columns are multiples of this; `forward` pads them.
    """

    def __init__(self, config: NetworkConfig, stride: int) -> None:
        super().__init__()
        self.config = config
        self.stride = stride

    @abstractmethod
    def step(self, images: Tensor, state: State) -> tuple[Tensor, State]:
        """One iteration.

        Parameters
        ----------
        images
            (B, in_channels, Y, X) float, Y and X multiples of `stride`.
        state
            From the iteration before, or `initial_state`.

        Returns
        -------
        Logits (B, classes, Y, X) and the next state.
        """

    def initial_hidden(self, images: Tensor) -> Tensor | None:
        """h_0; None for a network without a hidden state."""
        return None

    def initial_state(self, images: Tensor) -> State:
        """s_0 and h_0, filled with the constants of the config."""
        batch, _, height, width = images.shape
        segmentation = images.new_full((batch, self.config.classes, height, width), self.config.initial_segmentation)
        return State(segmentation, self.initial_hidden(images))

    def fed_back(self, logits: Tensor) -> Tensor:
        """What the next iteration sees of this one's logits: probabilities, or the logits themselves."""
        return torch.softmax(logits, dim=1) if self.config.feedback == "probabilities" else logits

    def iterate(self, images: Tensor, iterations: int) -> Iterator[Tensor]:
        """Yield the logits (B, classes, Y, X) of each iteration, for images of any size."""
        height, width = images.shape[-2:]
        padded = pad_to_multiple(images, self.stride)
        for logits in self.iterate_from(padded, self.initial_state(padded), iterations):
            yield logits[..., :height, :width]

    def iterate_from(self, images: Tensor, state: State, iterations: int, pins: Pins | None = None) -> Iterator[Tensor]:
        """Yield the logits of each iteration from any state; s is pinned again after every one.

        Rows and columns of `images` are multiples of `stride`.
        """
        for _ in range(iterations):
            logits, state = self.step(images, state)
            state = pin(state, pins)
            yield logits

    def forward(self, images: Tensor, iterations: int = 3) -> list[Tensor]:
        """Logits (B, classes, Y, X) of iterations 1 to `iterations`, for images (B, in_channels, Y, X) of any size."""
        return list(self.iterate(images, iterations))


def pad_to_multiple(images: Tensor, stride: int) -> Tensor:
    """Repeat the last row and column until both sizes are multiples of `stride`, and at least twice it.

    At the coarsest scale there are then four pixels or more, which group normalisation needs.
    """
    height, width = images.shape[-2:]
    bottom, right = (max(2 * stride, -(-size // stride) * stride) - size for size in (height, width))
    if bottom == right == 0:
        return images
    return functional.pad(images, (0, right, 0, bottom), mode="replicate")
