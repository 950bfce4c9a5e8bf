"""Keeps every change of an image's corrections on disk, without making the caller wait."""

import logging
import threading
from collections.abc import Callable, Sequence
from pathlib import Path

from napari_runet.corrections.correction import Change
from napari_runet.corrections.image_key import ImageKey
from napari_runet.corrections.journal_file import SUFFIX, JournalFile, Planes, journals_of, planes_of
from napari_runet.corrections.journal_format import JournalError, decode
from napari_runet.models.store import user_folder

SECONDS_BETWEEN_TRIES = 3.0
_log = logging.getLogger(__name__)


def journal_folder() -> Path:
    """Where journals are kept."""
    return user_folder() / "corrections"


def recover(key: ImageKey, folder: Path | None = None) -> tuple[Planes, list[str]]:
    """The corrections of an image as they were last written, by plane, and a sentence for each problem."""
    folder = folder or journal_folder()
    try:
        paths = journals_of(folder, key)
    except OSError as error:
        return {}, [f"Corrections in {folder} cannot be looked for: {error.strerror or error}."]
    changes: list[Change] = []
    problems: list[str] = []
    for path in paths:
        try:
            changes += decode(path.read_bytes()).changes
        except JournalError as error:
            problems.append(f"{error} ({path})")
        except OSError as error:
            problems.append(f"The corrections in {path} cannot be read: {error.strerror or error}.")
    return planes_of(changes), problems


def journals_of_path(path: str, folder: Path | None = None) -> list[tuple[ImageKey, Path]]:
    """All journals of images that were opened from `path`, whatever their content was then.

    One whose content is not the image's present one belongs to an earlier state of the file.
    """
    start = ImageKey(path, "").name
    found = []
    for journal in sorted((folder or journal_folder()).glob(f"{start}*{SUFFIX}")):
        try:
            content = decode(journal.read_bytes())
        except (JournalError, OSError):
            continue  # `recover` says so when its image is opened
        found.append((content.key, journal))
    return found


def recover_earlier(key: ImageKey, folder: Path | None = None) -> Planes:
    """What was corrected while the image's file had another content than now, by plane; empty for no file."""
    if not key.path:
        return {}
    journals = [path for earlier, path in journals_of_path(key.path, folder) if earlier.content != key.content]
    in_order = sorted(journals, key=lambda path: path.stat().st_mtime_ns)
    return planes_of(change for path in in_order for change in decode(path.read_bytes()).changes)


class Journal:
    """The corrections of one image on disk, appended to by a thread of its own.

    Parameters
    ----------
    key
        The image.
    folder
        `journal_folder` when None.
    on_problem
        Called on the journal's thread, with a sentence when changes cannot be written, and with an empty string
        when they can again. What could not be written is kept in memory and tried again, every few seconds and
        at each new change.
    unsaved
        Changes that a journal which was closed could not write; `on_problem` is told when they are written.

    Attributes
    ----------
    planes
        What was recovered, by plane.
    problems
        A sentence for each file of the image that could not be read.

    Notes
    -----
    Two programs on one image write a file each; whoever opens the image next gets the sum of both, where the
    file written last wins at pixels that both have set.
    """

    def __init__(
        self,
        key: ImageKey,
        folder: Path | None = None,
        on_problem: Callable[[str], None] = lambda sentence: None,
        unsaved: Sequence[Change] = (),
    ) -> None:
        self.key = key
        self.folder = folder or journal_folder()
        self.planes, self.problems = recover(key, self.folder)
        self._on_problem = on_problem
        self._file: JournalFile | None = None
        self._pending = list(unsaved)
        self._failing = False
        self._closing = False
        self._last_problem: str | None = None if unsaved else ""
        self._wake = threading.Condition()
        self._thread = threading.Thread(target=self._run, name="corrections journal", daemon=True)
        self._thread.start()

    @property
    def unsaved(self) -> tuple[Change, ...]:
        """What is not on disk, in order."""
        with self._wake:
            return tuple(self._pending)

    def append(self, change: Change) -> None:
        """Have a change written; returns at once."""
        with self._wake:
            self._pending.append(change)
            self._wake.notify_all()

    def flush(self, timeout: float | None = None) -> bool:
        """Wait until all changes are on disk; False where they are not after `timeout` seconds, or a try failed."""
        with self._wake:
            self._failing = False
            self._wake.notify_all()
            self._wake.wait_for(lambda: not self._pending or self._failing, timeout)
            return not self._pending

    def close(self, timeout: float | None = 10.0) -> bool:
        """Write what is left and end the thread; False where something could not be written."""
        with self._wake:
            self._closing = True
            self._wake.notify_all()
        self._thread.join(timeout)
        return not self._pending and not self._thread.is_alive()

    def _run(self) -> None:
        while self._wait():
            with self._wake:
                batch = list(self._pending)
            problem = self._write(batch)
            with self._wake:
                if not problem:
                    del self._pending[: len(batch)]
                self._failing = bool(problem)
                closing = self._closing
                self._wake.notify_all()
            if problem and closing:
                break
        if self._file is not None:
            self._file.close()

    def _wait(self) -> bool:
        """Wait for something to write; False when there is nothing more to come."""
        with self._wake:
            known = len(self._pending)
            if self._failing:
                self._wake.wait_for(
                    lambda: self._closing or not self._failing or len(self._pending) > known, SECONDS_BETWEEN_TRIES
                )
            else:
                self._wake.wait_for(lambda: self._pending or self._closing)
            return bool(self._pending)

    def _write(self, batch: list[Change]) -> str:
        """Write changes; returns what went wrong, empty when nothing did."""
        problem = ""
        try:
            if self._file is None:
                self._file = JournalFile(self.folder, self.key)
                self._file.absorb_others()
            self._file.append(batch)
            self._file.compact_if_long()
        except (OSError, JournalError) as error:
            if self._file is not None:  # claimed anew at the next try, since the folder itself may have gone
                self._file.close()
                self._file = None
            reason = getattr(error, "strerror", None) or str(error)
            problem = (
                f"Corrections cannot be saved in {self.folder} ({reason}); painting goes on in memory, "
                "and saving is tried again. Free some space or allow writing there."
            )
        if problem != self._last_problem:
            self._last_problem = problem
            try:
                self._on_problem(problem)
            except Exception:  # noqa: BLE001 (logged; writing goes on whoever cannot be told)
                _log.exception("a problem could not be told: %s", problem)
        return problem
