"""What the worker does with a request to load a model or to segment; on torch's side."""

import time
import uuid
from collections import OrderedDict
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np
import numpy.typing as npt

from napari_runet.engine.arrays import read_array, write_parts
from napari_runet.engine.messages import (
    Event,
    Finished,
    IterationDone,
    LoadModelRequest,
    ModelLoaded,
    PixelsRequest,
    PixelsWanted,
    Progress,
    RegionBox,
    SegmentRequest,
)
from napari_runet.images.axes import Axes
from napari_runet.images.image_input import ImageError, ImageInput, Region
from napari_runet.images.mapped import forget_pages
from napari_runet.images.normalisation import IntensityRange
from napari_runet.images.pixel_size import PixelSize
from napari_runet.images.thresholding import labels_from
from napari_runet.inference.devices import choose_device
from napari_runet.inference.following import Movies
from napari_runet.inference.known_planes import KnownPlanes
from napari_runet.inference.segmenter import LoadedModel, iterate, ready
from napari_runet.inference.starting import Start
from napari_runet.models.store import read_card
from napari_runet.models.weights import load_network

if TYPE_CHECKING:
    from napari_runet.settings import DeviceName, Precision

KEPT_MODELS = 2
PROGRESS_SECONDS = 0.1
_ROWS = 512


class Channel(Protocol):
    """What a handler may do besides computing."""

    folder: Path

    def send(self, event: Event) -> None:
        """Send an event to the client."""

    def stop_if_cancelled(self, request_id: str) -> None:
        """Raise when the client asked to stop this request; call it often."""

    def ask(self, wanted: PixelsWanted) -> PixelsRequest:
        """Have the client read pixels, and wait for them; from any thread."""


class ModelCache:
    """Keeps the last few models in memory, by folder, card, device and precision."""

    def __init__(self, size: int = KEPT_MODELS) -> None:
        self._size = size
        self._models: OrderedDict[tuple[str, str, str, str], LoadedModel] = OrderedDict()

    def get(self, folder: str, device: "DeviceName", precision: "Precision" = "auto") -> LoadedModel:
        """Load a model, unless it is here and its card is still the same.

        Raises
        ------
        ModelError, DeviceError, BackendError
            As `load_network`, `choose_device` and `ready` do.
        """
        choice = choose_device(device)
        key = (folder, read_card(Path(folder)).model_dump_json(), choice.name, precision)
        if key not in self._models:
            while len(self._models) >= self._size:
                self._models.popitem(last=False)
            card, network = load_network(Path(folder))
            key = (folder, card.model_dump_json(), choice.name, precision)
            self._models[key] = ready(card, network, choice, precision)
        self._models.move_to_end(key)
        return self._models[key]


