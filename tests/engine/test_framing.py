import io
import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st

from napari_runet.engine.framing import MAX_FRAME, FramingError, read_frame, write_frame


class Trickle:
    """A stream that takes and gives only a few bytes at a time, as pipes may."""

    def __init__(self, most: int, data: bytes = b"") -> None:
        self.most, self.data, self.at = most, data, 0

    def write(self, data: bytes) -> int:
        self.data += bytes(data[: self.most])
        return min(self.most, len(data))

    def read(self, size: int) -> bytes:
        part = self.data[self.at : self.at + min(size, self.most)]
        self.at += len(part)
        return part

    def flush(self) -> None:
        pass


@given(st.lists(st.binary(max_size=300), max_size=8), st.integers(1, 50))
def test_frames_come_back_in_order_through_any_pipe(payloads, most):
    stream = Trickle(most)
    for payload in payloads:
        write_frame(stream, payload)
    assert [read_frame(stream) for _ in payloads] == payloads
    assert read_frame(stream) is None


@given(st.binary(max_size=100), st.data())
def test_a_truncated_frame_is_refused(payload, data):
    stream = io.BytesIO()
    write_frame(stream, payload)
    cut = data.draw(st.integers(1, len(stream.getvalue()) - 1))
    with pytest.raises(FramingError, match="ended"):
        read_frame(io.BytesIO(stream.getvalue()[:cut]))


@given(st.integers(MAX_FRAME + 1, 2**32 - 1))
def test_a_giant_length_is_refused_before_reading(length):
    stream = io.BytesIO(struct.pack(">I", length) + b"rest")
    with pytest.raises(FramingError, match="claims"):
        read_frame(stream)
    assert stream.tell() == 4


def test_a_giant_message_is_not_written():
    stream = io.BytesIO()
    with pytest.raises(FramingError, match="too long"):
        write_frame(stream, bytes(MAX_FRAME + 1))
    assert stream.getvalue() == b""
