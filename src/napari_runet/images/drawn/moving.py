"""Drawn movies: a hand that moves over a desk, seen by a camera that moves too."""

import numpy as np
from scipy import ndimage

from napari_runet.images.drawn.desk import draw_desk
from napari_runet.images.drawn.hand import draw_hand_alone
from napari_runet.images.drawn.texture import Bytes, Floats, blend, check_size, developed

_ROOM = 1.5
"""Side of what is drawn, in sides of a frame: what the camera may come to see."""


def draw_moving_hand(
    seed: int = 0, size: int = 256, frames: int = 24, speed: float = 1.0, scenes: int = 1
) -> tuple[Bytes, Bytes]:
    """Draw a movie of a hand over a desk.

    Parameters
    ----------
    seed
        Decides everything; the same seed gives the same movie.
    size
        Rows and columns.
    frames
        How many.
    speed
        How quickly hand and camera move: with 1, up to about a fiftieth of the picture from frame to frame.
    scenes
        How many scenes there are, of about the same length, each with another hand and desk.

    Returns
    -------
    movie
        (frames, size, size, 3) uint8.
    truth
        (frames, size, size) uint8, 1 on hand and forearm.

    Raises
    ------
    ValueError
        When `size` is out of range.
    """
    check_size(size, 1.0)
    movie, truth = np.empty((frames, size, size, 3), np.uint8), np.empty((frames, size, size), np.uint8)
    for number, part in enumerate(np.array_split(np.arange(frames), scenes)):
        scene = _Scene(np.random.default_rng([seed, number]), size)
        for step, frame in enumerate(part):
            movie[frame], truth[frame] = scene.at(speed * step)
    return movie, truth


class _Scene:
    """One desk and one hand, larger than a frame; `at` gives what is seen at a time."""

    def __init__(self, rng: np.random.Generator, size: int) -> None:
        self._rng, self._size = rng, size
        self._room = round(_ROOM * size)
        self._desk = draw_desk(rng, self._room)
        skin, truth = draw_hand_alone(rng, self._room, 1 / _ROOM)
        self._hand = [ndimage.gaussian_filter(layer, 0.8) for layer in (*np.moveaxis(skin, -1, 0), truth)]
        self._phases = rng.uniform(0, 2 * np.pi, 5)
        self._periods = rng.uniform(60, 120, 5)

    def at(self, time: float) -> tuple[Bytes, Bytes]:
        swing = np.sin(2 * np.pi * time / self._periods + self._phases)
        middle = (self._room - self._size) / 2
        corner = middle * (1 + np.array([0.35, 0.35]) * swing[:2])
        desk = [self._seen(layer, corner) for layer in np.moveaxis(self._desk, -1, 0)]
        image = np.stack(desk, axis=-1)
        turn, zoom = 0.30 * swing[2], 1 + 0.12 * swing[3]
        *skin, share = (self._seen(layer, corner, turn, zoom, 0.06 * swing[4]) for layer in self._hand)
        cast = ndimage.gaussian_filter(ndimage.shift(share, 0.02 * self._size, order=1), 0.012 * self._size)
        image *= 1 - 0.55 * cast[..., np.newaxis]
        blend(image, share, np.stack(skin, axis=-1))
        return developed(image, self._rng, 0.5, 2.5), (share > 0.5).astype(np.uint8)

    def _seen(self, layer: Floats, corner: Floats, turn: float = 0.0, zoom: float = 1.0, reach: float = 0.0) -> Floats:
        """A layer, turned and enlarged around the elbow and moved up by a share of the frame, as the camera sees it."""
        elbow = np.array([self._room, self._room / 2])
        cosine, sine = np.cos(turn) / zoom, np.sin(turn) / zoom
        matrix = np.array([[cosine, -sine], [sine, cosine]])
        moved = corner - elbow + np.array([reach * self._size, 0])
        seen: Floats = ndimage.affine_transform(
            layer, matrix, matrix @ moved + elbow, output_shape=(self._size, self._size), order=1, mode="nearest"
        )
        return seen
