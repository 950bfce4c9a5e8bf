"""A drawn aerial photograph of a small town and the land around it, with its roads."""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy import ndimage

from napari_runet.images.drawn.texture import (
    Bytes,
    Floats,
    Pixels,
    blend,
    check_size,
    developed,
    inside_of,
    noise,
    smooth_step,
)

Points = npt.NDArray[np.float64]
ROOFS = ((118, 98, 92), (146, 142, 140), (92, 90, 98), (164, 130, 112), (188, 184, 178), (104, 80, 72))
SHADOW = (3.0, 3.5)
"""Where shadows fall, in metres (y, x)."""


@dataclass(frozen=True, slots=True)
class _Road:
    """A centre line, (N, 2) y and x in pixels a pixel apart, and its width in pixels."""

    line: Points
    width: float
    homes: bool


@dataclass(frozen=True, slots=True)
class _Ground:
    """What has been drawn so far: the image, the distance to the next road's edge, and what is built on."""

    image: Floats
    clear: Floats
    taken: npt.NDArray[np.bool_]
    metre: float

    @property
    def size(self) -> int:
        return int(self.image.shape[0])


def draw_aerial(seed: int = 0, size: int = 1024, scale: float = 1.0) -> tuple[Bytes, Bytes]:
    """Draw an aerial tile: fields, woods, streets with houses, and curved country roads.

    Parameters
    ----------
    seed
        Decides everything; the same seed gives the same picture.
    size
        Rows and columns.
    scale
        Pixels in a metre; streets are 7 metres wide, main roads 11.

    Returns
    -------
    image
        (size, size, 3) uint8.
    truth
        (size, size) uint8, 1 on roads.

    Raises
    ------
    ValueError
        When `size` or `scale` is out of range.
    """
    check_size(size, scale)
    rng = np.random.default_rng(seed)
    town = noise(rng, size, 0.42 * size) + 0.35
    image, wood = _land(rng, size, scale, town)
    roads = _main_roads(rng, size, scale) + _streets(rng, size, scale, town)
    clear = _clearance(roads, size)
    ground = _Ground(image, clear, clear < 1.5 * scale, scale)
    _pave(rng, ground, roads)
    for road in roads:
        if road.homes:
            _build(rng, ground, road)
    _plant(rng, ground, wood, town)
    return developed(image, rng, 0.55, 3.0), (clear <= 0).astype(np.uint8)


def _land(rng: np.random.Generator, size: int, metre: float, town: Floats) -> tuple[Floats, Floats]:
    """Ground colours, and how densely trees stand (0 to 1)."""
    rows, columns = np.mgrid[:size, :size].astype(float)
    bent = 14 * metre * noise(rng, size, 150 * metre)
    centres = rng.uniform(-0.1, 1.1, (max(9, int(size * size / (190 * metre) ** 2)), 2)) * size
    field, border = _cells(rows + bent, columns - bent, centres)
    colours = np.array([(126, 136, 84), (150, 140, 98), (98, 122, 66), (168, 154, 112), (112, 130, 76)], float)
    image = colours[rng.integers(len(colours), size=len(centres))][field]
    angles = rng.uniform(0, np.pi, len(centres))[field]
    rows_of_crop = np.sin((rows * np.sin(angles) + columns * np.cos(angles)) * 2 * np.pi / (7 * metre))
    image *= (1 + 0.035 * rows_of_crop + 0.05 * noise(rng, size, 40 * metre, 4))[..., np.newaxis]
    hedge = 1 - smooth_step(border, 2 * metre, 7 * metre)
    in_town = smooth_step(town, -0.1, 0.15)
    lawn = np.array([104, 116, 78]) * (1 + 0.13 * noise(rng, size, 16 * metre, 4))[..., np.newaxis]
    lawn += 9 * noise(rng, size, 45 * metre)[..., np.newaxis] * np.array([1.3, 0.7, 0.4])
    blend(image, in_town, lawn)
    woods = smooth_step(noise(rng, size, 190 * metre, 2), 0.45, 0.7) * (1 - in_town)
    blend(image, woods, (62, 72, 46))
    return image, np.maximum(woods, 0.35 * hedge * (1 - in_town))


def _cells(rows: Floats, columns: Floats, centres: Points) -> tuple[npt.NDArray[np.intp], Floats]:
    """The nearest centre of each pixel, and by how much the second nearest is farther away."""
    nearest, second = np.full(rows.shape, np.inf), np.full(rows.shape, np.inf)
    field = np.zeros(rows.shape, np.intp)
    for number, (y, x) in enumerate(centres):
        distance = np.abs(rows - y) + np.abs(columns - x)
        closer = distance < nearest
        second = np.where(closer, nearest, np.minimum(second, distance))
        nearest = np.where(closer, distance, nearest)
        field[closer] = number
    return field, second - nearest


