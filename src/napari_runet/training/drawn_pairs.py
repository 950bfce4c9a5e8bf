"""Drawn pictures among the training images: things that the photographs of a set do not show."""

from collections.abc import Mapping
from typing import Literal

from napari_runet.images.drawn import draw_aerial, draw_fundus, draw_hand
from napari_runet.training.pairs import Pair

DrawnKind = Literal["fundus", "aerial", "hand"]
DRAW = {"fundus": draw_fundus, "aerial": draw_aerial, "hand": draw_hand}
FIRST_SEED = 1000
"""Far from the seeds of napari's samples and of the tests, so that these stay unseen."""
SIDE = 640
SCALES = (0.5, 0.7, 1.0, 1.3)


def drawn_pairs(counts: Mapping[DrawnKind, int]) -> list[Pair]:
    """So many drawings of each kind, 640 x 640, their structures small and large in turn; always the same ones."""
    pairs = []
    for kind, count in counts.items():
        for number in range(count):
            scale = SCALES[number % len(SCALES)]
            image, mask = DRAW[kind](seed=FIRST_SEED + number, size=SIDE, scale=scale)
            pairs.append(Pair(f"drawn {kind} {number}", image, (mask > 0).astype("uint8")))
    return pairs
