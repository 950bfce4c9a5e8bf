"""What the worker does with a request to segment a file; on torch's side."""

import time
from collections.abc import Callable
from itertools import count
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from napari_runet.engine.arrays import read_array, remove_file
from napari_runet.engine.messages import FileDone, FileEstimate, FileProgress, PixelsWanted, SegmentFileRequest, Span
from napari_runet.engine.segmenting import PROGRESS_SECONDS, Channel, ModelCache
from napari_runet.inference.estimating import estimate_unfinished
from napari_runet.inference.files import segment_file as do
from napari_runet.io.images import FileError
from napari_runet.io.pulled_image import Key, Pull
from napari_runet.models.store import ModelError


def segment_file(channel: Channel, models: ModelCache, request: SegmentFileRequest) -> None:
    """Segment an image file, and tell what became of it.

    Raises
    ------
    FileError, ImageError, ModelError, DeviceError
        When that cannot be done.
    """
    settings = request.job.settings
    model = models.get(request.folder, settings.device, settings.precision)
    if model.card.sha256 != request.job.how.model_sha256:
        raise ModelError(f"The model {model.card.id!r} was replaced meanwhile; start again.")
    report = _reporter(channel, request.id)
    channel.stop_if_cancelled(request.id)
    pull = _puller(channel, request.id) if request.job.pulled is not None else None
    if sentence := estimate_unfinished(request.job, model, pull=pull):
        channel.send(FileEstimate(id=request.id, sentence=sentence))
    outcome = do(request.job, model, report, pull=pull)
    channel.send(FileDone(id=request.id, outcome=outcome))


def _puller(channel: Channel, request_id: str) -> Pull:
    """Reads parts of a layer that lies in the client's process; it may be called on several threads."""
    numbers = count()

    def pull(level: int, key: Key) -> npt.NDArray[Any]:
        part = tuple(
            Span(start=each.start, stop=each.stop, step=each.step)
            if isinstance(each, slice)
            else Span(start=each, stop=each + 1, single=True)
            for each in key
        )
        answer = channel.ask(PixelsWanted(id=request_id, number=next(numbers), level=level, part=part))
        if answer.pixels is None:
            raise FileError(answer.problem)
        pixels = np.array(read_array(answer.pixels))
        remove_file(Path(answer.pixels.path))
        return pixels

    return pull


def _reporter(channel: Channel, request_id: str) -> Callable[[float], None]:
    """Sends `FileProgress` at most ten times a second, and raises when the request was cancelled."""
    sent = float("-inf")

    def report(share: float) -> None:
        nonlocal sent
        channel.stop_if_cancelled(request_id)
        now = time.monotonic()
        if now - sent >= PROGRESS_SECONDS:
            sent = now
            channel.send(FileProgress(id=request_id, share=share))

    return report
