"""What `speed.py` compares, each in a process of its own: ``python contenders.py WHAT MODEL HEIGHT WIDTH BACKEND``.

A process prepares itself, and then does its work once for each line on standard input, and answers with seconds of
the clock, seconds of all its threads, and the seconds of the clock to the end of the first iteration. ``check FILE``
instead of an empty line saves what it computed.
"""

import sys
import time
from collections.abc import Callable, Iterator

import numpy as np
import torch
from torch import Tensor

from napari_runet import load_model, segment
from napari_runet.corrections.correction import UNKNOWN
from napari_runet.corrections.growing import guesses, looks
from napari_runet.corrections.spreading import ITERATIONS as FOLLOWED
from napari_runet.corrections.spreading import spread
from napari_runet.images.drawn import draw_fundus
from napari_runet.images.image_input import ImageInput
from napari_runet.images.normalisation import measure_range, normalise
from napari_runet.inference.segmenter import iterate, place
from napari_runet.inference.starting import Start
from napari_runet.networks.iterative import pad_to_multiple
from napari_runet.settings import SegmentationSettings
from napari_runet.training.losses import recurrent_loss
from napari_runet.training.precision import training_layout
from yardstick import Yardstick

ITERATIONS = 3
Work = Callable[[], Iterator[Tensor]]


def picture(height: int, width: int) -> np.ndarray:
    """A drawn fundus, cut to the size."""
    side = max(height, width)
    top, left = (side - height) // 2, (side - width) // 2
    return draw_fundus(1, side)[0][top : top + height, left : left + width]


def network_input(image: np.ndarray) -> Tensor:
    """(1, 3, Y, X), normalised and padded."""
    intensities = measure_range(ImageInput.from_array(image), (), 0.5, 99.5, per_channel=True)
    pixels = torch.from_numpy(np.ascontiguousarray(normalise(image, intensities), np.float32))
    return pad_to_multiple(pixels.permute(2, 0, 1)[None], 16).contiguous()


def yardstick(model: str, height: int, width: int, backend: str) -> Work:
    """The logits of the plain implementation."""
    network = Yardstick().eval()
    network.load_state_dict(load_model(model, "cpu", "reference").network.state_dict())
    pixels = network_input(picture(height, width))
    return lambda: network.iterate(pixels, ITERATIONS)


def logits(model: str, height: int, width: int, backend: str) -> Work:
    """The logits of a backend."""
    network = load_model(model, "cpu", backend).runner
    pixels = network_input(picture(height, width)).contiguous(memory_format=torch.channels_last)

    def work() -> Iterator[Tensor]:
        return network.iterate_from(pixels, network.initial_state(pixels), ITERATIONS)

    return work


def whole(model: str, height: int, width: int, backend: str) -> Work:
    """All of `segment`, without rescaling."""
    loaded, image = load_model(model, "cpu", backend), picture(height, width)

    def work() -> Iterator[Tensor]:
        prediction = segment(image, loaded, iterations=ITERATIONS, rescale=False)
        yield from (torch.from_numpy(each[None]) for each in prediction.foreground)

    return work


