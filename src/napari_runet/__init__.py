"""Recurrent U-Net segmentation, correction and fine-tuning, for napari, the command line and Python.

Importing this package imports neither torch nor Qt: each public name is loaded when it is first used.
"""

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from napari_runet.corrections.correction import Correction as Correction
    from napari_runet.corrections.correction_set import CorrectionSet as CorrectionSet
    from napari_runet.images.prediction import Prediction as Prediction
    from napari_runet.inference.many_files import segment_files as segment_files
    from napari_runet.inference.planes import segment_planes as segment_planes
    from napari_runet.inference.segmenter import load_model as load_model
    from napari_runet.inference.segmenter import segment as segment
    from napari_runet.models.card import ModelCard as ModelCard
    from napari_runet.models.store import ModelStore as ModelStore
    from napari_runet.reviewing.places import doubtful_places as doubtful_places
    from napari_runet.settings import FineTuningSettings as FineTuningSettings
    from napari_runet.settings import SegmentationSettings as SegmentationSettings
    from napari_runet.training.fine_tuning import fine_tune as fine_tune

_HOME_OF = {
    "Correction": "napari_runet.corrections.correction",
    "CorrectionSet": "napari_runet.corrections.correction_set",
    "Prediction": "napari_runet.images.prediction",
    "load_model": "napari_runet.inference.segmenter",
    "segment": "napari_runet.inference.segmenter",
    "segment_files": "napari_runet.inference.many_files",
    "segment_planes": "napari_runet.inference.planes",
    "ModelCard": "napari_runet.models.card",
    "ModelStore": "napari_runet.models.store",
    "doubtful_places": "napari_runet.reviewing.places",
    "FineTuningSettings": "napari_runet.settings",
    "SegmentationSettings": "napari_runet.settings",
    "fine_tune": "napari_runet.training.fine_tuning",
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
