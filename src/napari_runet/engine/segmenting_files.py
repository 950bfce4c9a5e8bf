"""What the worker does with a request to segment a file; on torch's side."""

import time
from collections.abc import Callable

from napari_runet.engine.messages import FileDone, FileEstimate, FileProgress, SegmentFileRequest
from napari_runet.engine.segmenting import PROGRESS_SECONDS, Channel, ModelCache
from napari_runet.inference.estimating import estimate_unfinished
from napari_runet.inference.files import segment_file as do
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
    if sentence := estimate_unfinished(request.job, model):
        channel.send(FileEstimate(id=request.id, sentence=sentence))
    outcome = do(request.job, model, report)
    channel.send(FileDone(id=request.id, outcome=outcome))


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
