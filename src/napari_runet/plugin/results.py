"""What a run computed, kept so that masks can be made from it again without the network."""

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal

import numpy as np
import numpy.typing as npt

from napari_runet.images.thresholding import labels_from

if TYPE_CHECKING:
    from napari_runet.images.image_input import Region
    from napari_runet.models.card import ModelCard
    from napari_runet.plugin.reading import Source

KEPT_IN_MEMORY = 1 << 24
"""Probabilities of planes with more pixels than this are memory-mapped on disk."""

RunState = Literal["running", "complete", "stopped", "failed"]


def keep(foreground: npt.NDArray[np.uint8]) -> npt.NDArray[np.uint8]:
    """(K, Y, X) uint8 probabilities where they stay: copied into memory, or, for large planes, in their file.

    A mapped file stays readable after the engine has removed its name.
    """
    small = foreground.shape[-2] * foreground.shape[-1] <= KEPT_IN_MEMORY
    return np.array(foreground) if small else foreground


@dataclass(frozen=True, slots=True, eq=False)
class IterationResult:
    """One iteration: its probabilities, (K, Y, X) uint8, and their mean confidence."""

    foreground: npt.NDArray[np.uint8]
    mean_confidence: float


@dataclass(slots=True, eq=False)
class Result:
    """One run of a model over one plane, growing by one iteration at a time.

    Parameters
    ----------
    image_name
        What the image was called when the run began.
    card
        The model.
    run_id
        Names the run.
    source, region
        The plane, and the box of it that was segmented (None for all).
    threshold
        From which probability on a pixel is foreground; may be changed at any time.
    press
        Names the press of the button, which may have segmented many planes.
    device, goes_on, scale
        Where it ran, whether it began from the mask of the frame before, and by how much the image was rescaled for
        the network.
    from_correction, followed
        How many of the iterations, at their end, follow a person's corrections, and a number that grows when they
        change.
    """

    image_name: str
    card: "ModelCard"
    run_id: str
    source: "Source"
    region: "Region | None"
    threshold: float
    press: str = ""
    device: str = ""
    goes_on: bool = False
    scale: float = 1.0
    state: RunState = "running"
    iterations: list[IterationResult] = field(default_factory=list)
    from_correction: int = 0
    followed: int = 0
    _counts: dict[tuple[int, float], int] = field(default_factory=dict)

    def __deepcopy__(self, memo: object) -> "Result":
        """A copied layer speaks of the same run."""
        return self

    def __len__(self) -> int:
        return len(self.iterations)

    @property
    def own(self) -> int:
        """How many iterations the run itself computed."""
        return len(self.iterations) - self.from_correction

    def follow(
        self,
        parts: list[npt.NDArray[np.uint8]],
        box: tuple[slice, slice] = (slice(None), slice(None)),
        after: int | None = None,
    ) -> None:
        """Have parts of a box, (K, height, width) uint8, be in the iterations after the run's own; [] for none.

        Outside the box they are as the iteration `after`, by default the run's last own.
        """
        own, base = self.own, self.iterations[(after or self.own) - 1]
        for key in [key for key in self._counts if key[0] > own]:
            del self._counts[key]
        del self.iterations[own:]
        held = float(_best(base.foreground[:, *box]).sum(dtype=np.int64))
        for part in parts:
            foreground = np.array(base.foreground)
            foreground[:, *box] = part
            gained = (float(_best(part).sum(dtype=np.int64)) - held) / (255 * foreground[0].size)
            self.iterations.append(IterationResult(foreground, base.mean_confidence + gained))
        self.from_correction = len(parts)
        self.followed += 1

    @property
    def title(self) -> str:
        """What the names of the layers begin with."""
        return f"{self.image_name} · {self.card.id}"

    @property
    def plane_shape(self) -> tuple[int, int]:
        """Rows and columns of the masks: those of the region, else of the plane."""
        return (self.region.height, self.region.width) if self.region else self.source.input.plane_shape

    @property
    def stack_shape(self) -> tuple[int, ...]:
        """How many planes there are on each of ``source.input.axes.plane_axes``; () for an ordinary image."""
        return tuple(int(self.source.input.array.shape[axis]) for axis in self.source.input.axes.plane_axes)

    def at(self, iteration: int) -> IterationResult:
        """An iteration (from 1); beyond the last one, the last one: nothing has changed since."""
        return self.iterations[min(iteration, len(self)) - 1]

    def labels(self, iteration: int) -> npt.NDArray[np.uint8]:
        """(Y, X) uint8 mask of an iteration at the threshold; 0 outside the region's own mask."""
        mask = labels_from(self.at(iteration).foreground, self.threshold)
        if self.region is not None and self.region.mask is not None:
            mask[~self.region.mask] = 0
        return mask

    def whole_plane(self, iteration: int) -> npt.NDArray[np.uint8]:
        """(Y, X) uint8 mask as large as the image plane, 0 outside the region."""
        mask = self.labels(iteration)
        if self.region is None:
            return mask
        plane = np.zeros(self.source.input.plane_shape, np.uint8)
        plane[self.region.slices] = mask
        return plane

    def changes(self, iteration: int) -> npt.NDArray[np.uint8]:
        """(Y, X) uint8: 1 where foreground was added since the iteration before, 2 where it was removed.

        A pixel that went from one class to another counts as added. Before the first iteration all is background;
        those that follow corrections are compared with the run's own last one.
        """
        now = self.labels(iteration)
        before = self.labels(min(iteration - 1, self.own)) if iteration > 1 else np.zeros_like(now)
        flipped = now != before
        return np.where(flipped, np.where(now > 0, 1, 2), 0).astype(np.uint8)

    def changed_pixels(self, iteration: int) -> int:
        """How many labels differ from the iteration before, at the threshold; counted once."""
        key = (iteration, self.threshold)
        if key not in self._counts:
            now = self.labels(iteration)
            flipped = now if iteration == 1 else now != self.labels(min(iteration - 1, self.own))
            self._counts[key] = int(np.count_nonzero(flipped))
        return self._counts[key]

    @property
    def uncounted(self) -> list[int]:
        """The iterations whose changed pixels have not been counted at the threshold."""
        return [number for number in range(1, len(self) + 1) if (number, self.threshold) not in self._counts]

    def confidence(self, iteration: int) -> npt.NDArray[np.float32]:
        """(Y, X) float32: the probability of the most probable class, background included."""
        return np.asarray(_best(self.at(iteration).foreground) / np.float32(255), np.float32)

    def record(self, iteration: int) -> dict[str, object]:
        """Plain values for a layer's metadata: which image, model, version, run, iteration and threshold."""
        box = self.region
        return {
            "image": self.image_name,
            "model": self.card.id,
            "model_sha256": self.card.sha256,
            "run": self.run_id,
            "iteration": min(iteration, max(1, len(self))),
            "from_correction": self.own < min(iteration, len(self)),
            "threshold": self.threshold,
            "plane": list(self.source.index),
            "level": self.source.level,
            "region": None if box is None else [box.y, box.x, box.height, box.width],
        }


def _best(foreground: npt.NDArray[np.uint8]) -> npt.NDArray[np.uint16]:
    """(Y, X) 255 times the probability of the most probable class, background included."""
    background = 255 - np.minimum(foreground.sum(axis=0, dtype=np.uint16), 255)
    best: npt.NDArray[np.uint16] = np.maximum(foreground.max(axis=0), background)
    return best
