"""The bytes of a journal: a header, then framed records, each whole or not there.

::

    header   8 bytes magic, version (u16), then one record that holds the image's key as JSON
    record   length (u32), CRC32 of the payload (u32), payload
    payload  zlib of: length of the JSON (u32), JSON, packed mask, labels, flags, packed masks of the regions

Numbers are little-endian. A damaged record is passed over where a sound one follows it; else it ends the reading, as
one does that was cut off. All sound records count.
"""

import io
import json
import struct
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from napari_runet.corrections.correction import Change
from napari_runet.corrections.image_key import ImageKey
from napari_runet.images.image_input import Region

MAGIC = b"NRUNETJ\n"
VERSION = 1
_FRAME = struct.Struct("<II")
_LENGTH = struct.Struct("<I")
_VERSION = struct.Struct("<H")


class JournalError(ValueError):
    """A journal cannot be read; the message says why. The file is left as it is."""


class NewerJournalError(JournalError):
    """A journal was written by a newer version of napari-runet."""


@dataclass(frozen=True, slots=True)
class JournalContent:
    """What a journal's bytes hold: the image's key, the changes in order, and how many bytes of it are sound."""

    key: ImageKey
    changes: tuple[Change, ...]
    sound_bytes: int


def encode_header(key: ImageKey) -> bytes:
    """The start of a journal."""
    content = json.dumps({"path": key.path, "content": key.content}).encode()
    return MAGIC + _VERSION.pack(VERSION) + _framed(zlib.compress(content))


def encode_change(change: Change) -> bytes:
    """One framed record."""
    regions = change.regions or ()
    head = {
        "index": change.index,
        "shape": change.shape,
        "y": change.y,
        "x": change.x,
        "box": change.mask.shape,
        "classes": change.classes,
        "regions": None if change.regions is None else [_region_head(region) for region in regions],
    }
    masks = [np.packbits(region.mask).tobytes() for region in regions if region.mask is not None]
    body = json.dumps(head).encode()
    parts = [_LENGTH.pack(len(body)), body, np.packbits(change.mask).tobytes()]
    parts += [change.labels.tobytes(), change.flags.tobytes(), *masks]
    return _framed(zlib.compress(b"".join(parts), level=3))


def decode(raw: bytes) -> JournalContent:
    """Read a journal, up to its last record that is whole.

    Raises
    ------
    NewerJournalError
        When a newer version wrote it.
    JournalError
        When it is no journal, or its header is damaged.
    """
    start = len(MAGIC) + _VERSION.size
    if len(raw) < start or not raw.startswith(MAGIC):
        raise JournalError("The file is no journal of corrections, or its start is damaged.")
    (version,) = _VERSION.unpack_from(raw, len(MAGIC))
    if version > VERSION:
        raise NewerJournalError(
            "The corrections of this image were written by a newer version of napari-runet; update it to get them "
            "back. They are left untouched, and what you paint now is kept beside them."
        )
    records = _records(raw, start)
    payload, sound = next(records, (None, 0))
    if payload is None:
        raise JournalError("The start of the journal of corrections is damaged.")
    key = json.loads(payload)
    changes = []
    for payload, stop in records:
        if payload is not None:
            changes.append(_change(payload))
            sound = stop
    return JournalContent(ImageKey(key["path"], key["content"]), tuple(changes), sound)


def _framed(payload: bytes) -> bytes:
    return _FRAME.pack(len(payload), zlib.crc32(payload)) + payload


def _records(raw: bytes, start: int) -> Iterator[tuple[bytes | None, int]]:
    """The unpacked payload of each whole record, None of a damaged one, and where it stops."""
    while start + _FRAME.size <= len(raw):
        length, checksum = _FRAME.unpack_from(raw, start)
        stop = start + _FRAME.size + length
        payload = raw[start + _FRAME.size : stop]
        if length == 0 or len(payload) < length:
            return
        yield zlib.decompress(payload) if zlib.crc32(payload) == checksum else None, stop
        start = stop


def _change(payload: bytes) -> Change:
    stream = io.BytesIO(payload)
    (length,) = _LENGTH.unpack(stream.read(_LENGTH.size))
    head: dict[str, Any] = json.loads(stream.read(length))
    mask = _read_mask(stream, head["box"])
    count = int(mask.sum())
    labels = np.frombuffer(stream.read(count), np.uint8).copy()
    flags = np.frombuffer(stream.read(count), np.uint8).copy()
    regions = None
    if head["regions"] is not None:
        regions = tuple(_read_region(stream, entry) for entry in head["regions"])
    shape = (int(head["shape"][0]), int(head["shape"][1]))
    classes = tuple(head.get("classes", ()))
    return Change(tuple(head["index"]), shape, head["y"], head["x"], mask, labels, flags, regions, classes)


def _region_head(region: Region) -> dict[str, Any]:
    return {"box": [region.y, region.x, region.height, region.width], "masked": region.mask is not None}


def _read_region(stream: io.BytesIO, entry: dict[str, Any]) -> Region:
    y, x, height, width = entry["box"]
    return Region(y, x, height, width, _read_mask(stream, (height, width)) if entry["masked"] else None)


def _read_mask(stream: io.BytesIO, shape: tuple[int, int]) -> npt.NDArray[np.bool_]:
    size = int(shape[0]) * int(shape[1])
    bits = np.frombuffer(stream.read((size + 7) // 8), np.uint8)
    return np.unpackbits(bits, count=size).astype(bool).reshape(shape)
