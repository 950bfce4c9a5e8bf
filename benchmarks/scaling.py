"""What a second thread is worth to each layer of the base backend.

    OMP_WAIT_POLICY=passive python benchmarks/scaling.py [--size 240x320] [--dtype bfloat16] [--runs 40]

Microseconds that the calling thread works on a layer of DRU(4), with one thread and with two, and the ratio: 2 where
the work is shared out evenly, 1 where the second thread idles. A thread that waits asleep works nothing meanwhile, so
that other load on the machine does not matter much. Each figure is the fifth part's of the sorted runs.
"""

import argparse
import time
from collections.abc import Callable, Iterator

import torch
from torch.nn import functional

from napari_runet.inference.backends.allocator import keep_memory
from napari_runet.inference.backends.layers import Normalisation, channels_last, max_pool
from napari_runet.networks.normalisation import GroupNorm

Work = Callable[[], object]


def layers(channels: int, height: int, width: int, dtype: torch.dtype) -> Iterator[tuple[str, Work]]:
    """Name and work of each layer at one scale."""
    features, other = (channels_last(torch.rand(1, channels, height, width).to(dtype)) for _ in range(2))
    kernel, bias = channels_last(torch.randn(channels, channels, 3, 3).to(dtype)), torch.randn(channels).to(dtype)
    norm = Normalisation(GroupNorm(8, channels))
    yield "3x3 convolution", lambda: functional.conv2d(features, kernel, bias, padding=1)
    yield "normalisation and ReLU", lambda: norm(features, relu=True)
    yield "sum of two", lambda: features.add_(other)
    if height % 2 == 0:
        below = channels_last(torch.rand(1, 2 * channels, height // 2, width // 2).to(dtype))
        up = channels_last(torch.randn(2 * channels, channels, 4, 4).to(dtype))
        yield "transposed 4x4 convolution", lambda: functional.conv_transpose2d(below, up, stride=2, padding=1)
        yield "max pooling", lambda: max_pool(features)


def typical(work: Work, runs: int) -> float:
    """Microseconds of this thread."""
    seconds = []
    for _ in range(runs + 5):
        start = time.thread_time()
        work()
        seconds.append(time.thread_time() - start)
    return 1e6 * sorted(seconds[5:])[runs // 5]


@torch.inference_mode()
def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--size", default="240x320")
    parser.add_argument("--dtype", default="bfloat16")
    parser.add_argument("--runs", type=int, default=40)
    options = parser.parse_args()
    height, width = map(int, options.size.split("x"))
    keep_memory()
    print(f"| {'microseconds':<50} | one thread | two threads | ratio |")
    print(f"|{'-' * 52}|{'-' * 12}|{'-' * 13}|{'-' * 7}|")
    for channels, scale in ((8, 1), (16, 2), (32, 4), (64, 8), (64, 16)):
        size = (height // scale, width // scale)
        for name, work in layers(channels, *size, getattr(torch, options.dtype)):
            found = []
            for threads in (1, 2):
                torch.set_num_threads(threads)
                found.append(typical(work, options.runs))
            what = f"{channels} channels, {size[0]} x {size[1]}: {name}"
            print(f"| {what:<50} | {found[0]:10.0f} | {found[1]:11.0f} | {found[0] / found[1]:5.2f} |", flush=True)


if __name__ == "__main__":
    main()
