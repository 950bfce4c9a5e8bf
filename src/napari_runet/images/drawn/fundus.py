"""A drawn photograph of the back of an eye, with its vessels."""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from napari_runet.images.drawn.texture import Bytes, Floats, blend, check_size, developed, noise, smooth_step, stamp

Owners = npt.NDArray[np.int32]

THINNEST = 0.9
"""Radius in thousandths of the picture below which a vessel ends."""


@dataclass(frozen=True, slots=True)
class _Eye:
    """Where things are, in pixels (y, x); `side` is +1 when the macula lies right of the optic disc."""

    size: int
    unit: float
    disc: tuple[float, float]
    fovea: tuple[float, float]
    side: int

    def inside(self, y: float, x: float) -> bool:
        centre = self.size / 2
        return bool(np.hypot(y - centre, x - centre) < 0.49 * self.size)

    def flow(self, y: float, x: float) -> float:
        """The way vessels run here: radially on the nasal side, along parabolas around the macula on the other."""
        dy, dx = y - self.disc[0], (x - self.disc[1]) * self.side
        heading = np.arctan2(dy, 2.0 * dx if dx > 0 else dx)
        beyond = (x - self.fovea[1]) * self.side
        if beyond > 0:  # the arcades close again behind the macula
            heading -= np.sign(dy) * min(0.5, beyond / (250 * self.unit)) * min(1.0, abs(dy) / (150 * self.unit))
        return float(heading if self.side > 0 else np.pi - heading)


@dataclass(slots=True)
class _Sprout:
    """A vessel that is yet to grow: where, its heading, its radius, and how many vessels it branched from."""

    y: float
    x: float
    heading: float
    radius: float
    level: int


def draw_fundus(seed: int = 0, size: int = 1024, scale: float = 1.0) -> tuple[Bytes, Bytes]:
    """Draw a fundus: field of view, optic disc, macula, and the trees of arteries and veins.

    Parameters
    ----------
    seed
        Decides everything; the same seed gives the same picture.
    size
        Rows and columns; the eye fills them.
    scale
        Width of the vessels, 1 for about 11 to 2 pixels in a picture of 1000.

    Returns
    -------
    image
        (size, size, 3) uint8.
    truth
        (size, size) uint8, 1 on vessels.

    Raises
    ------
    ValueError
        When `size` or `scale` is out of range.
    """
    check_size(size, scale)
    rng = np.random.default_rng(seed)
    eye = _place(rng, size)
    image = _background(rng, eye)
    veins = _grow(rng, eye, 5.4 * scale, turn=0.0)
    arteries = _grow(rng, eye, 4.0 * scale, turn=0.22)
    _paint_vessels(image, veins, (0.80, 0.46, 0.62), reflex=0.0)
    _paint_vessels(image, arteries, (0.88, 0.56, 0.66), reflex=0.30)
    rows, columns = np.mgrid[:size, :size] - (size - 1) / 2
    field = np.hypot(rows, columns) < 0.48 * size
    image *= field[..., np.newaxis]
    truth = ((np.maximum(veins, arteries) > 0) & field).astype(np.uint8)
    return developed(image + 3, rng, 0.7 * size / 1000, 2.0), truth


def _place(rng: np.random.Generator, size: int) -> _Eye:
    unit = size / 1000
    side = 1 if rng.random() < 0.5 else -1
    y = size / 2 + rng.uniform(-25, 25) * unit
    x = size / 2 - side * rng.uniform(170, 215) * unit
    fovea = (y + rng.uniform(15, 45) * unit, x + side * rng.uniform(285, 310) * unit)
    return _Eye(size, unit, (y, x), fovea, side)


def _background(rng: np.random.Generator, eye: _Eye) -> Floats:
    size, unit = eye.size, eye.unit
    rows, columns = np.mgrid[:size, :size].astype(float)
    from_centre = np.hypot(rows - size / 2, columns - size / 2) / (size / 2)
    from_disc = np.hypot((rows - eye.disc[0]) * 0.92, columns - eye.disc[1]) / unit
    from_fovea = np.hypot(rows - eye.fovea[0], (columns - eye.fovea[1]) * 0.9) / unit
    image = np.empty((size, size, 3))
    image[:] = np.array([214, 100, 52]) + rng.uniform(-1, 1, 3) * [10, 12, 8]
    light = 1 + 0.05 * noise(rng, size, 220 * unit, 2) + 0.018 * noise(rng, size, 24 * unit, 3)
    light += 0.03 * noise(rng, size, 7 * unit, 2) * smooth_step(from_centre, 0.3, 0.9)
    light *= 1.04 - 0.42 * smooth_step(from_centre, 0.45, 1.05)
    image *= light[..., np.newaxis]
    image *= 1 + 0.05 * noise(rng, size, 160 * unit, 2)[..., np.newaxis] * np.array([-0.2, 1, 1])
    blend(image, 0.18 * np.exp(-((from_disc / 190) ** 2)), (235, 150, 85))
    blend(image, 0.52 * np.exp(-((from_fovea / 78) ** 2)), (120, 38, 22))
    blend(image, 0.40 * np.exp(-((from_fovea / 26) ** 2)), (95, 22, 16))
    wobble = 2.5 * noise(rng, size, 60 * unit)
    blend(image, 0.30 * (1 - smooth_step(from_disc + wobble, 66, 88)), (150, 72, 40))
    blend(image, 0.95 * (1 - smooth_step(from_disc + wobble, 58, 70)), (243, 186, 112))
    cup = np.hypot(rows - eye.disc[0], columns - eye.disc[1] - eye.side * 10 * unit) / unit
    blend(image, 0.85 * (1 - smooth_step(cup, 16, 40)), (253, 232, 176))
    return image


