"""What each lever of the base backend is worth alone: ``python benchmarks/levers.py [--size 1024] [--runs 15]``.

Milliseconds of CPU on one thread, the least of the runs, of a layer of DRU(4) at a square image's size: as torch does
it in the layout that convolutions are fastest in, and as the base backend does it. "no" marks what was tried and is
not used.
"""

import argparse
import time
from collections.abc import Callable, Iterator

import torch
from torch import Tensor, nn
from torch.nn import functional

from napari_runet.inference.backends.allocator import keep_memory
from napari_runet.inference.backends.layers import FoldedUp, Normalisation, channels_last, max_pool, pixel_rows
from napari_runet.networks.blocks import UpBlock
from napari_runet.networks.normalisation import GroupNorm

Work = Callable[[], object]


def features(channels: int, side: int, dtype: torch.dtype = torch.float32) -> Tensor:
    return channels_last(torch.rand(1, channels, side, side).to(dtype))


def kernel(outputs: int, inputs: int, rows: int, columns: int, dtype: torch.dtype = torch.float32) -> Tensor:
    return channels_last(torch.randn(outputs, inputs, rows, columns).to(dtype))


def layers(side: int) -> Iterator[tuple[str, Work, Work]]:
    """Name, torch's way, our way."""
    fine, norm = features(8, side), GroupNorm(8, 8)
    ours = Normalisation(norm)
    yield (
        "group norm and ReLU, 8 channels",
        lambda: functional.group_norm(fine, 8, norm.weight, norm.bias).relu_(),
        lambda: ours(fine, relu=True),
    )
    for channels in (8, 16, 32, 64):
        scale = 8 * side // channels
        block = UpBlock(2 * channels, channels, "group").to(memory_format=torch.channels_last)
        folded = FoldedUp(block, torch.float32)
        skip, below = features(channels, scale), features(2 * channels, scale // 2)
        yield (
            f"up-block, {channels} channels",
            lambda block=block, skip=skip, below=below: block(below, skip),
            lambda folded=folded, skip=skip, below=below: folded(below, skip),
        )
    yield "max pooling, 8 channels", lambda: functional.max_pool2d(fine, 2), lambda: max_pool(fine)
    weight, bias = torch.randn(2, 8), torch.randn(2)
    yield (
        "1x1 head",
        lambda: functional.conv2d(fine, weight[:, :, None, None], bias),
        lambda: torch.addmm(bias[:, None], weight, pixel_rows(fine).t()),
    )
    logits = torch.randn(1, 2, side, side)
    last = channels_last(logits)
    yield "softmax, pixels or planes", lambda: torch.softmax(last, 1), lambda: torch.softmax(logits, 1)
    image, mask, both, half = features(3, side), features(2, side), kernel(8, 5, 3, 3), kernel(8, 2, 3, 3)
    yield (
        "first convolution, after iteration 1",
        lambda: functional.conv2d(torch.cat([image, mask], 1), both, padding=1),
        lambda: functional.conv2d(mask, half, padding=1).add_(fine),
    )


def not_used(side: int) -> Iterator[tuple[str, Work, Work]]:
    """Name, what we do, what was tried."""
    fine, plain = features(8, side), kernel(8, 8, 3, 3)
    pairs = fine.permute(0, 2, 3, 1).view(1, side, side // 2, 16).permute(0, 3, 1, 2)
    wide, packed = kernel(16, 8, 3, 4), kernel(16, 16, 3, 3)
    ours: Work = lambda: functional.conv2d(fine, plain, padding=1)  # noqa: E731
    yield "no: 3x3 on pairs of pixels, 16 to 16", ours, lambda: functional.conv2d(pairs, packed, padding=1)
    yield "no: 3x4 with a step of 2, 8 to 16", ours, lambda: functional.conv2d(fine, wide, padding=1, stride=(1, 2))
    rows = pixel_rows(fine, 128)
    yield (
        "no: statistics by var_mean",
        lambda: torch.batch_norm_update_stats(rows, None, None, 0.0),
        lambda: torch.var_mean(rows, 0, correction=0),
    )


def bfloat16(side: int) -> Iterator[tuple[str, Work, Work]]:
    """Name, in float32, in bfloat16."""
    for channels in (8, 16, 32, 64):
        works = []
        for dtype in (torch.float32, torch.bfloat16):
            pixels = features(channels, 8 * side // channels, dtype)
            weight = kernel(channels, channels, 3, 3, dtype)
            works.append(lambda pixels=pixels, weight=weight: functional.conv2d(pixels, weight, padding=1))
        yield f"bfloat16: 3x3, {channels} channels", *works


def least(work: Work, runs: int) -> float:
    """Milliseconds of this thread."""
    seconds = []
    for _ in range(runs + 1):
        start = time.thread_time()
        work()
        seconds.append(time.thread_time() - start)
    return 1000 * min(seconds[1:])


@torch.inference_mode()
def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--size", type=int, default=1024)
    parser.add_argument("--runs", type=int, default=15)
    options = parser.parse_args()
    torch.set_num_threads(1)
    keep_memory()
    # the plain layers are torch's, also where the network has its own
    GroupNorm.forward = nn.GroupNorm.forward
    print(f"| {'milliseconds':<40} | {'before':>7} | {'after':>7} | ratio |")
    print(f"|{'-' * 42}|{'-' * 9}|{'-' * 9}|{'-' * 7}|")
    for group in (layers, not_used, bfloat16):
        for name, before, after in group(options.size):
            old, new = least(before, options.runs), least(after, options.runs)
            print(f"| {name:<40} | {old:7.2f} | {new:7.2f} | {old / new:5.2f} |", flush=True)


if __name__ == "__main__":
    main()
