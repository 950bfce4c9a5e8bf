"""Requests to the worker process and events from it: frozen values with ids, one JSON object a frame."""

from typing import Annotated, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, TypeAdapter

from napari_runet.batch.record import Job, Outcome
from napari_runet.models.card import ClassInfo
from napari_runet.settings import DeviceName, FineTuningSettings, Precision, SegmentationSettings

PROTOCOL_VERSION = 1


def _as_text(text: str) -> str:
    return text.encode("utf-8", "replace").decode()


Text = Annotated[str, AfterValidator(_as_text)]
"""For people to read; what cannot be sent is replaced: on Linux, the name of a file may hold any bytes."""


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
    device: DeviceName = "auto"
    precision: Precision = "auto"


class StartFiles(Message):
    """Where the recurrence begins: an iteration of an earlier run, and the pixels that stay as a person set them.

    `foreground` is (K, Y, X) uint8, 255 times the probability of each foreground class; `pinned` (Y, X) uint8 class
    ids, 255 where nothing is pinned. The image is rescaled by `scale` for the network, as the earlier run did.
    """

    foreground: ArrayFile
    pinned: ArrayFile
    scale: float = 1.0


class Intensities(Message):
    """What -1 and +1 of the network's input mean, for each channel; measured on all of what `image` is a part of."""

    low: tuple[float, ...]
    high: tuple[float, ...]


class SegmentRequest(Message):
    """Segment one plane, or a part of one, given as (Y, X, C).

    Requests of one `chain` are for frames that follow one another in time; empty for a plane by itself.
    """

    kind: Literal["segment"] = "segment"
    id: str
    folder: str
    image: ArrayFile
    name: Text = "image"
    settings: SegmentationSettings = SegmentationSettings()
    region: RegionBox | None = None
    start: StartFiles | None = None
    intensities: Intensities | None = None
    chain: str = ""


class SegmentFileRequest(Message):
    """Segment an image file into mask files with the model in `folder`, unless that is done already."""

    kind: Literal["segment_file"] = "segment_file"
    id: str
    folder: str
    job: Job


class Span(Message):
    """The part of a dimension that is wanted; one number alone, whose dimension goes away, where `single`."""

    start: int
    stop: int
    step: int = 1
    single: bool = False


class PixelsRequest(Message):
    """The answer to `PixelsWanted` of the request `target`: the pixels, or why they cannot be read."""

    kind: Literal["pixels"] = "pixels"
    id: str
    target: str
    number: int
    pixels: ArrayFile | None = None
    problem: Text = ""


class SampleFile(Message):
    """A corrected plane: `image` (Y, X, C) of any real dtype, `labels` (Y, X) uint8 with 255 where unknown.

    `measured`, (y, x, C), are pixels of the whole plane where `image` is a square of it; see `CorrectedPlane`.
    """

    name: Text
    image: ArrayFile
    labels: ArrayFile
    measured: ArrayFile | None = None


class PreviewBox(Message):
    """What is in view: a box of the plane of sample number `sample`."""

    sample: int = Field(ge=0)
    region: RegionBox


class FineTuneRequest(Message):
    """Fine-tune the model in `folder`, and write the candidate into the new folder `output`.

    A `CancelRequest` ends it after the training step under way, with the best so far as its candidate.
    """

    kind: Literal["fine_tune"] = "fine_tune"
    id: str
    folder: str
    output: str
    samples: tuple[SampleFile, ...]
    settings: FineTuningSettings = FineTuningSettings()
    preview: PreviewBox | None = None


class NewModelRequest(Message):
    """Write an untrained model into the new folder `output`, perhaps with the layers of the model in `parent`."""

    kind: Literal["new_model"] = "new_model"
    id: str
    output: str
    model_id: str
    title: str
    classes: tuple[ClassInfo, ...]
    channels: int
    parent: str | None = None


class CancelRequest(Message):
    """Stop the request `target` at the next tile; answered by `Cancelled` for that request."""

    kind: Literal["cancel"] = "cancel"
    id: str
    target: str


