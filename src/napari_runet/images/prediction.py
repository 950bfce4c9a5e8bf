"""What a network said about an image, at every iteration."""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from napari_runet.images.thresholding import as_float, labels_from, quantise


@dataclass(frozen=True, slots=True)
class Prediction:
    """All iterations' class probabilities for one image plane.

    Parameters
    ----------
    foreground
        (T, K, Y, X): probability of each of the K = C - 1 foreground classes at each iteration, as float32 in
        [0, 1], or as uint8, 255 times that.
    threshold
        From which probability on a pixel is labelled, in (0, 1).
    model_id, model_sha256
        Which model, and which version of it.
    run_id
        Names the run that made it.
    scale
        By how much the image was enlarged for the network; 1 where it was taken as it is.
    """

    foreground: npt.NDArray[np.float32] | npt.NDArray[np.uint8]
    threshold: float
    model_id: str
    model_sha256: str
    run_id: str = ""
    scale: float = 1.0

    @property
    def labels(self) -> npt.NDArray[np.uint8]:
        """(T, Y, X) uint8: 0 for background, k for the k-th foreground class."""
        return np.stack([self.labels_at(t) for t in range(1, len(self.foreground) + 1)])

    @property
    def probabilities(self) -> npt.NDArray[np.float32]:
        """(T, C, Y, X) float32 in [0, 1], the background first."""
        foreground = as_float(self.foreground)
        background = np.clip(1 - foreground.sum(axis=1, keepdims=True), 0, 1)
        return np.concatenate([background, foreground], axis=1).astype(np.float32)

    def labels_at(self, iteration: int, threshold: float | None = None) -> npt.NDArray[np.uint8]:
        """(Y, X) uint8 labels of one iteration (1 to T), at `threshold` or the prediction's own."""
        foreground = self.foreground[iteration - 1]
        quantised = foreground if foreground.dtype == np.uint8 else quantise(foreground)
        return labels_from(quantised, self.threshold if threshold is None else threshold)