def _curve(points: Points) -> Points:
    """A smooth line through points (N, 2), resampled to one pixel."""
    count = 40 * len(points)
    places = np.linspace(0, len(points) - 1, count)
    padded = np.vstack([2 * points[0] - points[1], points, 2 * points[-1] - points[-2]])
    smooth = np.stack([ndimage.map_coordinates(padded[:, axis], [places + 1], order=3) for axis in (0, 1)], axis=1)
    along = np.concatenate([[0], np.cumsum(np.hypot(*np.diff(smooth, axis=0).T))])
    steps = np.arange(0, along[-1], 1.0)
    return np.stack([np.interp(steps, along, smooth[:, axis]) for axis in (0, 1)], axis=1)


def _main_roads(rng: np.random.Generator, size: int, metre: float) -> list[_Road]:
    """Two or three roads from edge to edge, winding."""
    roads = []
    for across in range(2 + int(rng.random() < 0.5)):
        along = np.linspace(-0.1, 1.1, 6) * size
        middle = rng.uniform(0.2, 0.8) * size
        aside = middle + np.cumsum(rng.normal(0, 60 * metre, 6))
        points = np.stack([along, aside] if across % 2 else [aside, along], axis=1)
        roads.append(_Road(_curve(points), (11 if across == 0 else 8) * metre, across > 0))
    return roads


def _streets(rng: np.random.Generator, size: int, metre: float, town: Floats) -> list[_Road]:
    """A bent and turned grid of streets, where the town is; some blocks are left whole."""
    angle, middle = rng.uniform(-0.6, 0.6), size / 2
    wave = rng.uniform(0.5, 1.0, 2) * 26 * metre
    phase = rng.uniform(0, 2 * np.pi, 2)
    roads = []
    for direction, gap in ((0, 78 * metre), (1, 185 * metre)):
        for offset in np.arange(-0.8 * size, 0.8 * size, gap):
            along = np.arange(-0.8 * size, 0.8 * size, 2.0)
            other = offset + wave[direction] * np.sin(along / (240 * metre) + phase[direction])
            u, v = (along, other) if direction == 0 else (other, along)
            y = middle + u * np.sin(angle) + v * np.cos(angle)
            x = middle + u * np.cos(angle) - v * np.sin(angle)
            line = np.stack([y, x], axis=1)
            roads += _parts_in_town(rng, line, town, metre, direction)
    return roads


def _parts_in_town(rng: np.random.Generator, line: Points, town: Floats, metre: float, direction: int) -> list[_Road]:
    size = town.shape[0]
    within = ((line >= 0) & (line < size)).all(axis=1)
    where = np.clip(line.astype(int), 0, size - 1)
    built = within & (town[where[:, 0], where[:, 1]] > 0)
    marks, count = ndimage.label(built)
    parts = [line[marks == part] for part in range(1, count + 1)]
    if direction == 0:  # a street ends here and there, so that blocks differ
        parts = [piece for part in parts for piece in np.array_split(part, max(1, int(len(part) * 2 / (260 * metre))))]
        parts = [part for part in parts if rng.random() > 0.14]
    return [_Road(part, 7 * metre, True) for part in parts if len(part) * 2 > 60 * metre]


def _clearance(roads: list[_Road], size: int) -> Floats:
    """Pixels to the edge of the nearest road, negative on it."""
    clear = np.full((size, size), np.inf)
    for width in sorted({road.width for road in roads}):
        apart = np.ones((size, size), bool)
        for road in roads:
            if road.width == width:
                steps = np.linspace(0, len(road.line) - 1, 3 * len(road.line))
                fine = [np.interp(steps, np.arange(len(road.line)), road.line[:, axis]) for axis in (0, 1)]
                y, x = (np.rint(part).astype(int) for part in fine)
                inside = (y >= 0) & (y < size) & (x >= 0) & (x < size)
                apart[y[inside], x[inside]] = False
        if not apart.all():
            np.minimum(clear, ndimage.distance_transform_edt(apart) - width / 2, out=clear)
    return clear


