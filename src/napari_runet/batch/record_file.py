"""The record of an output folder on disk: one line for each image that was finished or failed."""

import hashlib
import json
import os
from collections.abc import Iterable
from pathlib import Path

from pydantic import ValidationError

from napari_runet.batch.output import PRIVATE_FOLDER
from napari_runet.batch.record import RECORD_VERSION, Entry, entry_adapter
from napari_runet.corrections.locking import FileLock
from napari_runet.io.atomic import write_atomically
from napari_runet.io.images import FileError
from napari_runet.io.masks import why_not_written

RECORD_FILE = "record.jsonl"
_BEGUN = "begun"


class RecordFile:
    """The record of one output folder, which this process alone may write; a line is on disk when `add` returns.

    Parameters
    ----------
    folder
        The output folder, which is there.

    Raises
    ------
    FileError
        When another run writes into the folder, or the record cannot be read or written.
    """

    def __init__(self, folder: Path) -> None:
        self._private = folder / PRIVATE_FOLDER
        self._path = self._private / RECORD_FILE
        self._lock = FileLock(self._private / "lock")
        try:
            self._private.mkdir(exist_ok=True)
            if not self._lock.acquire():
                raise FileError(
                    f"Another run writes into {folder}; wait for it, stop it, or choose another output folder."
                )
            self.entries = self._read()
        except OSError as error:
            self._lock.release()
            raise FileError(why_not_written(self._path, error)) from error
        except FileError:
            self._lock.release()
            raise

    def add(self, entry: Entry) -> None:
        """Keep what became of an image.

        Raises
        ------
        FileError
            When it cannot be written.
        """
        self.entries[entry.name] = entry
        try:
            with self._path.open("ab") as stream:
                stream.write(entry.model_dump_json().encode() + b"\n")
                stream.flush()
                os.fsync(stream.fileno())
        except OSError as error:
            raise FileError(why_not_written(self._path, error)) from error

    def close(self) -> None:
        """Let others write."""
        self._lock.release()

    def _read(self) -> dict[str, Entry]:
        """The last entry of each image; a last line that a crash cut off is taken away."""
        if not self._path.exists():
            write_atomically(self._path, json.dumps({"kind": "batch", "version": RECORD_VERSION}).encode() + b"\n")
            return {}
        raw = self._path.read_bytes()
        whole = raw[: raw.rfind(b"\n") + 1]
        if whole != raw:
            write_atomically(self._path, whole)
        head, *lines = whole.splitlines() or [b""]
        try:
            version = json.loads(head)["version"]
            if version > RECORD_VERSION:
                raise FileError(f"{self._path} was written by a newer version; update napari-runet to go on there.")
            return {entry.name: entry for entry in map(entry_adapter.validate_json, lines)}
        except (ValidationError, ValueError, LookupError, TypeError) as error:
            if isinstance(error, FileError):
                raise
            raise FileError(
                f"The record {self._path} is damaged; remove it, or choose another output folder. The masks are as "
                "they were."
            ) from error


def read_entries(folder: Path) -> dict[str, Entry]:
    """What the record of an output folder says of each image, without holding it; nothing where there is none."""
    path = folder / PRIVATE_FOLDER / RECORD_FILE
    if not path.is_file():
        return {}
    entries = {}
    for line in path.read_bytes().splitlines()[1:]:
        try:
            entry = entry_adapter.validate_json(line)
        except ValidationError:  # cut off by a crash, or damaged: told when the record is opened
            continue
        entries[entry.name] = entry
    return entries


def mark_begun(folder: Path, name: str, files: Iterable[str]) -> None:
    """Note on disk that these files are about to be written, so that a run that is ended can be repeated."""
    path = _begun(folder, name)
    path.parent.mkdir(parents=True, exist_ok=True)
    write_atomically(path, json.dumps(sorted(files)).encode())


def begun(folder: Path, name: str) -> tuple[str, ...]:
    """The files of an image that a run that was ended had begun to write."""
    path = _begun(folder, name)
    return tuple(map(str, json.loads(path.read_bytes()))) if path.exists() else ()


def clear_begun(folder: Path, name: str) -> None:
    """Note that the record knows of an image's files now."""
    _begun(folder, name).unlink(missing_ok=True)


def _begun(folder: Path, name: str) -> Path:
    return folder / PRIVATE_FOLDER / _BEGUN / f"{hashlib.sha256(name.encode()).hexdigest()[:32]}.json"