def _grow(rng: np.random.Generator, eye: _Eye, radius: float, turn: float) -> Floats:
    """A tree of vessels as depth: 1 in the middle of a vessel, 0 at its wall and -1 outside."""
    depth = np.full((eye.size, eye.size), -1.0)
    owner = np.full((eye.size, eye.size), -1, np.int32)
    sprouts = []
    # angle from the way to the macula, and size: temporal arcades, nasal arcades, small ones between them
    for angle, share in ((1.25, 1.0), (-1.25, 1.0), (2.2, 0.72), (-2.2, 0.72), (0.5, 0.36), (-0.55, 0.36), (2.9, 0.4)):
        heading = angle + turn * np.sign(angle) + rng.normal(0, 0.09)
        if eye.side < 0:
            heading = np.pi - heading
        start = rng.normal(0, 4, 2) * eye.unit
        size = radius * share * rng.uniform(0.9, 1.1) * eye.unit
        sprouts.append(_Sprout(eye.disc[0] + start[0], eye.disc[1] + start[1], heading, size, 0))
    number = 0
    while sprouts:
        number += 1
        sprouts += _grow_one(rng, eye, sprouts.pop(0), depth, owner, number)
    return depth


def _grow_one(
    rng: np.random.Generator, eye: _Eye, sprout: _Sprout, depth: Floats, owner: Owners, number: int
) -> list[_Sprout]:
    """Walk along one vessel, drawing it; returns what branches off it."""
    unit, step = eye.unit, 1.5 * eye.unit
    y, x, heading, radius = sprout.y, sprout.x, sprout.heading, sprout.radius
    children: list[_Sprout] = []
    bend, walked, hand = 0.0, 0.0, 1 if rng.random() < 0.5 else -1
    until_branch = rng.uniform(60, 130) * unit if sprout.level == 0 else rng.uniform(35, 90) * unit
    longest = (1400 if sprout.level == 0 else rng.uniform(150, 420)) * unit
    while walked < longest and radius > THINNEST * unit and eye.inside(y, x):
        if walked > 4 * sprout.radius + 14 * unit and _meets(owner, y, x, heading, radius, number, eye):
            break
        stamp(depth, y, x, radius)
        owner[int(y), int(x)] = number
        bend = 0.965 * bend + rng.normal(0, 0.0024 if sprout.level == 0 else 0.0042)
        pull = np.angle(np.exp(1j * (eye.flow(y, x) - heading)))
        strength = 0.030 if sprout.level == 0 else 0.005
        heading += bend + strength * pull * min(1.0, walked / (60 * unit))
        y, x = y + step * np.sin(heading), x + step * np.cos(heading)
        radius -= (0.0016 + 0.0008 * sprout.level) * step
        walked += step
        until_branch -= step
        if until_branch < 0 and sprout.level < 4:
            share = rng.uniform(0.45, 0.8)
            angle = heading + hand * rng.uniform(0.5, 1.1)
            children.append(_Sprout(y, x, angle, max(radius * share, 1.05 * unit), sprout.level + 1))
            radius *= (1 - share**3) ** (1 / 3) * 0.35 + 0.65  # Murray's law, softened
            heading -= hand * 0.10
            hand, until_branch = -hand, rng.uniform(45, 135) * unit
    return children


def _meets(owner: Owners, y: float, x: float, heading: float, radius: float, number: int, eye: _Eye) -> bool:
    """Whether another vessel of the same tree lies just ahead, or the fovea, which has none."""
    reach = radius + 9 * eye.unit
    ahead_y, ahead_x = y + reach * np.sin(heading), x + reach * np.cos(heading)
    if np.hypot(ahead_y - eye.fovea[0], ahead_x - eye.fovea[1]) < 42 * eye.unit:
        return True
    around = max(1, int(6 * eye.unit))
    top, left = max(0, int(ahead_y) - around), max(0, int(ahead_x) - around)
    box = owner[top : int(ahead_y) + around, left : int(ahead_x) + around]
    return bool(((box >= 0) & (box != number)).any())


def _paint_vessels(image: Floats, depth: Floats, passes: tuple[float, float, float], reflex: float) -> None:
    """Let through the share `passes` of red, green and blue where a vessel is deepest; arteries gleam."""
    inside = np.clip(depth, 0, 1)
    absorbed = (0.55 + 0.45 * np.sqrt(inside)) * (depth > 0)
    image *= 1 - absorbed[..., np.newaxis] * (1 - np.array(passes))
    gleam = reflex * smooth_step(inside, 0.80, 1.0)
    image += gleam[..., np.newaxis] * np.array([22, 34, 20])
