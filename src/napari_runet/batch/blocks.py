r"""Cutting large planes into blocks that are segmented each by itself.

::

    +-----------------+
    |  halo           |   The network reads core and halo; of what it says, only the core is kept. What a block gives
    |   +---------+   |   depends on nothing but the pixels in it and the intensities of its plane, so it is the same
    |   |  core   |   |   whenever, wherever and beside whatever it is computed.
    |   +---------+   |
    |                 |
    +-----------------+
"""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from napari_runet.images.image_input import Region

HALO = 64
"""Pixels around the core that are also read, as far as the plane reaches."""
LARGEST_CORE = 2048
"""Pixels of a side of the core; it is a chunk of the labels, too."""


@dataclass(frozen=True, slots=True)
class Block:
    """A part of a plane: which plane, what is kept and what is read."""

    number: int
    index: tuple[int, ...]
    core: Region
    read: Region

    @property
    def inner(self) -> tuple[slice, slice]:
        """The core as an index into what is read."""
        y, x = self.core.y - self.read.y, self.core.x - self.read.x
        return slice(y, y + self.core.height), slice(x, x + self.core.width)


def blocks(stack: tuple[int, ...], plane_shape: tuple[int, int], core: int, halo: int = HALO) -> Iterator[Block]:
    """All blocks of an image, plane after plane, row by row; `count_blocks` of them."""
    height, width = plane_shape
    number = 0
    for index in np.ndindex(stack):
        for y in range(0, height, core):
            for x in range(0, width, core):
                rows, columns = min(core, height - y), min(core, width - x)
                top, left = max(0, y - halo), max(0, x - halo)
                bottom, right = min(height, y + rows + halo), min(width, x + columns + halo)
                read = Region(top, left, bottom - top, right - left)
                yield Block(number, index, Region(y, x, rows, columns), read)
                number += 1


def count_blocks(stack: tuple[int, ...], plane_shape: tuple[int, int], core: int) -> int:
    """How many blocks an image has."""
    return int(np.prod(stack, dtype=np.int64)) * (-(-plane_shape[0] // core)) * (-(-plane_shape[1] // core))
