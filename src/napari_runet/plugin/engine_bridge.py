"""The engine's client for the GUI thread: its events arrive as a Qt signal."""

import traceback
from collections import deque
from pathlib import Path
from typing import TYPE_CHECKING

from qtpy.QtCore import QObject, Qt, QTimer, Signal  # type: ignore[attr-defined]

from napari_runet.engine.client import EngineClient
from napari_runet.engine.failures import describe_failure
from napari_runet.engine.messages import Event, Failed, IterationDone, PreviewReady
from napari_runet.plugin.results import keep

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    import numpy as np
    import numpy.typing as npt

    from napari_runet.corrections.replay import CorrectedPlane
    from napari_runet.engine.requests import Plane, PlaneStart
    from napari_runet.images.image_input import Region
    from napari_runet.images.normalisation import IntensityRange
    from napari_runet.models.card import ClassInfo
    from napari_runet.settings import FineTuningSettings, SegmentationSettings

    Keep = Callable[[npt.NDArray[np.uint8]], npt.NDArray[np.uint8]]


class EngineBridge(QObject):
    """Owns the client of one worker process; may be closed and started again.

    Signals
    -------
    told
        Each event, and for `IterationDone` and `PreviewReady` its probabilities, (K, Y, X) uint8 (None with other
        events); on the GUI thread.
    """

    told = Signal(object, object)
    _arrived = Signal(object, object, object)

    def __init__(self, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self._client: EngineClient | None = None
        self._keeping: dict[str, Keep] = {}
        self._waiting: deque[tuple[EngineClient, Event, npt.NDArray[np.uint8] | None]] = deque()
        self._turn = QTimer(self)
        self._turn.setInterval(0)
        self._turn.timeout.connect(self._deliver_one)
        self._arrived.connect(self._deliver, Qt.ConnectionType.QueuedConnection)

    @property
    def worker_pid(self) -> int | None:
        """Process number of the worker, None when none runs."""
        return self._client.worker_pid if self._client is not None else None

    def start(self) -> EngineClient:
        """Start the client and its worker where they do not run."""
        if self._client is None:
            inbox = _Inbox(self)
            self._client = inbox.client
            self._client.start()
        return self._client

    def load_model(self, folder: Path, settings: "SegmentationSettings") -> str:
        """Have the worker load a model; returns the request's id."""
        return self.start().load_model(folder, settings.device, settings.precision)

    def segment(
        self,
        plane: "Plane",
        *,
        folder: Path,
        name: str,
        settings: "SegmentationSettings",
        region: "Region | None",
        start: "PlaneStart | None" = None,
        intensities: "Callable[[], IntensityRange] | None" = None,
        chain: str = "",
        keep: "Keep" = keep,
    ) -> str:
        """Have one plane segmented; see `EngineClient.segment`.

        `keep` makes of the probabilities in a mapped file what `told` hands on; called on the client's thread.
        """
        request_id = self.start().segment(
            plane,
            folder=folder,
            name=name,
            settings=settings,
            region=region,
            start=start,
            intensities=intensities,
            chain=chain,
        )
        self._keeping[request_id] = keep
        return request_id

    def fine_tune(
        self,
        samples: "Callable[[], Sequence[CorrectedPlane]]",
        *,
        folder: Path,
        output: Path,
        settings: "FineTuningSettings",
        preview: "tuple[int, Region] | None",
    ) -> str:
        """Have a model fine-tuned; see `EngineClient.fine_tune`."""
        return self.start().fine_tune(samples, folder=folder, output=output, settings=settings, preview=preview)

    def new_model(
        self,
        output: Path,
        *,
        model_id: str,
        title: str,
        classes: "Sequence[ClassInfo]",
        channels: int,
        parent: Path | None,
    ) -> str:
        """Have an untrained model written; see `EngineClient.new_model`."""
        return self.start().new_model(
            output, model_id=model_id, title=title, classes=classes, channels=channels, parent=parent
        )

    def cancel(self, request_id: str) -> None:
        """Ask for a request to stop; asked twice, the worker is killed and started again."""
        if self._client is not None:
            self._client.cancel(request_id)

    def release(self, request_id: str) -> None:
        """Let the files of a request go; arrays that were read stay valid."""
        self._keeping.pop(request_id, None)
        if self._client is not None:
            self._client.release(request_id)

    def close(self) -> None:
        """End the worker; no event comes after this."""
        client, self._client = self._client, None
        if client is not None:
            client.close()

    def _deliver(self, client: EngineClient, event: Event, foreground: "npt.NDArray[np.uint8] | None") -> None:
        self._waiting.append((client, event, foreground))
        self._turn.start()

    def _deliver_one(self) -> None:
        """Tell one event a turn of the event loop: what it leads to may add a layer, which takes long."""
        client, event, foreground = self._waiting.popleft()
        if not self._waiting:
            self._turn.stop()
        if client is self._client:  # else it was closed after this was sent
            self.told.emit(event, foreground)


class _Inbox:
    """Receives one client's events on its thread, reads what belongs to them, and hands them to the GUI thread."""

    def __init__(self, bridge: EngineBridge) -> None:
        self._bridge = bridge
        self.client = EngineClient(self)

    def __call__(self, event: Event) -> None:
        foreground = None
        if isinstance(event, IterationDone | PreviewReady):
            keep_it = self._bridge._keeping.get(event.id, keep)
            try:
                foreground = keep_it(self.client.read(event.foreground))
            except OSError as error:
                message = describe_failure(error, "The masks could not be kept")
                event = Failed(id=event.id, message=message, detail=traceback.format_exc())
        self._bridge._arrived.emit(self.client, event, foreground)
