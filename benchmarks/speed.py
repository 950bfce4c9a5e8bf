"""How fast we are beside a plain implementation of the same network, in the same run on the same machine.

    python benchmarks/speed.py [--rows inference,refine,training,start,gpu,click,large,stopping] [--runs 7]
        [--sizes 230x306,565x584,1024x1024] [--threads 2] [--model retina] [--backend float32] [--data DATA]

Each contender is a process of its own, and they take turns. The yardstick (`yardstick.py`) is plain: eager, float32,
contiguous, the default allocator; ours has the environment of the plugin's worker. Figures are the least of the
runs, and their median. CPU is the least time of all threads together, which other load on the machine lengthens
less; where cores are shared compare those, with ``--threads 1``. The floor is the counted number of operations at the
measured rate of a large matrix product in the precision of the backend. The rows ``click`` (which needs a display),
``large`` and ``stopping`` (which needs labelled data) are the tables of `click.py`, `large_plane.py` and
`stopping.py`; ``gpu`` says so where there is none.
"""

import argparse
import os
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import NamedTuple

import numpy as np
import torch
from torch.utils.flop_counter import FlopCounterMode

from napari_runet.corrections.spreading import LARGEST
from napari_runet.engine.environment import worker_environment
from napari_runet.networks import build
from yardstick import Yardstick

CONTENDERS = str(Path(__file__).with_name("contenders.py"))
TRAINING_SIZE = (256, 256)


class Times(NamedTuple):
    """Seconds of each run: of the clock, of all threads, and of the clock to the end of the first iteration."""

    wall: list[float]
    cpu: list[float]
    first: list[float]


def environment(threads: int, *, tuned: bool) -> dict[str, str]:
    """The environment of a contender: a worker's, or one in which nothing is set for speed."""
    if tuned:
        found = worker_environment()
    else:
        found = {name: value for name, value in os.environ.items() if not name.startswith("MALLOC_")}
    number = str(threads or torch.get_num_threads())
    return found | {"OMP_NUM_THREADS": number, "MKL_NUM_THREADS": number}


class Contender:
    """A process that works when it is told to."""

    def __init__(self, what: str, size: tuple[int, int], options: argparse.Namespace, *, tuned: bool = True) -> None:
        self.times = Times([], [], [])
        self._process = subprocess.Popen(
            [sys.executable, CONTENDERS, what, options.model, *map(str, size), options.backend],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=environment(options.threads, tuned=tuned),
        )  # fmt: skip

    def ask(self, line: str = "") -> list[float]:
        """Work once."""
        assert self._process.stdin is not None and self._process.stdout is not None
        self._process.stdin.write(line + "\n")
        self._process.stdin.flush()
        return [float(part) for part in self._process.stdout.readline().split()]

    def run(self) -> None:
        """Work once, and keep the times."""
        for kept, seconds in zip(self.times, self.ask(), strict=True):
            kept.append(seconds)

    def result(self, folder: str) -> np.ndarray:
        """What it computes."""
        path = Path(folder, "result.npy")
        self.ask(f"check {path}")
        return np.load(path)

    def close(self) -> None:
        """End the process."""
        self._process.communicate()


def in_turns(contenders: Sequence[Contender], runs: int) -> None:
    """Warm each one up, and then run them in turns."""
    for contender in contenders:
        contender.ask()
    for _ in range(runs):
        for contender in contenders:
            contender.run()


