"""Memory and rate of one large plane: ``python benchmarks/large_plane.py [--size 8192] [--iterations 3]``.

Prints the peak memory of the process that computes (the worker does the same work in the same way) and the
time a megapixel, beside those of a 1024 x 1024 plane in the same run.
"""

import argparse
import resource
import time

import numpy as np

import napari_runet
from napari_runet.images.drawn import draw_fundus
from napari_runet.images.image_input import ImageInput
from napari_runet.inference.segmenter import iterate
from napari_runet.settings import SegmentationSettings


def seconds_a_megapixel(image: np.ndarray, model, iterations: int) -> float:
    started = time.perf_counter()
    source = ImageInput.from_array(image)
    for step in iterate(source, model, SegmentationSettings(iterations=iterations)):
        del step
    return (time.perf_counter() - started) / (image.shape[0] * image.shape[1] / 1e6)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--size", type=int, default=8192)
    parser.add_argument("--iterations", type=int, default=3)
    options = parser.parse_args()
    tile, _ = draw_fundus(seed=0, size=1024)
    model = napari_runet.load_model("retina", device="cpu")
    repeats = -(-options.size // 1024)
    large = np.tile(tile, (repeats, repeats, 1))[: options.size, : options.size]
    print("size    s/Mpx   peak MiB (image included)")
    for image in (tile, large):
        rate = seconds_a_megapixel(image, model, options.iterations)
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
        print(f"{image.shape[0]:5d}  {rate:6.2f}  {peak:9.0f}", flush=True)


if __name__ == "__main__":
    main()
