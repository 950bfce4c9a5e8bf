"""How the dimensions of an image file are read: by what the file says, and never by a guess that may be wrong."""

from collections.abc import Sequence

from napari_runet.images.axes import Axes
from napari_runet.images.image_input import ImageError

_SHORT_SIDE = 4
"""An image is not read so that it would be this narrow, unless its file says so."""


def axes_of_file(name: str, shape: Sequence[int], said: str, channels: int, asked: str = "") -> tuple[Axes, bool]:
    """Decide how an array from a file is read, and whether that was by what a person said.

    Parameters
    ----------
    name
        Of the file, for errors.
    shape
        Of the array.
    said
        What the file says each dimension is: T, Z, C, Y, X, S (colours), I (one page after the other); others
        for what it does not know; empty where it says nothing.
    channels
        How many the model reads; a grey image is taken by every model, and a coloured one by one for grey.
    asked
        What a person said, for files that do not say all of it themselves.

    Raises
    ------
    ImageError
        When there is no reading, or more than one that the model could take.
    """
    dimensions = " x ".join(map(str, shape))
    letters = said.replace("S", "C")
    if len(said) == len(shape) and set(said) <= set("TZCYXS"):
        try:
            return Axes(letters), False
        except ValueError as error:
            raise ImageError(f"{name} says its dimensions ({dimensions}) are {said}; {error}.") from error
    if asked:
        return _asked(name, shape, asked), True
    ways = _ways(shape, said if len(said) == len(shape) else "", channels)
    if not ways:
        raise ImageError(
            f"{name} ({dimensions}) cannot be read as an image for this model; say what its dimensions are, "
            "for instance by --axes TYX."
        )
    if len(ways) > 1:
        choices = " or ".join(f"--axes {way}" for way in ways)
        raise ImageError(f"{name} ({dimensions}) does not say what its dimensions are; say it by {choices}.")
    return Axes(ways[0]), False


def _asked(name: str, shape: Sequence[int], asked: str) -> Axes:
    try:
        axes = Axes(asked.upper())
    except ValueError as error:
        raise ImageError(str(error)) from error
    if len(axes.order) != len(shape):
        raise ImageError(
            f"{name} has {len(shape)} dimensions ({' x '.join(map(str, shape))}), and {asked} names {len(asked)}."
        )
    return axes


def _ways(shape: Sequence[int], said: str, channels: int) -> list[str]:
    """All readings that fit what is said ("Q" and the like for nothing) and that the model could take."""
    orders = {
        2: ["YX"],
        3: ["TYX", "CYX", "YXC"],
        4: ["TYXC", "TCYX", "CTYX", "TZYX"],
        5: ["TZYXC", "TZCYX", "TCZYX", "CTZYX"],
    }
    return [order for order in orders.get(len(shape), []) if _fits(order, shape, said, channels)]


def _fits(order: str, shape: Sequence[int], said: str, channels: int) -> bool:
    for letter, word in zip(order, said, strict=False):
        known = "C" if word == "S" else word
        if known in "CYX" and letter != known:
            return False
    sizes = dict(zip(order, shape, strict=True))
    if len(shape) > 2 and "YX" not in said and min(sizes["Y"], sizes["X"]) <= _SHORT_SIDE:
        return False
    return _taken(sizes.get("C", 1), channels)


def _taken(size: int, channels: int) -> bool:
    """Whether a model that reads so many channels takes an image with `size`; a fourth one is transparency."""
    colours = 3 if size == 4 else size
    return colours in (1, channels) or (channels == 1 and colours == 3)
