"""Keys on our Labels layers: bound in code, and changed in napari's preferences."""

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from napari.settings import get_plugin_settings

if TYPE_CHECKING:
    from napari.layers import Labels

    from napari_runet.models.card import ModelCard

PLUGIN = "napari-runet"
Actions = dict[str, Callable[[], object]]
"""What each key of the manifest's configuration "keys" does."""


def key_settings() -> Any:
    """The keys as set in napari's preferences: an evented object with a field for each action."""
    return get_plugin_settings(PLUGIN).keys


def brushes_and_keys(card: "ModelCard") -> str:
    """What a person needs for painting a model's classes: the brush's values, and the keys as they are set."""
    settings = key_settings()
    names = card.class_names[1:]
    numbered = [f"{number} {name}" for number, name in enumerate(names, start=1)]
    does = {"paint": "paints", "erase": "erases", "review": "says that all in view is right"}
    keys = [f"{key} {what}" for name, what in does.items() if (key := str(getattr(settings, name)).strip())]
    brush = f"Brush 1: {names[0]}." if len(names) == 1 else f"Brushes: {', '.join(numbered)}."
    return f"{brush} {', '.join(keys)}." if keys else brush


PAINTING_KEYS = ("1", "2", "3", "4", "E", "P", "F")
"""napari's own keys for erasing, painting, polygon and filling."""


def bind_painting(layer: "Labels", action: Callable[[], object]) -> None:
    """Have a try to paint on a layer that shows a prediction do something instead."""
    for key in PAINTING_KEYS:
        layer.bind_key(key, _ignoring_layer(action), overwrite=True)


def bind(layer: "Labels", actions: Actions) -> list[str]:
    """Bind the keys as they are set to a layer, instead of those bound before.

    Returns
    -------
    A sentence for each key that napari does not understand.
    """
    settings = key_settings()
    layer.keymap.clear()
    problems = []
    for name, action in actions.items():
        key = str(getattr(settings, name)).strip()
        if not key:
            continue
        try:
            layer.bind_key(key, _ignoring_layer(action), overwrite=True)
        except (ValueError, TypeError, KeyError):
            problems.append(f"{key!r} is no key that napari knows; change it in Preferences > Recurrent U-Net.")
    return problems


def _ignoring_layer(action: Callable[[], object]) -> Callable[[Any], None]:
    def press(_layer: Any) -> None:
        action()

    return press
