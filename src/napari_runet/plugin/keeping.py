"""Keeps an image's corrections on disk, for the GUI thread: nothing here makes it wait."""

import threading
from typing import TYPE_CHECKING, Any

from qtpy.QtCore import QObject, Qt, Signal  # type: ignore[attr-defined]

from napari_runet.corrections.image_key import ImageKey
from napari_runet.corrections.journal import Journal, recover_earlier
from napari_runet.corrections.journal_format import JournalError

if TYPE_CHECKING:
    from napari_runet.corrections.correction import Change
    from napari_runet.corrections.journal_file import Planes

SECONDS_TO_CLOSE = 3.0


class Keeper(QObject):
    """The journal of one image, found on a thread; changes made before it is there wait for it.

    Parameters
    ----------
    array
        The image's values; digested on the thread.
    path
        Where the image was opened from, empty for one that came from no file.

    Signals
    -------
    found
        What was kept earlier can be read from `planes`, what was kept of the same file when it had another content
        from `earlier`, and problems from `problems`.
    problem
        A sentence when changes cannot be written, an empty one when they can again.
    """

    found = Signal()
    problem = Signal(str)
    _found_on_thread = Signal()
    _problem_on_thread = Signal(str)

    def __init__(self, array: Any, path: str = "") -> None:
        super().__init__()
        self.planes: Planes = {}
        self.earlier: Planes = {}
        self.problems: list[str] = []
        self._lock = threading.Lock()
        self._key: ImageKey | None = None
        self._journal: Journal | None = None
        self._waiting: list[Change] = []
        self._closing = False
        queued = Qt.ConnectionType.QueuedConnection
        self._found_on_thread.connect(self.found, queued)
        self._problem_on_thread.connect(self.problem, queued)
        self._thread = threading.Thread(target=self._find, args=(array, path), name="corrections", daemon=True)
        self._thread.start()

    @property
    def name(self) -> str:
        """Name of the image's key; empty as long as it is not known."""
        return self._key.name if self._key is not None else ""

    def append(self, change: "Change") -> None:
        """Have a change written; returns at once."""
        with self._lock:
            if self._journal is None and self._key is not None:  # closed, and painted on nevertheless
                self._closing = False
                self._journal = self._open_again(self._key)
            if self._journal is None:
                self._waiting.append(change)
            else:
                self._journal.append(change)

    def flush(self, seconds: float = SECONDS_TO_CLOSE) -> bool:
        """Wait until all is on disk; False when it is not."""
        self._thread.join(seconds)
        with self._lock:
            journal = self._journal
        return journal.flush(seconds) if journal is not None else not self._waiting

    def close(self) -> bool:
        """Write what is left and let others write; a later change opens the journal again.

        False where something could not be written; it is kept, and tried again by the next call.
        """
        self._closing = True
        with self._lock:
            journal, self._journal = self._journal, None
            if journal is None and self._waiting and self._key is not None:
                journal = self._open_again(self._key)
        if journal is None:
            return not self._waiting
        return self._end(journal)

    def _end(self, journal: Journal) -> bool:
        """Close a journal; what it could not write waits for the next one."""
        saved = journal.close(SECONDS_TO_CLOSE)
        if not saved:
            with self._lock:
                self._waiting = [*journal.unsaved, *self._waiting]
        return saved

    def _open_again(self, key: ImageKey) -> Journal:
        """The journal, with what could not be written before it was closed."""
        waiting, self._waiting = self._waiting, []
        return Journal(key, on_problem=self._problem_on_thread.emit, unsaved=waiting)

    def _find(self, array: Any, path: str) -> None:
        try:
            key = ImageKey.of(array, path)
            journal = Journal(key, on_problem=self._problem_on_thread.emit)
        except Exception as error:  # noqa: BLE001 (the array may be anybody's code; told)
            self._problem_on_thread.emit(
                "Corrections of this image stay in memory only, because it, or what was kept of it, could not be read "
                f"({error})."
            )
            return
        earlier, problems = _earlier(key)
        with self._lock:
            self.planes, self.problems, self.earlier = journal.planes, [*journal.problems, *problems], earlier
            self._key, waiting, self._waiting = key, self._waiting, []
            for change in waiting:
                journal.append(change)
            closing = self._closing
            self._journal = None if closing else journal
        if closing:
            self._end(journal)
        else:
            self._found_on_thread.emit()


def _earlier(key: ImageKey) -> "tuple[Planes, list[str]]":
    """What was kept of the file when it had another content, and a sentence where that cannot be read."""
    try:
        return recover_earlier(key), []
    except (OSError, JournalError) as error:
        return {}, [f"Corrections of an earlier state of the file cannot be read ({error})."]
