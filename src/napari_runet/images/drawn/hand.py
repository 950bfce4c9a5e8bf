"""A drawn hand with its forearm, reaching over a desk with things on it."""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy import ndimage

from napari_runet.images.drawn.desk import draw_desk
from napari_runet.images.drawn.texture import Bytes, Floats, blend, check_size, developed, noise

Point = npt.NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class _Finger:
    """Where a finger leaves the palm (sideways, upwards), its three lengths, radius and angle from upright.

    Lengths in palm widths, angles in radians; `bends` turn the second and third bone.
    """

    base: tuple[float, float]
    bones: tuple[float, float, float]
    radius: float
    angle: float
    bends: tuple[float, float]


@dataclass(frozen=True, slots=True)
class _Frame:
    """The hand's own directions: palm `width` in pixels, `wrist` (y, x), `lean` from upright, thumb's `side`."""

    size: int
    width: float
    wrist: Point
    lean: float
    side: int

    def way(self, angle: float) -> Point:
        """The direction at this angle from the hand's middle line, towards the thumb where positive."""
        return np.array([-np.cos(self.lean + self.side * angle), np.sin(self.lean + self.side * angle)])

    def at(self, sideways: float, upwards: float) -> Point:
        """A place given in palm widths from the wrist."""
        place: Point = self.wrist + self.width * (sideways * self.way(np.pi / 2) + upwards * self.way(0))
        return place

    def bar(self, start: Point, end: Point, radii: tuple[float, float]) -> Floats:
        """Height of a bar with round ends, its radius (in palm widths) going from one to the other; 0 outside."""
        rows, columns = np.ogrid[: self.size, : self.size]
        way = end - start
        along = ((rows - start[0]) * way[0] + (columns - start[1]) * way[1]) / float(way @ way)
        along = np.clip(along, 0, 1)
        radius = self.width * (radii[0] + (radii[1] - radii[0]) * along)
        away = np.hypot(rows - start[0] - along * way[0], columns - start[1] - along * way[1])
        height: Floats = np.sqrt(np.clip(radius**2 - away**2, 0, None))
        return height

    def spot(self, centre: Point, way: Point, radii: tuple[float, float], power: float = 2) -> Floats:
        """A soft ellipse, 1 in its middle, with radii (in palm widths) along and across a direction."""
        rows, columns = np.ogrid[: self.size, : self.size]
        along = ((rows - centre[0]) * way[0] + (columns - centre[1]) * way[1]) / (radii[0] * self.width)
        across = ((rows - centre[0]) * way[1] - (columns - centre[1]) * way[0]) / (radii[1] * self.width)
        share: Floats = np.exp(-(np.hypot(along, across) ** power))
        return share


KNUCKLES = (
    (0.16, (0.345, 0.80)),
    (0.06, (0.115, 0.87)),
    (-0.06, (-0.115, 0.83)),
    (-0.15, (-0.31, 0.72)),
)
"""Bones of the palm: how far aside each begins at the wrist, and where it ends."""
FINGERS = (
    _Finger((0.40, 0.18), (0.34, 0.34, 0.26), 0.135, 0.72, (-0.30, -0.22)),  # thumb
    _Finger((0.345, 0.86), (0.46, 0.28, 0.20), 0.118, 0.20, (-0.03, -0.04)),
    _Finger((0.115, 0.93), (0.51, 0.32, 0.21), 0.122, 0.05, (0.0, 0.0)),
    _Finger((-0.115, 0.89), (0.47, 0.30, 0.20), 0.115, -0.09, (0.03, 0.02)),
    _Finger((-0.325, 0.78), (0.36, 0.22, 0.18), 0.098, -0.28, (0.05, 0.06)),
)
SKINS = ((226, 178, 150), (205, 150, 120), (168, 116, 88), (122, 82, 62), (240, 200, 176))


def draw_hand(seed: int = 0, size: int = 1024, scale: float = 1.0) -> tuple[Bytes, Bytes]:
    """Draw a hand seen from above, over a desk with a notebook, a keyboard, a mug, a pen and a telephone.

    Parameters
    ----------
    seed
        Decides everything; the same seed gives the same picture.
    size
        Rows and columns.
    scale
        Size of the hand, 1 for one about half as long as the picture.

    Returns
    -------
    image
        (size, size, 3) uint8.
    truth
        (size, size) uint8, 1 on hand and forearm.

    Raises
    ------
    ValueError
        When `size` or `scale` is out of range.
    """
    check_size(size, scale)
    rng = np.random.default_rng(seed)
    image = draw_desk(rng, size)
    height, nails, creases = _hand(rng, size, scale)
    truth = height > 0
    cast = ndimage.shift(truth.astype(float), (0.022 * size, 0.016 * size), order=1)
    image *= 1 - 0.55 * ndimage.gaussian_filter(cast, 0.012 * size)[..., np.newaxis]
    skin = _skin(rng, height, nails, creases)
    edge = ndimage.gaussian_filter(truth.astype(float), 0.8)
    blend(image, edge, skin)
    light = 1 + 0.10 * noise(rng, size, 0.6 * size)
    return developed(image * light[..., np.newaxis], rng, 0.8, 2.5), truth.astype(np.uint8)


