"""What all drawings are made of: smooth noise, discs along a line, and the way to 8 bit."""

import numpy as np
import numpy.typing as npt
from scipy import ndimage
from skimage.draw import polygon

Floats = npt.NDArray[np.float64]
Bytes = npt.NDArray[np.uint8]
Pixels = tuple[npt.NDArray[np.intp], npt.NDArray[np.intp]]


def noise(rng: np.random.Generator, size: int, grain: float, octaves: int = 1) -> Floats:
    """(size, size) smooth noise with zero mean and unit deviation; its blobs are about `grain` pixels wide.

    Each further octave has half the grain and half the strength.
    """
    total = np.zeros((size, size))
    for octave in range(octaves):
        step = max(grain / 2**octave, 1.0)
        count = int(np.ceil(size / step)) + 4
        spread = _splines(size, count, step)
        total += spread @ rng.standard_normal((count, count)) @ spread.T / 2**octave
    result: Floats = (total - total.mean()) / total.std()
    return result


def _splines(size: int, count: int, step: float) -> Floats:
    """(size, count): how much each of `count` knots, `step` pixels apart, weighs at each pixel; cubic B-splines."""
    away = np.abs(np.arange(size)[:, np.newaxis] / step + 1.5 - np.arange(count))
    near = 2 / 3 - away**2 + away**3 / 2
    far = np.clip(2 - away, 0, None) ** 3 / 6
    return np.where(away < 1, near, far)


def smooth_step(values: Floats, low: float, high: float) -> Floats:
    """0 below `low`, 1 above `high`, and a smooth rise between them."""
    part = np.clip((values - low) / (high - low), 0, 1)
    return part * part * (3 - 2 * part)


def stamp(depth: Floats, y: float, x: float, radius: float) -> None:
    """Raise `depth` to the profile of a ball, ``1 - (distance / radius)^2``, around a point; in place."""
    reach = int(np.ceil(radius)) + 1
    y0, x0 = max(0, int(y) - reach), max(0, int(x) - reach)
    box = depth[y0 : int(y) + reach + 1, x0 : int(x) + reach + 1]
    if box.size:
        rows = np.arange(y0, y0 + box.shape[0])[:, np.newaxis] - y
        columns = np.arange(x0, x0 + box.shape[1])[np.newaxis, :] - x
        np.maximum(box, 1 - (rows * rows + columns * columns) / (radius * radius), out=box)


def inside_of(corners: Floats, shape: tuple[int, ...]) -> Pixels:
    """Rows and columns inside a polygon given as (N, 2) y and x, as far as they lie in an array of this shape."""
    rows, columns = polygon(corners[:, 0], corners[:, 1], shape)  # type: ignore[no-untyped-call]
    return rows, columns


def blend(image: Floats, share: Floats | float, colour: tuple[float, float, float] | Floats) -> None:
    """Mix a colour into an (Y, X, 3) image in place, by a share in [0, 1] for each pixel."""
    part = np.asarray(share)[..., np.newaxis]
    image += part * (np.asarray(colour) - image)


def developed(image: Floats, rng: np.random.Generator, blur: float, grain: float) -> Bytes:
    """An image in 0..255 as a camera gives it: a little blurred, with a little noise, (Y, X, 3) uint8."""
    soft = ndimage.gaussian_filter(image, (blur, blur, 0))
    soft += rng.normal(0, grain, soft.shape) + rng.normal(0, grain, soft.shape[:2])[..., np.newaxis]
    bytes_: Bytes = np.clip(np.rint(soft), 0, 255).astype(np.uint8)
    return bytes_


def check_size(size: int, scale: float) -> None:
    """Raise ValueError when a drawing of this size or scale would show nothing."""
    if size < 128:
        raise ValueError(f"A drawing needs at least 128 pixels a side, not {size}.")
    if not 0.25 <= scale <= 4:
        raise ValueError(f"The scale of a drawing is between 0.25 and 4, not {scale}.")
