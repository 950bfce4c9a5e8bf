"""What the worker does with a request to fine-tune; on torch's side."""

import math
import time
import traceback
import uuid
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

from napari_runet.engine.arrays import read_array, write_array
from napari_runet.engine.messages import CandidateReady, FineTuneReport, FineTuneRequest, PreviewReady, SampleFile
from napari_runet.engine.segmenting import Channel as SegmentingChannel
from napari_runet.engine.segmenting import ModelCache, read_region
from napari_runet.images.axes import Axes
from napari_runet.images.image_input import ImageInput
from napari_runet.inference.segmenter import LoadedModel, iterate
from napari_runet.inference.viewing import pixel_size_of
from napari_runet.networks import IterativeNetwork
from napari_runet.settings import SegmentationSettings
from napari_runet.training.fine_tuning import fine_tune as reports_of
from napari_runet.training.pairs import Pair
from napari_runet.training.patches import pair_intensities

if TYPE_CHECKING:
    from napari_runet.images.pixel_size import PixelSize

REPORT_SECONDS = 0.2
PREVIEW_SECONDS = 4.0
PREVIEW_SHARE = 0.1
"""Previews are made so rarely that they take at most this share of the time."""


class Channel(SegmentingChannel, Protocol):
    """What a handler may do besides computing."""

    def is_cancelled(self, request_id: str) -> bool:
        """Whether the client asked to stop this request."""


def fine_tune(channel: Channel, models: ModelCache, request: FineTuneRequest) -> None:
    """Fine-tune, tell how it goes, and write the candidate.

    Raises
    ------
    DataError, TrainingError, ModelError, DeviceError
        When samples, model and device do not allow it; there is no candidate then.
    OSError
        When the disk is full.
    """
    model = models.get(request.folder, request.settings.device, request.settings.precision)
    pairs = [_pair(sample) for sample in request.samples]
    preview = _Preview(channel, request, model)
    told = 0.0

    def stop() -> bool:
        return channel.is_cancelled(request.id)

    for report in reports_of(model, pairs, request.settings, stop=stop):
        if report.candidate is None and time.monotonic() - told >= REPORT_SECONDS:
            told = time.monotonic()
            channel.send(
                FineTuneReport(
                    id=request.id,
                    phase=report.phase,
                    training_step=report.training_step,
                    loss=report.loss,
                    seconds=report.seconds,
                    seconds_left=report.seconds_left,
                    before=report.before,
                    after=report.after,
                )
            )
        if report.network is not None and preview.due() and not stop():
            preview.try_to_send(report.network(), report.training_step)
        if report.candidate is not None:
            card = report.candidate.save(Path(request.output))
            channel.send(
                CandidateReady(
                    id=request.id,
                    folder=request.output,
                    sha256=card.sha256,
                    parent=card.parent or "",
                    figures=report.candidate.figures.as_json(),
                )
            )


def _pair(sample: SampleFile) -> Pair:
    measured = None if sample.measured is None else read_array(sample.measured)
    return Pair(sample.name, read_array(sample.image), read_array(sample.labels), measured=measured)


class _Preview:
    """The candidate's mask on what is in view, every few seconds."""

    def __init__(self, channel: Channel, request: FineTuneRequest, model: LoadedModel) -> None:
        self._channel, self._request, self._model = channel, request, model
        self._next = time.monotonic()
        self._pixel_size: PixelSize | None = None

    def due(self) -> bool:
        return self._request.preview is not None and time.monotonic() >= self._next

    def try_to_send(self, network: IterativeNetwork, training_step: int) -> None:
        """Send one; what is learned is worth more than a preview that there is no room for."""
        try:
            self.send(network, training_step)
        except (OSError, RuntimeError, MemoryError):
            traceback.print_exc()
            self._next = math.inf

    def send(self, network: IterativeNetwork, training_step: int) -> None:
        box = self._request.preview
        if box is None:
            return
        begin = time.monotonic()
        sample = self._request.samples[box.sample]
        image = ImageInput.from_array(read_array(sample.image), axes=Axes("YXC"), name=sample.name)
        if self._pixel_size is None:  # the old model's: that of the mask that this one is compared with
            self._pixel_size = pixel_size_of(self._model.card, self._model.runner, image)
        *_, last = iterate(
            image,
            replace(self._model, network=network, backend=None, spare=None),
            SegmentationSettings(),
            region=read_region(box.region, image),
            pixel_size=self._pixel_size,
            intensities=pair_intensities(self._model.card, _pair(sample)),
            quantised=True,
        )
        name = f"{self._request.id}-out-preview-{uuid.uuid4().hex[:8]}.npy"
        self._channel.send(
            PreviewReady(
                id=self._request.id,
                training_step=training_step,
                preview=box,
                foreground=write_array(self._channel.folder / name, last.foreground),
            )
        )
        took = time.monotonic() - begin
        self._next = time.monotonic() + max(PREVIEW_SECONDS, took / PREVIEW_SHARE)
