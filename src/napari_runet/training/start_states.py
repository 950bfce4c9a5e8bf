"""States that the recurrence may be started from: what a person left, or what the network itself came to.

A network that was only ever started from nothing reads a mask that somebody corrected as if it were its own, and
drifts when it goes on for more iterations than it was trained for. Here a share of the training batches begins
elsewhere: from the truth, damaged and moved, of which only parts may be known; or from the network's own state after
some iterations, its worst mistakes corrected by the strokes of a simulated annotator.
"""

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from napari_runet.corrections.annotator import Annotator
from napari_runet.networks import IterativeNetwork, Pins, State
from napari_runet.networks.iterative import pin
from napari_runet.training.draws import Draws
from napari_runet.training.losses import UNKNOWN


@dataclass(frozen=True, slots=True)
class Start:
    """Where the recurrence begins; `pins` is None where nobody corrected anything."""

    state: State
    pins: Pins | None = None


class StartStates:
    """Chooses where the recurrence begins in each training batch.

    Parameters
    ----------
    share
        Share of the batches that do not begin from nothing.
    generator
        Source of randomness, on the CPU.
    """

    def __init__(self, share: float, generator: torch.Generator) -> None:
        self.share = share
        self.draws = Draws(generator)

    def draw(self, network: IterativeNetwork, images: Tensor, labels: Tensor) -> Start:
        """The start for a batch.

        Parameters
        ----------
        images
            (B, C, Y, X) on the network's device, Y and X multiples of its stride.
        labels
            (B, Y, X) int64, on any device.
        """
        nothing = network.initial_state(images)
        if self.share == 0 or not self.draws.chance(self.share):
            return Start(nothing)
        if self.draws.chance(0.5):
            return self._left_by_a_person(nothing, labels)
        return self._corrected(network, images, nothing, labels)

    def _left_by_a_person(self, nothing: State, labels: Tensor) -> Start:
        """A damaged truth as s_0; in some batches all but a few discs is unknown, and those are pinned."""
        classes, truth = nothing.segmentation.shape[1], labels.cpu()
        sparse = self.draws.chance(0.4)
        certain = self._discs(truth, self.draws.integer(1, 8)) & (truth != UNKNOWN)
        mask = torch.where(certain, truth, UNKNOWN) if sparse else torch.where(certain, truth, self._damaged(truth))
        start = as_segmentation(mask, classes, self._initial(nothing)).to(nothing.segmentation)
        pins = Pins(certain[:, None].to(start.device), start) if sparse or self.draws.chance(0.5) else None
        return Start(State(start, nothing.hidden), pins)

    def _corrected(self, network: IterativeNetwork, images: Tensor, state: State, labels: Tensor) -> Start:
        """The network's own state after 1 to 4 iterations, corrected in about two of three samples."""
        with torch.no_grad():
            for _ in range(self.draws.integer(1, 4)):
                logits, state = network.step(images, state)
        shown = logits.argmax(dim=1).cpu().numpy().astype(np.uint8)
        truth = labels.cpu().numpy().astype(np.uint8)
        strokes = np.full_like(truth, UNKNOWN)
        for sample in range(len(truth)):
            if self.draws.chance(0.67):
                annotator = Annotator(pixels=self.draws.integer(20, 300), mistakes=self.draws.integer(1, 6))
                strokes[sample] = annotator.correct(shown[sample], truth[sample], strokes[sample])
        values = as_segmentation(torch.from_numpy(strokes).long(), logits.shape[1], 0.0).to(state.segmentation)
        pins = Pins(torch.from_numpy(strokes != UNKNOWN)[:, None].to(values.device), values)
        return Start(pin(state, pins), pins)

    def _damaged(self, truth: Tensor) -> Tensor:
        """Labels moved by a few pixels, with holes and with pieces that belong elsewhere."""
        limit = self.draws.integer(0, 8)
        moved = torch.roll(truth, (self.draws.integer(-limit, limit), self.draws.integer(-limit, limit)), (1, 2))
        far = torch.roll(truth, (self.draws.integer(20, 60), self.draws.integer(20, 60)), (1, 2))
        damaged = torch.where(self._discs(truth, self.draws.integer(0, 6)), 0, moved)
        damaged = torch.where(self._discs(truth, self.draws.integer(0, 4)), far, damaged)
        return torch.where(moved == UNKNOWN, UNKNOWN, torch.where(far == UNKNOWN, moved, damaged))

    def _discs(self, truth: Tensor, count: int) -> Tensor:
        """(B, Y, X) bool: `count` discs in each sample, on foreground where there is some in two of three."""
        batch, height, width = truth.shape
        rows = torch.arange(height)[:, None]
        columns = torch.arange(width)[None, :]
        found = torch.zeros(truth.shape, dtype=torch.bool)
        for sample in range(batch):
            foreground = ((truth[sample] > 0) & (truth[sample] != UNKNOWN)).nonzero()
            for _ in range(count):
                radius = self.draws.uniform(3, 30)
                if len(foreground) and self.draws.chance(0.67):
                    y, x = foreground[self.draws.below(len(foreground))].tolist()
                else:
                    y, x = self.draws.below(height), self.draws.below(width)
                found[sample] |= (rows - y) ** 2 + (columns - x) ** 2 <= radius**2
        return found

    @staticmethod
    def _initial(nothing: State) -> float:
        return float(nothing.segmentation.flatten()[0])


def as_segmentation(labels: Tensor, classes: int, unknown: float) -> Tensor:
    """Labels as the network's s: one-hot where known, as before the first iteration where not.

    Parameters
    ----------
    labels
        (B, Y, X) int64, `UNKNOWN` where nothing is known.
    classes
        Channels of s.
    unknown
        Value of every channel where nothing is known: the network's `initial_segmentation`.

    Returns
    -------
    (B, classes, Y, X) float32.
    """
    known = labels != UNKNOWN
    one_hot = functional.one_hot(torch.where(known, labels, 0), classes).permute(0, 3, 1, 2).float()
    return torch.where(known[:, None], one_hot, unknown)
