"""The client of the worker process; no torch, no Qt."""

import uuid
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy.typing as npt

from napari_runet.batch.record import Job
from napari_runet.corrections.replay import CorrectedPlane
from napari_runet.engine.arrays import read_array
from napari_runet.engine.dispatcher import Dispatcher
from napari_runet.engine.messages import (
    ArrayFile,
    Event,
    LoadModelRequest,
    NewModelRequest,
    PixelsWanted,
    SegmentFileRequest,
)
from napari_runet.engine.requests import Plane, PlaneStart, write_fine_tune_request, write_segment_request
from napari_runet.images.image_input import Region
from napari_runet.images.normalisation import IntensityRange
from napari_runet.models.card import ClassInfo
from napari_runet.settings import DeviceName, FineTuningSettings, Precision, SegmentationSettings


class EngineClient:
    """Starts a worker process, sends it requests, and hands its events to a callback.

    No method waits for the worker, but `close`, which waits at most about three seconds.

    Parameters
    ----------
    on_event
        Called with each event, one at a time and in order, on the client's event thread. Of one request, no
        event comes after `Finished`, `FileDone`, `ModelLoaded`, `CandidateReady`, `ModelMade`, `Cancelled`,
        `Failed`, or a `WorkerLost`, which ends all.
    environment
        Variables for the worker, over the defaults of `worker_environment`.
    """

    def __init__(self, on_event: Callable[[Event], None], environment: Mapping[str, str] | None = None) -> None:
        self._dispatcher = Dispatcher(on_event, environment)

    @property
    def running(self) -> bool:
        """Whether there is a worker process."""
        return self._dispatcher.running

    @property
    def worker_pid(self) -> int | None:
        """The worker's process number, None when there is none."""
        return self._dispatcher.worker_pid

    def start(self) -> None:
        """Start the worker unless it runs; `Ready` follows, or `WorkerLost` with the reason."""
        self._dispatcher.start()

    def load_model(self, folder: Path, device: DeviceName = "auto", precision: Precision = "auto") -> str:
        """Load the model in `folder`, so that the next segmentation starts at once; returns the request's id."""
        request = LoadModelRequest(id=uuid.uuid4().hex, folder=str(folder), device=device, precision=precision)
        return self._dispatcher.send(request)

    def segment(
        self,
        plane: Plane,
        *,
        folder: Path,
        name: str,
        settings: SegmentationSettings,
        region: Region | None = None,
        start: PlaneStart | None = None,
        intensities: Callable[[], IntensityRange] | None = None,
        chain: str = "",
    ) -> str:
        """Segment one plane.

        Parameters
        ----------
        plane
            (Y, X) or (Y, X, C) array of any real dtype, or a function without arguments that returns it; it is
            called, and the array written, on the client's own thread. Do not change the array before the first
            event.
        folder
            Of the model.
        name
            What people call the image.
        settings
            How to segment.
        region
            Box to segment, the whole plane when None; where its mask is False the result is 0.
        start
            What to begin from; `plane` is then the part of the image that it covers.
        intensities
            Measures those of the whole plane, where `plane` is a part of one; called on the client's own thread.
        chain
            Names the movie whose next frame this is, where each frame shall go on from the one before.

        Returns
        -------
        The request's id.
        """
        write = partial(
            write_segment_request,
            plane=plane,
            folder=folder,
            name=name,
            settings=settings,
            region=region,
            start=start,
            intensities=intensities,
            chain=chain,
        )
        return self._dispatcher.write_and_send(write, name)

    def segment_file(self, job: Job, *, folder: Path) -> str:
        """Segment an image file into mask files with the model in `folder`; returns the request's id."""
        request = SegmentFileRequest(id=uuid.uuid4().hex, folder=str(folder), job=job)
        return self._dispatcher.send(request)

    def give_pixels(self, wanted: PixelsWanted, arrays: Sequence[Any]) -> None:
        """Read what a worker wants of a layer, whose levels are `arrays`, on the client's own thread, and send it."""
        self._dispatcher.give_pixels(wanted, arrays)

    def fine_tune(
        self,
        samples: Callable[[], Sequence[CorrectedPlane]],
        *,
        folder: Path,
        output: Path,
        settings: FineTuningSettings,
        preview: tuple[int, Region] | None = None,
    ) -> str:
        """Fine-tune a model on corrections.

        `FineTuneReport` follows after each training step, at most a few a second, and `CandidateReady` at the end.
        `cancel` ends it within a training step, with `CandidateReady` for the best so far; called twice, it ends
        the worker, and there is no candidate.

        Parameters
        ----------
        samples
            Returns the corrected planes; called, and the arrays written, on the client's own thread.
        folder
            Of the model to start from.
        output
            A folder that is not there yet, for the candidate.
        settings
            How to fine-tune.
        preview
            Number of a sample and a box of it: `PreviewReady` follows every few seconds.

        Returns
        -------
        The request's id.
        """
        write = partial(
            write_fine_tune_request,
            samples=samples,
            folder=folder,
            output=output,
            settings=settings,
            preview=preview,
        )
        return self._dispatcher.write_and_send(write, "A corrected image")

    def new_model(
        self,
        output: Path,
        *,
        model_id: str,
        title: str,
        classes: Sequence[ClassInfo],
        channels: int,
        parent: Path | None = None,
    ) -> str:
        """Have an untrained model written into the new folder `output`; `ModelMade` follows. Returns the request's id.

        Parameters
        ----------
        classes
            The background first.
        channels
            Channels of the images it reads.
        parent
            Folder of a model whose layers it starts with; None for random ones.
        """
        request = NewModelRequest(
            id=uuid.uuid4().hex,
            output=str(output),
            model_id=model_id,
            title=title,
            classes=tuple(classes),
            channels=channels,
            parent=None if parent is None else str(parent),
        )
        return self._dispatcher.send(request)

    def cancel(self, request_id: str) -> None:
        """Ask the worker to stop a request; asked twice, end the worker and start another.

        `Cancelled` follows, unless the request ends before. Other open requests are sent again to a new worker.
        """
        self._dispatcher.cancel(request_id)

    def read(self, array: ArrayFile) -> npt.NDArray[Any]:
        """Open an array of an event, mapped into memory and read-only.

        Raises
        ------
        OSError
            When the request was released, or the client closed.
        """
        return read_array(array)

    def release(self, request_id: str) -> None:
        """Remove the files of a request; an open one is cancelled, and its events are dropped.

        Arrays that `read` has opened stay valid.
        """
        self._dispatcher.release(request_id)

    def close(self) -> None:
        """End the worker and remove all files; no event comes after it. The client cannot be used again."""
        self._dispatcher.close()
