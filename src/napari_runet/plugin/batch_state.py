"""What the batch window shows and lets people choose, as one object that can be watched."""

from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar, Literal, Optional

from psygnal import SignalGroupDescriptor

from napari_runet.plugin.session import Notice

if TYPE_CHECKING:
    from napari_runet.batch.record import FinishedImage
    from napari_runet.models.store import StoredModel
    from napari_runet.plugin.large_layers import LargeLayer

BatchStage = Literal["idle", "listing", "running", "stopping"]
RowState = Literal["waiting", "recorded", "running", "done", "skipped", "failed", "corrected"]

FINISHED = ("recorded", "done", "skipped", "corrected")
ENDED = ("done", "skipped", "corrected", "failed")


@dataclass(slots=True, eq=False)
class Row:
    """One image of the batch.

    Parameters
    ----------
    path, name
        The image, and what its mask is called.
    state
        "recorded" when an earlier run finished it, which is checked at its turn; "skipped" when that was so.
    share
        Of a running one, in [0, 1].
    record
        Of a finished one.
    error
        Why it failed.
    """

    path: Path
    name: str
    state: RowState = "waiting"
    share: float = 0.0
    record: "FinishedImage | None" = None
    error: str = ""

    @property
    def has_mask(self) -> bool:
        """Whether there is a mask to be opened."""
        return self.record is not None and self.state in FINISHED


@dataclass(eq=False)
class BatchState:
    """The state of one batch window; ``state.events.<field>`` tells of each change.

    Parameters
    ----------
    folder, pattern, output, axes
        What was typed: folder (or file, or pattern) of images, which of its files, folder of masks, and what
        stacks' dimensions are where their files do not say.
    model
        The one that segments; None for the panel's.
    file_format, all_iterations, probabilities, overwrite
        What is written.
    level
        Of OME-Zarr images.
    stage, seconds_left
        What is being done, and how long it may take (None while it cannot be told).
    rows, revision
        The images, and a number that grows when something in them has changed.
    estimate
        What the large image that is being segmented takes.
    notice
        What there is to say.
    layer
        The large layer that is segmented, where that is no folder's image.
    """

    events: ClassVar[SignalGroupDescriptor] = SignalGroupDescriptor()

    folder: str = ""
    pattern: str = ""
    output: str = ""
    axes: str = ""
    model: Optional["StoredModel"] = None
    file_format: str = "tif"
    all_iterations: bool = False
    probabilities: bool = False
    level: int = 0
    overwrite: bool = False
    stage: BatchStage = "idle"
    seconds_left: float | None = None
    rows: tuple[Row, ...] = ()
    revision: int = 0
    estimate: str = ""
    notice: Notice = field(default_factory=Notice)
    layer: Optional["LargeLayer"] = None

    @property
    def finished(self) -> int:
        """How many images are finished, as far as that is known."""
        return sum(row.state in FINISHED for row in self.rows)

    @property
    def ended(self) -> int:
        """Of how many images it is known in this run what became of them."""
        return sum(row.state in ENDED for row in self.rows)

    @property
    def share(self) -> float:
        """How much of a run is done, in [0, 1]."""
        running = sum(row.share for row in self.rows if row.state == "running")
        return (self.ended + running) / len(self.rows) if self.rows else 0.0

    @property
    def output_folder(self) -> Path:
        """The folder of masks."""
        return Path(self.output.strip()).expanduser()
