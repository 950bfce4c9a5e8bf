"""Recurrent U-Net segmentation, correction and fine-tuning, for napari, the command line and Python.

Importing this package imports neither torch nor Qt: each public name is loaded when it is first used.
"""

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from napari_runet.images.prediction import Prediction as Prediction
    from napari_runet.inference.segmenter import load_model as load_model
    from napari_runet.inference.segmenter import segment as segment
    from napari_runet.models.card import ModelCard as ModelCard
    from napari_runet.models.store import ModelStore as ModelStore
    from napari_runet.settings import SegmentationSettings as SegmentationSettings

_HOME_OF = {
    "Prediction": "napari_runet.images.prediction",
    "load_model": "napari_runet.inference.segmenter",
    "segment": "napari_runet.inference.segmenter",
    "ModelCard": "napari_runet.models.card",
    "ModelStore": "napari_runet.models.store",
    "SegmentationSettings": "napari_runet.settings",
}
__all__ = sorted([*_HOME_OF, "__version__"])


def __getattr__(name: str) -> object:
    if name == "__version__":
        return import_module("importlib.metadata").version("napari-runet")
    if name in _HOME_OF:
        return getattr(import_module(_HOME_OF[name]), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted([*globals(), *__all__])
