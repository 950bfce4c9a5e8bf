"""Frames on a byte stream: four bytes of length (big-endian), then as many bytes of payload."""

import struct
from typing import Protocol

MAX_FRAME = 16 * 1024 * 1024
"""Messages are small, arrays travel in files; a longer frame means that something else wrote to the stream."""

_LENGTH = struct.Struct(">I")


class FramingError(ValueError):
    """The stream does not hold frames, or ends within one."""


class Readable(Protocol):
    """What frames are read from."""

    def read(self, size: int, /) -> bytes | None:
        """At most `size` bytes, none at the end."""


class Writable(Protocol):
    """What frames are written to."""

    def write(self, data: bytes, /) -> int | None:
        """Write at least the first byte of `data`; the number written."""

    def flush(self) -> None:
        """Hand on what is buffered."""


def frame_of(payload: bytes) -> bytes:
    """The payload with its length before it.

    Raises
    ------
    FramingError
        When the payload is longer than `MAX_FRAME`.
    """
    if len(payload) > MAX_FRAME:
        raise FramingError(f"a message of {len(payload)} bytes is too long; at most {MAX_FRAME} fit into a frame")
    return _LENGTH.pack(len(payload)) + payload


def write_frame(stream: Writable, payload: bytes) -> None:
    """Write one frame; as `frame_of` and `write_whole`."""
    write_whole(stream, frame_of(payload))


def write_whole(stream: Writable, data: bytes) -> None:
    """Write all of it and flush; an unbuffered stream may take it in several pieces."""
    while data:
        data = data[stream.write(data) or 0 :]
    stream.flush()


def read_frame(stream: Readable) -> bytes | None:
    """Read one frame, waiting for it; None when the stream ends between two frames.

    Raises
    ------
    FramingError
        When the stream ends within a frame, or a length is more than `MAX_FRAME`.
    """
    header = _read_exactly(stream, _LENGTH.size)
    if not header:
        return None
    if len(header) < _LENGTH.size:
        raise FramingError("the stream ended within the length of a frame")
    (length,) = _LENGTH.unpack(header)
    if length > MAX_FRAME:
        raise FramingError(f"a frame claims {length} bytes, more than the {MAX_FRAME} that one may have")
    payload = _read_exactly(stream, length)
    if len(payload) < length:
        raise FramingError(f"the stream ended after {len(payload)} of a frame's {length} bytes")
    return payload


def _read_exactly(stream: Readable, size: int) -> bytes:
    """`size` bytes, or fewer when the stream ends before."""
    parts, missing = [], size
    while missing:
        part = stream.read(missing)
        if not part:
            break
        parts.append(part)
        missing -= len(part)
    return b"".join(parts)
