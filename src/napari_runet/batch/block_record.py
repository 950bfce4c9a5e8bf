"""Which blocks of a large image are finished, on disk, so that a run that was ended goes on where it was."""

import hashlib
import json
import os
import zlib
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from pydantic import BaseModel, ConfigDict, ValidationError

from napari_runet.batch.output import PRIVATE_FOLDER
from napari_runet.io.atomic import write_atomically

GROWING = "growing-"
"""What the folders in the private one begin with that hold the labels of images that are not finished."""


class FinishedBlock(BaseModel):
    """A block that is written: how many pixels each class has, and a checksum of its labels."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    number: int
    counts: tuple[int, ...]
    checksum: int

    @classmethod
    def of(cls, number: int, labels: npt.NDArray[np.uint8], classes: int) -> "FinishedBlock":
        """What there is to be known about the labels of a block, where there are `classes` with the background."""
        counts = np.bincount(labels.ravel(), minlength=classes)
        return cls(number=number, counts=tuple(counts.tolist()), checksum=checksum_of(labels))


def checksum_of(labels: npt.NDArray[np.uint8]) -> int:
    """Tells whether labels are as they were written."""
    return zlib.crc32(np.ascontiguousarray(labels).data)


def growing_folder(output: Path, name: str) -> Path:
    """Where the labels of an image are until they are whole."""
    return output.absolute() / PRIVATE_FOLDER / f"{GROWING}{hashlib.sha256(name.encode()).hexdigest()[:32]}"


class BlockRecord:
    """The finished blocks of one image; a block is on disk when `add` returns.

    Parameters
    ----------
    path
        The file.
    key
        All that the labels depend on, as JSON can hold it.

    Attributes
    ----------
    finished
        By their numbers. Empty where the record is of something else, or there is none.

    Raises
    ------
    OSError
        When the file cannot be read or written.
    """

    def __init__(self, path: Path, key: dict[str, Any]) -> None:
        self._path = path
        self._head = json.dumps(key, sort_keys=True).encode()
        self.finished = self._read()
        if not self.finished:
            write_atomically(path, self._head + b"\n")

    def add(self, block: FinishedBlock) -> None:
        """Keep that a block is finished; its labels are written already."""
        self.finished[block.number] = block
        with self._path.open("ab") as stream:
            stream.write(block.model_dump_json().encode() + b"\n")
            stream.flush()
            os.fsync(stream.fileno())

    def _read(self) -> dict[int, FinishedBlock]:
        if not self._path.exists():
            return {}
        head, *lines = self._path.read_bytes().split(b"\n")
        if head != self._head:
            return {}
        try:
            # what follows the last line's end was cut off
            found = [FinishedBlock.model_validate_json(line) for line in lines[:-1]]
        except ValidationError:  # damaged: nothing is certain, so all is done anew
            return {}
        whole = head + b"\n" + b"".join(line + b"\n" for line in lines[:-1])
        write_atomically(self._path, whole)
        return {block.number: block for block in found}


def numbers_of_finished(path: Path) -> set[int]:
    """The numbers of the blocks in a record that somebody else may be writing; none where there is no record."""
    if not path.is_file():
        return set()
    found = set()
    for line in path.read_bytes().split(b"\n")[1:-1]:
        try:
            found.add(FinishedBlock.model_validate_json(line).number)
        except ValidationError:  # damaged: told by whoever goes on from it
            continue
    return found
