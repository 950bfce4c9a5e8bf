"""Telling napari what is under way, so that its own dialog asks before the window is closed."""

from typing import TYPE_CHECKING

from napari.qt.threading import create_worker

if TYPE_CHECKING:
    from collections.abc import Callable

    from napari_runet.plugin.session import Session


class RunningWork:
    """Announces a segmentation to napari as long as it goes on.

    Parameters
    ----------
    session
        Whose `activity` is followed.
    """

    def __init__(self, session: "Session") -> None:
        self._session = session
        self._done: Callable[[], object] | None = None
        session.events.activity.connect(self._look)

    def _look(self) -> None:
        running = self._session.activity.stage != "idle"
        if running and self._done is None:
            image = self._session.image
            self._done = _announce(f"the segmentation of {image.name if image is not None else 'an image'}")
        elif not running and self._done is not None:
            done, self._done = self._done, None
            done()


class _Named:
    """Stands for work that is done elsewhere; napari shows it by its name."""

    def __init__(self, name: str) -> None:
        self._name = name

    def __call__(self) -> None:
        """Never called: no thread of napari's is taken up by waiting."""

    def __str__(self) -> str:
        return self._name


def _announce(name: str) -> "Callable[[], object]":
    """Tell napari that something has begun; returns what tells that it has ended."""
    worker = create_worker(_Named(name))
    worker.started.emit()
    return lambda: worker.finished.emit()