class ProgressReport:
    """Sends `Progress` after a tile, at most ten a second, and always at the end of an iteration.

    The latter when `end_iteration` is called, after the masks were sent: drawing takes time, and they are waited for.
    """

    def __init__(
        self,
        channel: Channel,
        request_id: str,
        iterations: int,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._channel, self._id, self._iterations, self._clock = channel, request_id, iterations, clock
        self._begin = clock()
        self._sent = -np.inf
        self._due: Progress | None = None

    def __call__(self, iteration: int, done: int, total: int) -> None:
        """Tell that `done` of `total` tiles of `iteration` are complete; raises when the request was cancelled."""
        self._channel.stop_if_cancelled(self._id)
        now = self._clock()
        if done < total and now - self._sent < PROGRESS_SECONDS:
            return
        complete = (iteration - 1) * total + done
        left = (now - self._begin) / complete * (self._iterations * total - complete)
        progress = Progress(
            id=self._id, iteration=iteration, iterations=self._iterations, done=done, total=total, seconds_left=left
        )
        if done == total:
            self._due = progress
        else:
            self._send(progress)

    def end_iteration(self) -> None:
        """Tell that an iteration is complete."""
        if self._due is not None:
            self._send(self._due)
            self._due = None

    def _send(self, progress: Progress) -> None:
        self._sent = self._clock()
        self._channel.send(progress)


def load_model(channel: Channel, models: ModelCache, request: LoadModelRequest) -> None:
    """Load a model and say so."""
    model = models.get(request.folder, request.device, request.precision)
    channel.send(
        ModelLoaded(
            id=request.id, sha256=model.card.sha256, device=model.device.name, device_reason=model.device.reason
        )
    )


def segment(channel: Channel, models: ModelCache, movies: Movies, planes: KnownPlanes, request: SegmentRequest) -> None:
    """Segment a plane; each iteration is written to a file and told as soon as it is computed.

    A frame of a movie that is followed goes on from the one before.

    Raises
    ------
    ImageError, ModelError, DeviceError
        When image, model and device do not allow it.
    OSError
        When the disk is full.
    """
    begin = time.monotonic()
    settings = request.settings
    model = models.get(request.folder, settings.device, settings.precision)
    image = ImageInput.from_array(read_array(request.image), axes=Axes("YXC"), name=request.name)
    region = None if request.region is None else read_region(request.region, image)
    iterations = settings.iterations or model.card.iterations
    start, intensities = read_request_start(request)
    pixel_size = None if request.start is None else PixelSize(request.start.scale)
    follower = movies.follower(request.chain, model.card, settings)
    if follower is not None:
        frame = follower.begin(image, region=region)
        start, iterations, pixel_size = frame.start, frame.iterations, frame.pixel_size
        settings = settings.model_copy(update={"iterations": iterations})
    if settings.rescale and pixel_size is None and intensities is None:
        if (known := planes.look(model, image)) is not None:
            intensities, pixel_size = known
    threshold = settings.threshold or model.card.threshold
    mask = None if region is None else region.mask
    previous: npt.NDArray[np.uint8] | None = None
    run = uuid.uuid4().hex[:8]  # a request that is sent again after a restart writes files of its own
    report = ProgressReport(channel, request.id, iterations)
    for step in iterate(
        image,
        model,
        settings,
        region=region,
        start=start,
        intensities=intensities,
        pixel_size=pixel_size,
        quantised=True,
        report=report,
    ):
        channel.stop_if_cancelled(request.id)
        confidence, changed = summarise(step.foreground, previous, threshold, mask)
        path = channel.folder / f"{request.id}-out-{run}-{step.number}.npy"
        shown = write_parts(path, step.foreground.shape, step.foreground.dtype, masked(step.foreground, mask))
        channel.send(
            IterationDone(
                id=request.id,
                iteration=step.number,
                foreground=shown,
                mean_confidence=confidence,
                changed=changed,
            )
        )
        report.end_iteration()
        previous = step.foreground
    if follower is not None:
        follower.end(step)
    widths = model.card.structure_width
    channel.send(
        Finished(
            id=request.id,
            iterations=iterations,
            threshold=threshold,
            model_id=model.card.id,
            model_sha256=model.card.sha256,
            device=step.device,
            seconds=time.monotonic() - begin,
            goes_on=follower is not None and start is not None,
            scale=step.pixel_size.scale,
            rescaled="" if widths is None else step.pixel_size.sentence(widths.best),
            notice=step.notice,
        )
    )


def read_request_start(request: SegmentRequest) -> tuple[Start | None, IntensityRange | None]:
    """What a request begins from, its arrays mapped into memory, and the intensities of the whole plane."""
    intensities = None
    if request.intensities is not None:
        low, high = (np.array(values, np.float32) for values in (request.intensities.low, request.intensities.high))
        intensities = IntensityRange(low, high)
    if request.start is None:
        return None, intensities
    return Start(foreground=read_array(request.start.foreground), pinned=read_array(request.start.pinned)), intensities


def read_region(box: RegionBox, image: ImageInput) -> Region:
    """The region of a request, its mask mapped into memory.

    Raises
    ------
    ImageError
        When it is not inside the image.
    """
    height, width = image.plane_shape
    if box.y + box.height > height or box.x + box.width > width:
        raise ImageError(
            f"The region reaches beyond {image.name}, which has {height} x {width} pixels; choose it again."
        )
    mask = None if box.mask is None else read_array(box.mask)
    if mask is not None and mask.shape != (box.height, box.width):
        raise ImageError(f"The region of {image.name} and its mask differ in size; choose the region again.")
    return Region(box.y, box.x, box.height, box.width, mask)


def masked(
    foreground: npt.NDArray[np.uint8], mask: npt.NDArray[np.bool_] | None = None
) -> Iterator[npt.NDArray[np.uint8]]:
    """Bands of rows of each class of `foreground` (K, Y, X) in their order, 0 where `mask` (Y, X) is False."""
    for plane in foreground:
        for rows in _bands(foreground, mask):
            yield plane[rows] if mask is None else plane[rows] * mask[rows]


def summarise(
    foreground: npt.NDArray[np.uint8],
    previous: npt.NDArray[np.uint8] | None,
    threshold: float,
    mask: npt.NDArray[np.bool_] | None = None,
) -> tuple[float, int]:
    """What is told of an iteration; computed in bands of rows, so that memory stays flat.

    Parameters
    ----------
    foreground, previous
        (K, Y, X) uint8, 255 times the probability of each foreground class at this iteration and the one before.
    threshold
        In (0, 1).
    mask
        (Y, X) bool; where it is False nothing counts.

    Returns
    -------
    The mean over pixels of the most probable class's probability, and how many labels changed: all that are not
    background where there is no `previous`.
    """
    total, count, changed = 0, 0, 0
    for rows in _bands(foreground, previous, mask):
        band = foreground[:, rows]
        if len(band) == 1:
            best = np.maximum(band[0], 255 - band[0])
        else:  # 255 at most but for rounding
            best = np.maximum(band.max(axis=0), 255 - np.minimum(band.sum(axis=0, dtype=np.uint16), 255))
        flipped = labels_from(band, threshold)
        if previous is not None:
            flipped = flipped != labels_from(previous[:, rows], threshold)
        if mask is not None:
            best, flipped = best[mask[rows]], flipped[mask[rows]]
        total += int(best.sum(dtype=np.int64))
        count += best.size
        changed += int(np.count_nonzero(flipped))
    return total / (255 * max(1, count)), changed


def _bands(*arrays: npt.NDArray[Any] | None) -> Iterator[slice]:
    """Slices of rows that cover the first array (K, Y, X); what was read of mapped files is forgotten after each."""
    assert arrays[0] is not None
    for start in range(0, arrays[0].shape[1], _ROWS):
        yield slice(start, start + _ROWS)
        for array in arrays:
            forget_pages(array)
