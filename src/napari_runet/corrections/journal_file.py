"""The journal of one image on disk: who may write it, appending, and compacting. Blocking; see `Journal`."""

import os
from collections.abc import Iterable
from pathlib import Path

from napari_runet.corrections.correction import Change
from napari_runet.corrections.correction_set import CorrectionSet
from napari_runet.corrections.image_key import ImageKey
from napari_runet.corrections.journal_format import (
    JournalContent,
    JournalError,
    decode,
    encode_change,
    encode_header,
)
from napari_runet.corrections.locking import FileLock
from napari_runet.io.atomic import write_atomically

COMPACT_FROM_BYTES = 1 << 20
SUFFIX = ".journal"
MOST_FILES = 64

PlaneKey = tuple[tuple[int, ...], tuple[int, int]]
"""A plane's position in its stack and its shape (Y, X): read along other axes, an image has other planes."""
Planes = dict[PlaneKey, CorrectionSet]


def planes_of(changes: Iterable[Change]) -> Planes:
    """The corrections of each plane after all changes; planes where nothing is known are left out."""
    planes: Planes = {}
    for change in changes:
        key = change.index, change.shape
        if key not in planes:
            planes[key] = CorrectionSet(change.shape, change.index)
        planes[key].apply(change)
    return {key: plane for key, plane in planes.items() if plane.flags.any() or plane.regions}


def journals_of(folder: Path, key: ImageKey) -> list[Path]:
    """The journals of an image, the one written last at the end: several when several programs had it open."""
    found = [path for path in folder.glob(f"{key.name}*{SUFFIX}") if path.is_file()]
    return sorted(found, key=lambda path: (path.stat().st_mtime_ns, path.name))


class JournalFile:
    """A journal that this process alone may write.

    Parameters
    ----------
    folder
        Made where it is not there.
    key
        The image.

    Raises
    ------
    OSError
        When folder, lock or file cannot be made.
    """

    def __init__(self, folder: Path, key: ImageKey) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self.key = key
        self.path, self._lock = _claim(folder, key)
        self._compact_from = COMPACT_FROM_BYTES
        try:
            self._size = self._start()
        except BaseException:
            self._lock.release()
            raise

    def append(self, changes: Iterable[Change]) -> None:
        """Write changes and wait until they are on the disk.

        Raises
        ------
        OSError
            When they are not; the file then counts as it was before, and the call can be repeated.
        """
        content = b"".join(encode_change(change) for change in changes)
        with self.path.open("r+b") as stream:
            stream.truncate(self._size)  # what an append that failed may have left
            stream.seek(self._size)
            stream.write(content)
            stream.flush()
            os.fsync(stream.fileno())
        self._size += len(content)

    def compact_if_long(self) -> None:
        """Replace a long journal by one with a record for each plane; where there is no room for it, later."""
        if self._size < self._compact_from:
            return
        try:
            self.rewrite(decode(self.path.read_bytes()[: self._size]).changes)
        except OSError:
            # nothing is lost: one of the two is there and whole, and appending says so itself when it fails
            self._size = self.path.stat().st_size
            self._compact_from = 2 * self._size
        else:
            self._compact_from = max(COMPACT_FROM_BYTES, 2 * self._size)

    def rewrite(self, changes: Iterable[Change]) -> None:
        """Replace the journal by the sum of `changes`, whole or not at all."""
        snapshots = [encode_change(plane.snapshot()) for plane in planes_of(changes).values()]
        content = b"".join([encode_header(self.key), *snapshots])
        write_atomically(self.path, content)
        self._size = len(content)

    def absorb_others(self) -> None:
        """Take the image's other journals, whose writers are gone, into this one, and delete them."""
        others = [path for path in journals_of(self.path.parent, self.key) if path != self.path]
        locks = {path: FileLock(_lock_path(path)) for path in others}
        free = [(path, lock) for path, lock in locks.items() if lock.acquire()]
        try:
            readable = {path: content for path, _ in free if (content := _read(path)) is not None}
            if readable:
                readable[self.path] = decode(self.path.read_bytes())
                in_order = [path for path in journals_of(self.path.parent, self.key) if path in readable]
                self.rewrite(change for path in in_order for change in readable[path].changes)
            for path in readable.keys() - {self.path}:
                path.unlink(missing_ok=True)
        finally:
            for _, lock in free:
                lock.release()

    def close(self) -> None:
        """Let others write."""
        self._lock.release()

    def _start(self) -> int:
        """Make the file, or cut off what is not sound at its end; returns its size."""
        for left_over in self.path.parent.glob(f".{self.path.name}.*.partial"):
            left_over.unlink(missing_ok=True)
        raw = self.path.read_bytes() if self.path.exists() else b""
        if not raw:
            header = encode_header(self.key)
            write_atomically(self.path, header)
            return len(header)
        return decode(raw).sound_bytes


def _claim(folder: Path, key: ImageKey) -> tuple[Path, FileLock]:
    """The first journal of the image that nobody else writes and that this version can read."""
    for number in range(MOST_FILES):
        path = folder / f"{key.name}{f'-{number + 1}' if number else ''}{SUFFIX}"
        lock = FileLock(_lock_path(path))
        if not lock.acquire():
            continue
        if not path.exists() or path.stat().st_size == 0 or _read(path) is not None:
            return path, lock
        lock.release()
    raise OSError(f"the image is open in {MOST_FILES} programs")


def _read(path: Path) -> JournalContent | None:
    """A journal's content; None when it is of a newer version or damaged at its start, and must be left alone."""
    try:
        return decode(path.read_bytes())
    except JournalError:
        return None


def _lock_path(path: Path) -> Path:
    return path.with_suffix(".lock")
