"""What was found out about the last few planes, so that segmenting one again does not find it out again."""

import hashlib
from collections import OrderedDict

import numpy as np

from napari_runet.images.image_input import ImageInput
from napari_runet.images.normalisation import IntensityRange
from napari_runet.images.pixel_size import PixelSize
from napari_runet.inference.segmenter import LoadedModel
from napari_runet.inference.viewing import pixel_size_of, plane_intensities

MOST_PIXELS = 1 << 22
"""Of a plane that is remembered: a larger one would have to be read whole for it, and the network takes longer."""
_KEPT = 16

Known = tuple[IntensityRange, PixelSize]


class KnownPlanes:
    """Intensities and pixel sizes of planes, by model and by all that the planes hold."""

    def __init__(self) -> None:
        self._known: OrderedDict[tuple[str, ...], Known] = OrderedDict()

    def look(self, model: LoadedModel, image: ImageInput) -> Known | None:
        """What `iterate` would find out about an image without other planes; None where it is too large.

        Raises
        ------
        ImageError
            When the plane holds no finite number, or channels that the model cannot read.
        """
        height, width = image.plane_shape
        if height * width > MOST_PIXELS:
            return None
        pixels = np.ascontiguousarray(image.array)
        content = hashlib.blake2b(pixels.data).hexdigest()
        runner = type(model.runner).__name__, str(getattr(model.runner, "dtype", "")), model.device.name
        key = (model.card.model_dump_json(), *runner, pixels.dtype.str, str(pixels.shape), content)
        if key not in self._known:
            intensities = plane_intensities(model.card, image, ())
            self._known[key] = intensities, pixel_size_of(model.card, model.runner, image, (), intensities)
            if len(self._known) > _KEPT:
                self._known.popitem(last=False)
        self._known.move_to_end(key)
        return self._known[key]