def operations(size: tuple[int, int], iterations: int = 3) -> float:
    """Floating point operations of the logits."""
    height, width = (-(-side // 16) * 16 for side in size)
    with FlopCounterMode(display=False) as counter, torch.device("meta"), torch.no_grad():
        Yardstick()(torch.empty(1, 3, height, width), iterations)
    return float(counter.get_total_flops())


def row(what: str, times: Times, yardstick: Times | None = None, floor: float = 0.0, note: str = "") -> None:
    """Print a row of the table."""
    ratio = share = ""
    if yardstick is not None:
        ratio = f"{min(yardstick.wall) / min(times.wall):.2f} ({min(yardstick.cpu) / min(times.cpu):.2f})"
    if floor:
        share = f"{floor / min(times.wall):.0%}"
    least, middle, cpu = (1000 * value for value in (min(times.wall), float(np.median(times.wall)), min(times.cpu)))
    print(f"| {what:<36} | {least:8.1f} | {middle:8.1f} | {cpu:8.1f} | {ratio:>11} | {share:>5} | {note:<34} |")


def head() -> None:
    """Print the table's head."""
    print(f"| {'milliseconds':<36} | {'least':>8} | {'median':>8} | {'CPU':>8} | {'ratio (CPU)':>11} | {'floor':>5} |")
    print(f"|{'-' * 38}|{'-' * 10}|{'-' * 10}|{'-' * 10}|{'-' * 13}|{'-' * 7}|")


def inference(options: argparse.Namespace) -> None:
    """Three iterations, and all of `segment`."""
    for size in options.sizes:
        plain = Contender("yardstick", size, options, tuned=False)
        others = [Contender(what, size, options) for what in ("logits", "whole", "matmul")]
        with TemporaryDirectory() as folder:
            height, width = size
            expected, found = (each.result(folder)[..., :height, :width] for each in (plain, others[0]))
        in_turns([plain, *others], options.runs)
        logits, whole, product = (each.times for each in others)
        rate = 10 * 2 * 1024**3 / min(product.wall)
        floor = operations(size) / rate
        name, most = "{} x {}".format(*size), np.abs(expected - found).max()
        row(f"{name} yardstick", plain.times, None, floor, f"{rate / 1e9:.0f} GFLOP/s, floor {1000 * floor:.0f} ms")
        row(f"{name} {options.backend}", logits, plain.times, floor, f"logits differ by {most:.1e} at most")
        row(f"{name} first iteration", Times(logits.first, logits.cpu, logits.first))
        more = min(whole.cpu) / min(logits.cpu) - 1
        row(f"{name} segment", whole, plain.times, floor, f"{more:.0%} more CPU than the logits")
        for each in (plain, *others):
            each.close()


def refine(options: argparse.Namespace) -> None:
    """What follows a stroke, on the largest surroundings that are computed."""
    size = (LARGEST, LARGEST)
    network, ours = (Contender(what, size, options) for what in ("refine_network", "refine"))
    in_turns([network, ours], options.runs)
    share = min(ours.times.wall) / min(network.times.wall)
    row("refine 512 x 512, the bare network", network.times)
    row("refine 512 x 512", ours.times, note=f"{share:.2f} times the network's own")
    for each in (network, ours):
        each.close()


def training(options: argparse.Namespace) -> None:
    """A training step."""
    plain = Contender("training_yardstick", TRAINING_SIZE, options, tuned=False)
    ours = Contender("training_ours", TRAINING_SIZE, options)
    in_turns([plain, ours], options.runs)
    row("training step 4x256x256 yardstick", plain.times)
    row(f"training step 4x256x256 {options.backend}", ours.times, plain.times)
    for each in (plain, ours):
        each.close()


def start(options: argparse.Namespace) -> None:
    """What starts without torch and without Qt."""
    commands = {
        "python -c pass": ["-c", "pass"],
        "import napari_runet": ["-c", "import napari_runet"],
        "napari-runet --help": ["-m", "napari_runet.cli", "--help"],
    }
    times = {name: Times([], [], []) for name in commands}
    for _ in range(options.runs):
        for name, arguments in commands.items():
            used = os.times()
            wall = time.perf_counter()
            subprocess.run([sys.executable, *arguments], check=True, stdout=subprocess.DEVNULL)
            times[name].wall.append(time.perf_counter() - wall)
            now = os.times()
            cpu = now.children_user + now.children_system - used.children_user - used.children_system
            times[name].cpu.append(cpu)
    for name, found in times.items():
        row(name, found)


def gpu(options: argparse.Namespace) -> None:
    """Images a second of the small size, one by one and 32 at a time, and memory beside a heavy network's."""
    if not torch.cuda.is_available():
        print("| no GPU here |", flush=True)
        return
    height, width = options.sizes[0]
    for batch in (1, 32):
        worker = Contender(f"gpu_{batch}", (height, width), options)
        in_turns([worker], max(20, options.runs))
        rate = batch / min(worker.times.wall)
        row(f"GPU {height} x {width}, batch {batch}", worker.times, note=f"{rate:.0f} images a second")
        worker.close()
    for name in ("dru-4", "unet-vgg16"):
        network = build(name).cuda().eval().to(memory_format=torch.channels_last)
        torch.cuda.reset_peak_memory_stats()
        with torch.inference_mode(), torch.autocast("cuda", torch.bfloat16):
            network(torch.rand(1, 3, 1024, 1024, device="cuda").contiguous(memory_format=torch.channels_last))
        print(f"| {name}, 1024 x 1024: {torch.cuda.max_memory_allocated() / 2**20:.0f} MiB of the GPU |", flush=True)
        del network


def program(name: str, *arguments: str) -> None:
    """Run another benchmark, which prints a table of its own."""
    print(flush=True)
    subprocess.run([sys.executable, str(Path(__file__).with_name(name)), *arguments], check=True)


def stopping(options: argparse.Namespace) -> None:
    """What stopping early is worth."""
    if options.data is None:
        print("| stopping early: name a folder of labelled sets by --data |", flush=True)
        return
    program("stopping.py", "--data", options.data)


ROWS = {
    "inference": inference,
    "refine": refine,
    "training": training,
    "start": start,
    "gpu": gpu,
    "click": lambda options: program("click.py", "--runs", str(options.runs)),
    "large": lambda options: program("large_plane.py", "--model", options.model),
    "stopping": stopping,
}


def sizes(text: str) -> list[tuple[int, int]]:
    """``230x306,1024x1024`` as rows and columns."""
    pairs = (part.split("x") for part in text.split(","))
    return [(int(height), int(width)) for height, width in pairs]


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", default="inference,refine,training,start,gpu")
    parser.add_argument("--sizes", type=sizes, default=sizes("230x306,565x584,1024x1024"))
    parser.add_argument("--runs", type=int, default=7)
    parser.add_argument("--threads", type=int, default=0, help="by default all")
    parser.add_argument("--model", default="retina")
    parser.add_argument("--backend", default="float32")
    parser.add_argument("--data", help="folder of sets, for stopping early")
    options = parser.parse_args()
    head()
    for name in options.rows.split(","):
        ROWS[name](options)


if __name__ == "__main__":
    main()
