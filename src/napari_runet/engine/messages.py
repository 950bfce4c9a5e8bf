"""Requests to the worker process and events from it: frozen values with ids, one JSON object a frame."""

from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, TypeAdapter

from napari_runet.settings import SegmentationSettings

PROTOCOL_VERSION = 1


class Message(BaseModel):
    """What every request and event has in common."""

    model_config = ConfigDict(frozen=True, extra="forbid")


class ArrayFile(Message):
    """An array in a ``.npy`` file of the client's private folder, to be memory-mapped."""

    path: str
    shape: tuple[int, ...]
    dtype: str


class RegionBox(Message):
    """A box of the plane, and perhaps a (height, width) bool array that masks it."""

    y: int = Field(ge=0)
    x: int = Field(ge=0)
    height: int = Field(gt=0)
    width: int = Field(gt=0)
    mask: ArrayFile | None = None


class LoadModelRequest(Message):
    """Load a model so that the next segmentation starts at once."""

    kind: Literal["load_model"] = "load_model"
    id: str
    folder: str
    device: str = "auto"


class SegmentRequest(Message):
    """Segment one plane, given as (Y, X, C)."""

    kind: Literal["segment"] = "segment"
    id: str
    folder: str
    image: ArrayFile
    name: str = "image"
    settings: SegmentationSettings = SegmentationSettings()
    region: RegionBox | None = None


class CancelRequest(Message):
    """Stop the request `target` at the next tile; answered by `Cancelled` for that request."""

    kind: Literal["cancel"] = "cancel"
    id: str
    target: str


Request = Annotated[LoadModelRequest | SegmentRequest | CancelRequest, Field(discriminator="kind")]


class Ready(Message):
    """The worker is up: versions and threads, and which device ``auto`` means and why."""

    kind: Literal["ready"] = "ready"
    id: str = ""
    protocol: int = PROTOCOL_VERSION
    torch: str
    threads: int
    device: str
    device_reason: str


class ModelLoaded(Message):
    """A model is in the worker's memory, on `device`."""

    kind: Literal["model_loaded"] = "model_loaded"
    id: str
    sha256: str
    device: str
    device_reason: str


class Progress(Message):
    """`done` of `total` tiles of `iteration` (of `iterations`); `seconds_left` is None until it can be told."""

    kind: Literal["progress"] = "progress"
    id: str
    iteration: int
    iterations: int
    done: int
    total: int
    seconds_left: float | None = None


class IterationDone(Message):
    """An iteration's probabilities: (K, Y, X) uint8, round(255 p) of each foreground class, in `foreground`.

    `mean_confidence` is the mean over pixels of the probability of the more probable answer; `changed` the
    number of pixels whose label differs from the iteration before (from all background, at the first).
    """

    kind: Literal["iteration_done"] = "iteration_done"
    id: str
    iteration: int
    foreground: ArrayFile
    mean_confidence: float
    changed: int


class Finished(Message):
    """A segmentation is complete."""

    kind: Literal["finished"] = "finished"
    id: str
    iterations: int
    threshold: float
    model_id: str
    model_sha256: str
    device: str
    seconds: float


class Cancelled(Message):
    """A request was stopped before its end."""

    kind: Literal["cancelled"] = "cancelled"
    id: str


class Failed(Message):
    """A request could not be carried out: a sentence for people, and the traceback for the log."""

    kind: Literal["failed"] = "failed"
    id: str
    message: str
    detail: str = ""


class WorkerLost(Message):
    """Made by the client: the worker process ended without being asked to; every open request is lost.

    `id` is the request that was under way, empty when there was none.
    """

    kind: Literal["worker_lost"] = "worker_lost"
    id: str = ""
    message: str
    detail: str = ""


Event = Annotated[
    Ready | ModelLoaded | Progress | IterationDone | Finished | Cancelled | Failed | WorkerLost,
    Field(discriminator="kind"),
]
request_adapter: TypeAdapter[Request] = TypeAdapter(Request)
event_adapter: TypeAdapter[Event] = TypeAdapter(Event)
