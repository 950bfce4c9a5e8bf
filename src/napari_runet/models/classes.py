"""The classes of a model that is about to be made."""

from collections.abc import Sequence

from napari_runet.models.card import ClassInfo

COLOURS = ("#ff2fd0", "#00d5ff", "#ffd000", "#4dff4d", "#ff7a1a", "#8f6bff", "#ff4d4d", "#2fffc1")
BACKGROUND = ClassInfo(name="background", color="#000000")


def named_classes(names: Sequence[str], colours: Sequence[str] = COLOURS) -> tuple[ClassInfo, ...]:
    """The background, and a class with a colour of its own for each name; colours repeat when they run out.

    Raises
    ------
    ValueError
        When there is no name, one stands twice or is too long, or there are more than 254.
    """
    names = [name.strip() for name in names]
    if not any(names):
        raise ValueError("Name at least one class; the background is added by itself.")
    if not all(names) or len(set(names)) < len(names) or BACKGROUND.name in names:
        raise ValueError("Each class needs a name of its own, other than background.")
    if len(names) > 254:
        raise ValueError(f"{len(names)} classes are too many; a model tells at most 254 from the background.")
    longest = max(names, key=len)
    if len(longest) > 64:
        raise ValueError(f"The class name {longest[:20]!r}... is too long; 64 characters are the most.")
    return (BACKGROUND, *(ClassInfo(name=n, color=colours[i % len(colours)]) for i, n in enumerate(names)))