def _pave(rng: np.random.Generator, ground: _Ground, roads: list[_Road]) -> None:
    metre, size = ground.metre, ground.size
    blend(ground.image, 0.55 * (1 - smooth_step(ground.clear, 1.0 * metre, 2.6 * metre)), (172, 166, 150))
    tone = 132 + 6 * noise(rng, size, 60 * metre) + 4 * noise(rng, size, 3 * metre)
    asphalt = tone[..., np.newaxis] * np.array([1.0, 0.99, 1.0])
    blend(ground.image, 1 - smooth_step(ground.clear, -0.5, 0.5), asphalt)
    for road in roads:
        if road.width > 7 * metre:
            for y, x in road.line[(np.arange(len(road.line)) // max(1, int(4 * metre))) % 3 == 0]:
                if 0 <= y < size and 0 <= x < size:
                    ground.image[int(y), int(x)] = (206, 202, 188)
        for place in range(0, len(road.line) - 2, max(1, int(30 * metre))):
            if rng.random() < 0.35:
                _car(rng, ground, road, place)


def _direction(road: _Road, place: int) -> Points:
    after = road.line[min(place + 3, len(road.line) - 1)]
    way = after - road.line[max(place - 3, 0)]
    unit: Points = way / max(float(np.hypot(*way)), 1e-6)
    return unit


def _rectangle(ground: _Ground, centre: Points, way: Points, half: tuple[float, float]) -> Pixels:
    """Pixels of a rectangle: its middle, the direction of its long side, and half of its two lengths."""
    aside = np.array([-way[1], way[0]])
    corners = [centre + a * half[0] * way + b * half[1] * aside for a, b in ((1, 1), (1, -1), (-1, -1), (-1, 1))]
    return inside_of(np.array(corners), ground.taken.shape)


def _car(rng: np.random.Generator, ground: _Ground, road: _Road, place: int) -> None:
    way = _direction(road, place)
    side = np.array([-way[1], way[0]]) * road.width * (0.25 if rng.random() < 0.5 else -0.25)
    colours = ((235, 235, 235), (40, 42, 48), (150, 40, 36), (90, 110, 150), (190, 190, 196))
    pixels = _rectangle(ground, road.line[place] + side, way, (2.2 * ground.metre, 0.95 * ground.metre))
    ground.image[pixels] = colours[rng.integers(len(colours))]


def _build(rng: np.random.Generator, ground: _Ground, road: _Road) -> None:
    """Houses along both sides of a street, each with a shadow, a roof of two slopes, and a drive."""
    metre = ground.metre
    spacing = float(np.hypot(*(road.line[1] - road.line[0])))
    for hand in (-1, 1):
        place = rng.uniform(8, 20) * metre
        while place / spacing < len(road.line) - 1:
            at = int(place / spacing)
            way = _direction(road, at)
            aside = hand * np.array([-way[1], way[0]])
            half = (rng.uniform(4.5, 7.5) * metre, rng.uniform(3.6, 5.2) * metre)
            back = road.width / 2 + rng.uniform(9, 13) * metre
            if rng.random() < 0.9:
                _house(rng, ground, road.line[at] + back * aside, way, half, aside)
            place += rng.uniform(18, 27) * metre


def _house(
    rng: np.random.Generator, ground: _Ground, centre: Points, way: Points, half: tuple[float, float], aside: Points
) -> None:
    metre = ground.metre
    plot = _rectangle(ground, centre, way, (half[0] + 2 * metre, half[1] + 2 * metre))
    if len(plot[0]) < 40 * metre * metre or ground.taken[plot].any():
        return
    ground.taken[plot] = True
    if rng.random() < 0.7:
        garage = centre - aside * half[1] * 1.8 + way * half[0] * 0.7
        drive = _rectangle(ground, garage, aside, (half[1] * 1.1, 1.5 * metre))
        off_road = ground.clear[drive] > 0
        ground.image[drive[0][off_road], drive[1][off_road]] = (160, 154, 146)
    shade = _rectangle(ground, centre + np.array(SHADOW) * metre, way, half)
    ground.image[shade] *= 0.42
    roof = np.array(ROOFS[rng.integers(len(ROOFS))]) * rng.uniform(0.85, 1.2)
    ground.image[_rectangle(ground, centre, way, half)] = roof
    ridge_side = np.array([-way[1], way[0]])
    lit = -1 if float(ridge_side @ np.array(SHADOW)) > 0 else 1
    slope = _rectangle(ground, centre + lit * ridge_side * half[1] / 2, way, (half[0], half[1] / 2))
    ground.image[slope] = np.minimum(roof * 1.28, 245)


def _plant(rng: np.random.Generator, ground: _Ground, wood: Floats, town: Floats) -> None:
    """Trees: dense in woods, scattered in gardens and along hedges; crowns stay off the roads."""
    metre, size = ground.metre, ground.size
    density = np.maximum(wood, 0.16 * (town > -0.1))
    for _ in range(int(size * size / (26 * metre * metre))):
        y, x = rng.uniform(0, size, 2)
        radius = rng.uniform(1.8, 4.6) * metre
        at = int(y), int(x)
        if rng.random() > density[at] or ground.clear[at] < 0.7 * radius or ground.taken[at]:
            continue
        _tree(rng, ground, y, x, radius)


def _tree(rng: np.random.Generator, ground: _Ground, y: float, x: float, radius: float) -> None:
    reach = int(2.4 * radius) + 2
    y0, x0 = max(0, int(y) - reach), max(0, int(x) - reach)
    box = ground.image[y0 : int(y) + reach, x0 : int(x) + reach]
    rows = np.arange(y0, y0 + box.shape[0])[:, np.newaxis] - y
    columns = np.arange(x0, x0 + box.shape[1])[np.newaxis, :] - x
    ragged = radius * (1 + 0.14 * rng.standard_normal(box.shape[:2]))
    shade = np.hypot(rows - 0.55 * radius, columns - 0.65 * radius) < ragged
    box[shade] *= 0.6
    crown = np.hypot(rows, columns) < ragged
    light = 1 - 0.30 * (rows + columns) / radius + 0.12 * rng.standard_normal(box.shape[:2])
    colour = np.array([70, 88, 52]) * rng.uniform(0.75, 1.25) + rng.uniform(-8, 16) * np.array([1, 0.4, 0])
    box[crown] = (np.clip(light, 0.45, 1.6)[..., np.newaxis] * colour)[crown]
