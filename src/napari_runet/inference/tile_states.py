"""What each tile remembers between two iterations."""

import tempfile

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from napari_runet.networks import State

KEPT_IN_MEMORY = 64 << 20
"""Bytes of all tiles' states up to which they stay in memory."""


class TileStates:
    """The states of `count` tiles of one size; in an unnamed temporary file where they are large together.

    Networks that recur at full resolution remember more than a hundred megabytes a tile. In memory the states lie
    in one block: each in a block of its own would leave holes between them that nothing else fits into.
    """

    def __init__(self, count: int) -> None:
        self._count = count
        self._only: State | None = None
        self._store: _Block | _File | None = None
        self._layout: list[tuple[torch.Size, torch.dtype, torch.device] | None] = []
        self._known: set[int] = set()

    def get(self, position: int) -> State | None:
        """The tile's state, None before its first iteration.

        Raises
        ------
        OSError
            When the file cannot be read.
        """
        if self._store is None or position not in self._known:
            return self._only
        raw = torch.from_numpy(self._store.read(position))
        parts: list[Tensor | None] = []
        for layout in self._layout:
            if layout is None:
                parts.append(None)
                continue
            shape, dtype, device = layout
            size = shape.numel() * dtype.itemsize
            part = raw[:size].view(dtype).reshape(shape) if size else torch.empty(shape, dtype=dtype)
            raw = raw[size:]
            memory = torch.channels_last if part.dim() == 4 else torch.contiguous_format
            parts.append(part.to(device).contiguous(memory_format=memory))
        segmentation, hidden = parts
        assert segmentation is not None
        return State(segmentation, hidden)

    def put(self, position: int, state: State) -> None:
        """Remember a tile's state.

        Raises
        ------
        OSError
            When the disk is full.
        """
        if self._count == 1:
            self._only = state
            return
        raw = [
            part.cpu().contiguous().flatten().view(torch.uint8).numpy()
            for part in state
            if part is not None and part.numel()
        ]
        size = sum(len(part) for part in raw)
        if self._store is None:
            self._layout = [None if part is None else (part.shape, part.dtype, part.device) for part in state]
            self._store = (_Block if self._count * size <= KEPT_IN_MEMORY else _File)(self._count, size)
        self._store.write(position, raw)
        self._known.add(position)


class _Block:
    """`count` pieces of `size` bytes in memory."""

    def __init__(self, count: int, size: int) -> None:
        self._bytes = np.empty((count, size), np.uint8)

    def write(self, position: int, parts: list[npt.NDArray[np.uint8]]) -> None:
        if parts:
            np.concatenate(parts, out=self._bytes[position])

    def read(self, position: int) -> npt.NDArray[np.uint8]:
        found: npt.NDArray[np.uint8] = self._bytes[position].copy()
        return found


class _File:
    """`count` pieces of `size` bytes in an unnamed temporary file."""

    def __init__(self, count: int, size: int) -> None:
        self._size = size
        self._file = tempfile.TemporaryFile(prefix="napari-runet-")

    def write(self, position: int, parts: list[npt.NDArray[np.uint8]]) -> None:
        self._file.seek(position * self._size)
        for part in parts:
            self._file.write(part.data)

    def read(self, position: int) -> npt.NDArray[np.uint8]:
        self._file.seek(position * self._size)
        found = np.empty(self._size, np.uint8)
        self._file.readinto(found.data)
        return found