Request = Annotated[
    LoadModelRequest
    | SegmentRequest
    | SegmentFileRequest
    | PixelsRequest
    | FineTuneRequest
    | NewModelRequest
    | CancelRequest,
    Field(discriminator="kind"),
]


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
    """A segmentation is complete.

    `goes_on` when it began from the mask of the frame before; `scale` is by how much the image was rescaled for the
    network, and `rescaled` says so and why, empty where it was taken as it is. `notice` says what was done otherwise
    than asked because memory or the GPU did not suffice.
    """

    kind: Literal["finished"] = "finished"
    id: str
    iterations: int
    threshold: float
    model_id: str
    model_sha256: str
    device: str
    seconds: float
    goes_on: bool = False
    scale: float = 1.0
    rescaled: str = ""
    notice: str = ""


class FileProgress(Message):
    """The share of an image file that is done, in [0, 1]."""

    kind: Literal["file_progress"] = "file_progress"
    id: str
    share: float


class FileEstimate(Message):
    """What a large image is going to take, before it is begun."""

    kind: Literal["file_estimate"] = "file_estimate"
    id: str
    sentence: str


class PixelsWanted(Message):
    """A part of a level of the layer that is being segmented, which only the client can read."""

    kind: Literal["pixels_wanted"] = "pixels_wanted"
    id: str
    number: int
    level: int
    part: tuple[Span, ...]


class FileDone(Message):
    """An image file's masks are written, or had been before."""

    kind: Literal["file_done"] = "file_done"
    id: str
    outcome: Outcome


class FineTuneReport(Message):
    """Where fine-tuning stands: see `napari_runet.training.fine_tuning.FineTuningReport`."""

    kind: Literal["fine_tune_report"] = "fine_tune_report"
    id: str
    phase: str
    training_step: int
    loss: float | None
    seconds: float
    seconds_left: float | None
    before: float | None = None
    after: float | None = None


class PreviewReady(Message):
    """The candidate's last iteration on what is in view: (K, h, w) uint8, round(255 p), of the box asked for."""

    kind: Literal["preview_ready"] = "preview_ready"
    id: str
    training_step: int
    preview: PreviewBox
    foreground: ArrayFile


class CandidateReady(Message):
    """Fine-tuning ended: the candidate is in `folder`; `figures` as in its card."""

    kind: Literal["candidate_ready"] = "candidate_ready"
    id: str
    folder: str
    sha256: str
    parent: str
    figures: dict[str, bool | int | float | str | None]


class ModelMade(Message):
    """A new model is in `folder`."""

    kind: Literal["model_made"] = "model_made"
    id: str
    folder: str
    sha256: str


class Cancelled(Message):
    """A request was stopped before its end."""

    kind: Literal["cancelled"] = "cancelled"
    id: str


class Failed(Message):
    """A request could not be carried out: a sentence for people, and the traceback for the log.

    `no_room` where a full disk is the reason.
    """

    kind: Literal["failed"] = "failed"
    id: str
    message: Text
    detail: Text = ""
    no_room: bool = False


class WorkerLost(Message):
    """Made by the client: the worker process ended without being asked to; every open request is lost.

    `id` is the request that was under way, empty when there was none.
    """

    kind: Literal["worker_lost"] = "worker_lost"
    id: str = ""
    message: str
    detail: str = ""


Event = Annotated[
    Ready
    | ModelLoaded
    | Progress
    | IterationDone
    | Finished
    | FileProgress
    | FileEstimate
    | PixelsWanted
    | FileDone
    | FineTuneReport
    | PreviewReady
    | CandidateReady
    | ModelMade
    | Cancelled
    | Failed
    | WorkerLost,
    Field(discriminator="kind"),
]
request_adapter: TypeAdapter[Request] = TypeAdapter(Request)
event_adapter: TypeAdapter[Event] = TypeAdapter(Event)