def draw_hand_alone(rng: np.random.Generator, size: int, scale: float) -> tuple[Floats, Floats]:
    """The colours of a hand, (size, size, 3) in 0..255, and where it is, (size, size) of 0 and 1."""
    height, nails, creases = _hand(rng, size, scale)
    return _skin(rng, height, nails, creases), (height > 0).astype(float)


def _hand(rng: np.random.Generator, size: int, scale: float) -> tuple[Floats, Floats, Floats]:
    """Height above the desk in pixels (0 outside), nails and creases as shares 0 to 1."""
    side = 1 if rng.random() < 0.5 else -1
    wrist = np.array([rng.uniform(0.70, 0.76), rng.uniform(0.47, 0.57)]) * size
    frame = _Frame(size, 0.215 * size * scale, wrist, rng.uniform(-0.25, 0.25), side)
    elbow = wrist - frame.way(rng.uniform(-0.2, 0.2)) * size
    width = frame.width
    parts = [frame.bar(frame.at(0, 0.12), elbow, (0.30, 0.52))]
    parts += [frame.bar(frame.at(low, 0.08), frame.at(*top), (0.26, 0.155)) for low, top in KNUCKLES]
    parts.append(frame.bar(frame.at(0.12, 0.15), frame.at(0.42, 0.36), (0.24, 0.17)))
    palm = np.maximum.reduce(parts)
    height = ndimage.gaussian_filter(palm, 0.03 * width) * (palm > 0)
    nails, creases = np.zeros((size, size)), np.zeros((size, size))
    spread = rng.uniform(0.8, 1.45)
    for finger in FINGERS:
        one = _finger(rng, frame, finger, spread, nails, creases)
        height = np.maximum(height, ndimage.gaussian_filter(one, 0.012 * width) * (one > 0))
    return height, nails, creases


def _finger(
    rng: np.random.Generator, frame: _Frame, finger: _Finger, spread: float, nails: Floats, creases: Floats
) -> Floats:
    """Height of one finger; its nail and its creases are added in place."""
    thumb = finger.bends[0] < -0.1
    angle = finger.angle * (1 if thumb else spread) + rng.normal(0, 0.035)
    joint = frame.at(*finger.base)
    radius, height = finger.radius, np.zeros((frame.size, frame.size))
    for number, (length, bend) in enumerate(zip(finger.bones, (0.0, *finger.bends), strict=True)):
        angle += bend
        way = frame.way(angle)
        end = joint + length * frame.width * way
        height = np.maximum(height, frame.bar(joint, end, (radius, 0.91 * radius)))
        if number:
            for shift in (-0.05, 0.0, 0.05):
                crease = frame.spot(joint + shift * frame.width * way, way, (0.009, 0.55 * radius))
                np.maximum(creases, crease, out=creases)
        joint, radius = end, 0.91 * radius
    tip = joint + 0.10 * radius * frame.width * way
    np.maximum(nails, frame.spot(tip, way, (0.72 * radius, 0.60 * radius), power=8), out=nails)
    return height


def _skin(rng: np.random.Generator, height: Floats, nails: Floats, creases: Floats) -> Floats:
    """Light from the upper left on the hand's relief, in skin colours."""
    size = height.shape[0]
    relief = ndimage.gaussian_filter(height, 0.0035 * size)
    slope_y, slope_x = np.gradient(relief)
    normal = np.sqrt(1 + slope_y**2 + slope_x**2)
    light = np.clip((0.42 * slope_y + 0.36 * slope_x + 0.83) / normal, 0.1, None)
    tone = np.array(SKINS[rng.integers(len(SKINS))], float)
    mottled = 1 + 0.025 * noise(rng, size, 0.05 * size, 3) + 0.015 * noise(rng, size, 0.004 * size)
    skin: Floats = tone * (0.42 + 0.62 * light * mottled)[..., np.newaxis]
    skin += (1 - np.clip(light, 0, 1))[..., np.newaxis] * np.array([10, -6, -8])
    skin *= 1 - 0.22 * creases[..., np.newaxis]
    blend(skin, 0.55 * nails, np.minimum(tone * 1.12 + [10, 4, 8], 250))
    return skin