def refine(model: str, height: int, width: int, backend: str) -> Work:
    """What a stroke costs: two runs from a mask, with the stroke and without, and what is made of them."""
    loaded, image = load_model(model, "cpu", backend), picture(height, width)
    source = ImageInput.from_array(image)
    settings = SegmentationSettings(iterations=FOLLOWED, rescale=False)
    base = np.array([*iterate(source, loaded, settings, quantised=True)][-1].foreground)
    known, nothing = (np.full((height, width), UNKNOWN, np.uint8) for _ in range(2))
    strokes = np.zeros((height, width), bool)
    strokes[height // 2, width // 4 : width // 2] = True
    known[strokes] = base[0][strokes] < 128

    def work() -> Iterator[Tensor]:
        runs = [
            [*iterate(source, loaded, settings, start=Start(foreground=base, pinned=pinned), quantised=True)]
            for pinned in (known, nothing)
        ]
        moved, unmoved = (np.array(steps[-1].foreground) for steps in runs)
        said = {"pinned": known, "strokes": strokes, "threshold": loaded.card.threshold}
        found = spread(base, moved, unmoved, **said)
        yield torch.from_numpy(guesses(found, base, base, looks(image, base), **said)[0])

    return work


def refine_network(model: str, height: int, width: int, backend: str) -> Work:
    """The bare iterations of `refine`."""
    network = load_model(model, "cpu", backend).runner
    pixels = network_input(picture(height, width)).contiguous(memory_format=torch.channels_last)

    def work() -> Iterator[Tensor]:
        for _ in range(2):
            yield from network.iterate_from(pixels, network.initial_state(pixels), FOLLOWED)

    return work


def training(
    network: torch.nn.Module, layout: torch.memory_format, height: int, width: int, *, in_bfloat16: bool = False
) -> Work:
    """A training step on a batch of 4: forward, the loss at each iteration, backward, update."""
    optimiser = torch.optim.AdamW(network.parameters(), lr=1e-4)
    pixels = network_input(picture(2 * height, 2 * width))[0]
    corners = [(0, 0), (0, width), (height, 0), (height, width)]
    images = torch.stack([pixels[:, y : y + height, x : x + width] for y, x in corners]).contiguous(
        memory_format=layout
    )
    labels = (images[:, 0] > 0).long()

    def work() -> Iterator[Tensor]:
        with torch.inference_mode(False), torch.enable_grad():
            with torch.autocast("cpu", torch.bfloat16, enabled=in_bfloat16):
                found = network(images.clone(), ITERATIONS)
            loss = recurrent_loss([each.float() for each in found], labels.clone(), alpha=0.4)
            optimiser.zero_grad(set_to_none=True)
            loss.backward()
            torch.nn.utils.clip_grad_norm_(network.parameters(), 1.0)
            optimiser.step()
        yield loss.detach()

    return work


def training_yardstick(model: str, height: int, width: int, backend: str) -> Work:
    """A training step of the plain implementation."""
    network = Yardstick().train()
    network.load_state_dict(load_model(model, "cpu", "reference").network.state_dict())
    return training(network, torch.contiguous_format, height, width)


def training_ours(model: str, height: int, width: int, backend: str) -> Work:
    """A training step as the trainer does it."""
    layout = training_layout("cpu")
    network = place(load_model(model, "cpu", "reference").network, "cpu", layout).train()
    return training(network, layout, height, width, in_bfloat16=backend == "bfloat16")


def matmul(model: str, height: int, width: int, backend: str) -> Work:
    """A matrix product of 1024 x 1024, ten times: 21.5 GFLOP."""
    dtype = torch.bfloat16 if backend == "bfloat16" else torch.float32
    one, other = (torch.rand(1024, 1024).to(dtype) for _ in range(2))
    return lambda: iter([one @ other for _ in range(10)])


def gpu_1(model: str, height: int, width: int, backend: str, batch: int = 1) -> Work:
    """The probabilities of a batch on a GPU, from the computer's memory and back to it, in bfloat16."""
    network = load_model(model, "cuda", "reference").network
    images = network_input(picture(height, width)).repeat(batch, 1, 1, 1).pin_memory()

    def work() -> Iterator[Tensor]:
        with torch.autocast("cuda", torch.bfloat16):
            pixels = images.cuda(non_blocking=True).contiguous(memory_format=torch.channels_last)
            for found in network.iterate_from(pixels, network.initial_state(pixels), ITERATIONS):
                yield torch.softmax(found.float(), 1).cpu()

    return work


def gpu_32(model: str, height: int, width: int, backend: str) -> Work:
    """The same of 32 images."""
    return gpu_1(model, height, width, backend, 32)


CONTENDERS = {
    work.__name__: work
    for work in (
        yardstick,
        logits,
        whole,
        refine,
        refine_network,
        training_yardstick,
        training_ours,
        matmul,
        gpu_1,
        gpu_32,
    )
}


@torch.inference_mode()
def serve(work: Work) -> None:
    """Work once for each line."""
    for line in sys.stdin:
        wall, cpu, first, found = time.perf_counter(), time.process_time(), 0.0, []
        for each in work():
            first = first or time.perf_counter() - wall
            found.append(each)
        wall, cpu = time.perf_counter() - wall, time.process_time() - cpu
        if line.startswith("check "):
            np.save(line.split(maxsplit=1)[1].strip(), torch.stack(found).numpy())
        print(wall, cpu, first, flush=True)


if __name__ == "__main__":
    what, chosen_model, rows, columns, chosen_backend = sys.argv[1:]
    serve(CONTENDERS[what](chosen_model, int(rows), int(columns), chosen_backend))
