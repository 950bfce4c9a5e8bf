"""A drawn desk with things on it: what lies behind the drawn hand."""

import numpy as np
from scipy import ndimage

from napari_runet.images.drawn.texture import Floats, Pixels, blend, inside_of, noise, smooth_step


def draw_desk(rng: np.random.Generator, size: int) -> Floats:
    """A wooden desk with a notebook, a keyboard, a mug, a pen and a telephone, (size, size, 3) in 0..255."""
    image = _wood(rng, size)
    _things(rng, image)
    return image


def _wood(rng: np.random.Generator, size: int) -> Floats:
    """A wooden board: stretched noise for the grain."""
    rows, columns = np.mgrid[:size, :size] / size
    rings = 26 * (rows + 0.020 * noise(rng, size, 0.30 * size)) + 1.1 * noise(rng, size, 0.18 * size)
    fibres = ndimage.gaussian_filter1d(rng.standard_normal((size, size)), size / 40, axis=1)
    grain = np.sin(2 * np.pi * rings) + 4 * fibres
    image = np.empty((size, size, 3))
    image[:] = (150, 116, 84) if rng.random() < 0.5 else (118, 96, 82)
    image *= (1 + 0.035 * grain + 0.08 * (columns - 0.5))[..., np.newaxis]
    for board in (0.27, 0.62, 0.93):
        blend(image, 0.6 * np.exp(-(((rows - board) * size / 1.6) ** 2)), (52, 38, 30))
    return image


def _box(image: Floats, centre: tuple[float, float], half: tuple[float, float], angle: float) -> Pixels:
    """Pixels of a turned rectangle; centre and half sides (y, x) as shares of the picture."""
    size = image.shape[0]
    turn = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    corners = np.array([(-1, -1), (-1, 1), (1, 1), (1, -1)]) * half @ turn.T + centre
    return inside_of(corners * size, image.shape[:2])


def _solid(
    image: Floats, centre: tuple[float, float], half: tuple[float, float], angle: float, colour: tuple[float, ...]
) -> None:
    """A turned rectangle with its shadow."""
    size = image.shape[0]
    shade = np.zeros(image.shape[:2])
    shade[_box(image, (centre[0] + 0.009, centre[1] + 0.008), half, angle)] = 1
    image *= 1 - 0.45 * ndimage.gaussian_filter(shade, 0.006 * size)[..., np.newaxis]
    image[_box(image, centre, half, angle)] = colour


def _part(centre: tuple[float, float], angle: float, y: float, x: float) -> tuple[float, float]:
    """A place on a turned thing, given in its own directions."""
    return (
        centre[0] + y * np.cos(angle) - x * np.sin(angle),
        centre[1] + y * np.sin(angle) + x * np.cos(angle),
    )


def _things(rng: np.random.Generator, image: Floats) -> None:
    """Clutter, most of it near the corners; each has another colour every time."""
    angle = rng.uniform(-0.35, 0.35)
    notebook = (rng.uniform(0.20, 0.30), rng.uniform(0.18, 0.30))
    _solid(image, notebook, (0.20, 0.155), angle, (238, 234, 222))
    for line in np.arange(-0.17, 0.18, 0.022):
        image[_box(image, _part(notebook, angle, line, 0), (0.0009, 0.14), angle)] = (150, 170, 205)
        if line < 0.08:
            length = rng.uniform(0.03, 0.06)
            words = _part(notebook, angle, line - 0.006, length - 0.12)
            image[_box(image, words, (0.0025, length), angle)] = (70, 72, 110)
    _keyboard(rng, image)
    phone, turned = (rng.uniform(0.66, 0.80), rng.uniform(0.10, 0.16)), rng.uniform(-0.4, 0.4)
    _solid(image, phone, (0.115, 0.058), turned, (34, 35, 40))
    image[_box(image, phone, (0.102, 0.051), turned)] = (64, 84, 112)
    image[_box(image, _part(phone, turned, -0.05, 0.0), (0.02, 0.035), turned)] = (150, 172, 196)
    pen, leaning = (rng.uniform(0.40, 0.5), rng.uniform(0.12, 0.25)), rng.uniform(0.5, 1.2)
    _solid(image, pen, (0.105, 0.0065), leaning, tuple(rng.uniform(20, 190, 3)))
    image[_box(image, _part(pen, leaning, -0.105, 0), (0.012, 0.004), leaning)] = (200, 196, 180)
    _mug(rng, image, (rng.uniform(0.74, 0.86), rng.uniform(0.82, 0.88)))
    note, skew = (rng.uniform(0.50, 0.60), rng.uniform(0.86, 0.92)), rng.uniform(-0.3, 0.3)
    _solid(image, note, (0.058, 0.058), skew, (240, 222, 110) if rng.random() < 0.5 else (244, 160, 170))
    for line in (-0.025, 0.0, 0.025):
        image[_box(image, _part(note, skew, line, -0.005), (0.002, 0.035), skew)] = (90, 80, 70)


def _keyboard(rng: np.random.Generator, image: Floats) -> None:
    angle, centre = rng.uniform(-0.12, 0.12), (rng.uniform(0.11, 0.15), rng.uniform(0.72, 0.80))
    dark = rng.random() < 0.5
    _solid(image, centre, (0.098, 0.25), angle, (52, 54, 60) if dark else (206, 206, 210))
    key = (30, 31, 36) if dark else (238, 238, 240)
    for row in range(5):
        for column in range(13):
            at = _part(centre, angle, -0.075 + 0.036 * row, -0.228 + 0.036 * column + 0.006 * (row % 2))
            if row == 4 and 3 < column < 9:
                image[_box(image, at, (0.0155, 0.0185), angle)] = key
                continue
            image[_box(image, at, (0.0155, 0.0155), angle)] = key
            image[_box(image, at, (0.0045, 0.003), angle)] = (190, 190, 196) if dark else (90, 90, 96)


def _mug(rng: np.random.Generator, image: Floats, centre: tuple[float, float]) -> None:
    """A mug from above: shadow, handle, rim and coffee."""
    size = image.shape[0]
    rows, columns = np.mgrid[:size, :size] / size
    colour = rng.uniform(50, 230, 3)

    def disc(y: float, x: float, radius: float, soft: float = 0.002) -> Floats:
        return 1 - smooth_step(np.hypot(rows - y, columns - x), radius - soft, radius + soft)

    y, x = centre
    blend(image, 0.5 * disc(y + 0.02, x + 0.018, 0.085, 0.02), (30, 24, 20))
    handle = disc(y - 0.062, x - 0.062, 0.040) * (1 - disc(y - 0.062, x - 0.062, 0.022))
    blend(image, handle, colour * 0.85)
    blend(image, disc(y, x, 0.082), colour)
    blend(image, disc(y, x, 0.073), colour * 0.55)
    blend(image, disc(y + 0.004, x + 0.004, 0.069), (64, 38, 24))
    blend(image, 0.5 * disc(y - 0.025, x - 0.02, 0.014, 0.012), (176, 140, 104))
