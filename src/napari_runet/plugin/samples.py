"""What File > Open Sample offers: drawn pictures, and one photograph that scikit-image fetches."""

from typing import TYPE_CHECKING, Any

from napari.utils.notifications import show_info, show_warning

from napari_runet.models.store import ModelStore
from napari_runet.plugin.layers import SUGGESTED_MODEL

if TYPE_CHECKING:
    from napari.types import LayerData

SIZE = 1024
RETINA_SEED, ROADS_SEED, HANDS_SEED = 2, 0, 5


def open_retina() -> "list[LayerData]":
    """A drawn photograph of the back of an eye."""
    from napari_runet.images.drawn import draw_fundus

    return _opened(draw_fundus(RETINA_SEED, SIZE)[0], "retina (drawn)", "retina")


def open_roads() -> "list[LayerData]":
    """A drawn aerial photograph."""
    from napari_runet.images.drawn import draw_aerial

    return _opened(draw_aerial(ROADS_SEED, SIZE)[0], "roads (drawn)", "roads")


def open_hands() -> "list[LayerData]":
    """A drawn hand over a desk."""
    from napari_runet.images.drawn import draw_hand

    return _opened(draw_hand(HANDS_SEED, SIZE)[0], "hands (drawn)", "hands")


def open_retina_photograph() -> "list[LayerData]":
    """scikit-image's photograph of a retina; where it cannot be fetched a sentence says so and nothing opens."""
    from skimage import data

    try:
        photograph = data.retina()  # type: ignore[no-untyped-call]
    except (OSError, ValueError) as error:  # no network; a file that is not the one expected
        show_warning(
            "The photograph could not be fetched; connect to the Internet and open it again, "
            f"or open the drawn retina sample. ({error})"
        )
        return []
    return _opened(photograph, "retina (photograph)", "retina")


def _opened(image: Any, name: str, model: str) -> "list[LayerData]":
    if all(stored.card.id != model for stored in ModelStore().models()):
        show_info(f"There is no {model} model yet; segment this sample with a model of your own.")
    return [(image, {"name": name, "rgb": True, "metadata": {SUGGESTED_MODEL: model}}, "image")]
