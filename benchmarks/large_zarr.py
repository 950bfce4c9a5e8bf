"""Memory and rate of a large OME-Zarr image: ``python benchmarks/large_zarr.py [--size 16384] [--kill]``.

Draws an RGB image into an OME-Zarr (which is kept in ``--folder`` for the next time), segments it in a process of its
own, and prints the peak memory of all its processes together and its rate beside that of one 1024 x 1024 image.
With ``--kill`` the process is also killed (kill -9) half-way and run again, and the labels are compared.
"""

import argparse
import os
import shutil
import signal
import statistics
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import psutil
import zarr

from napari_runet.batch.output import digest_of
from napari_runet.images.drawn import draw_aerial

TILE = 1024
CHUNK = 512
RUN = """
import sys, napari_runet
tally = napari_runet.segment_files(sys.argv[1], sys.argv[3], sys.argv[2])
sys.exit("; ".join(tally.problems) or None)
"""
RATE = """
import sys, time, napari_runet
from napari_runet.images.drawn import draw_aerial
model, image = napari_runet.load_model(sys.argv[1]), draw_aerial(0, 1024)[0]
for _ in range(4):
    started = time.perf_counter()
    napari_runet.segment(image, model)
    print(time.perf_counter() - started, flush=True)
"""


def draw(path: Path, size: int) -> None:
    """An image of `size` x `size` pixels: eight drawn tiles, turned and mirrored; two levels."""
    if path.exists():
        return
    tiles = [draw_aerial(seed, TILE)[0] for seed in range(8)]
    partial = path.with_suffix(".partial")
    group = zarr.open_group(partial, mode="w")
    rng = np.random.default_rng(0)
    arrays = [
        group.create_array(
            str(level), shape=(3, size >> level, size >> level), chunks=(3, CHUNK, CHUNK), dtype="uint8",
            dimension_names=["c", "y", "x"],
        )
        for level in (0, 1)
    ]  # fmt: skip
    for y in range(0, size, TILE):
        for x in range(0, size, TILE):
            tile = np.rot90(tiles[rng.integers(8)], rng.integers(4))[:, :: rng.choice([-1, 1])].transpose(2, 0, 1)
            tile = tile[:, : size - y, : size - x]
            arrays[0][:, y : y + TILE, x : x + TILE] = tile
            arrays[1][:, y // 2 : (y + TILE) // 2, x // 2 : (x + TILE) // 2] = tile[:, ::2, ::2]
    axes = [{"name": "c", "type": "channel"}, *({"name": name, "type": "space", "unit": "meter"} for name in "yx")]
    datasets = [
        {"path": str(k), "coordinateTransformations": [{"type": "scale", "scale": [1, 2**k, 2**k]}]} for k in (0, 1)
    ]
    group.attrs["ome"] = {"version": "0.5", "multiscales": [{"name": "drawn", "axes": axes, "datasets": datasets}]}
    partial.rename(path)


def memory_of(process: psutil.Process) -> int:
    """Bytes of a process and all that it has started, pages that they share counted once a process."""
    try:
        family = [process, *process.children(recursive=True)]
        return sum(each.memory_info().rss for each in family)
    except psutil.NoSuchProcess:
        return 0


def run(program: str, *arguments: object, until=lambda: False) -> tuple[float, int]:
    """Seconds and peak memory of a program; it is killed when `until` says so."""
    started, peak = time.perf_counter(), 0
    child = subprocess.Popen([sys.executable, "-c", program, *map(str, arguments)])
    watched = psutil.Process(child.pid)
    while child.poll() is None:
        peak = max(peak, memory_of(watched))
        if until():
            os.kill(child.pid, signal.SIGKILL)
            child.wait()
            return time.perf_counter() - started, peak
        time.sleep(0.05)
    if child.returncode:
        raise SystemExit(f"a run failed with {child.returncode}")
    return time.perf_counter() - started, peak


def small_rate(model: str) -> float:
    """Seconds a megapixel of 1024 x 1024 pixels; the first of four counts for nothing."""
    done = subprocess.run([sys.executable, "-c", RATE, model], capture_output=True, text=True, check=True)
    return statistics.median(list(map(float, done.stdout.split()))[1:]) / (1024 * 1024 / 1e6)


def finished_blocks(output: Path) -> int:
    records = (output / ".napari-runet").glob("growing-*.jsonl")
    return sum(len(record.read_bytes().splitlines()) - 1 for record in records)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--size", type=int, default=16384)
    parser.add_argument("--model", default="roads")
    parser.add_argument("--folder", type=Path, default=Path("large-zarr"))
    parser.add_argument("--kill", action="store_true")
    arguments = parser.parse_args()
    arguments.folder.mkdir(exist_ok=True)
    image = arguments.folder / f"drawn-{arguments.size}.ome.zarr"
    draw(image, arguments.size)
    megapixels, blocks = arguments.size**2 / 1e6, (-(-arguments.size // 1024)) ** 2
    whole, killed = arguments.folder / "whole", arguments.folder / "killed"
    for folder in (whole, killed):
        shutil.rmtree(folder, ignore_errors=True)
    before = small_rate(arguments.model)
    seconds, peak = run(RUN, image, whole, arguments.model)
    after = small_rate(arguments.model)
    small = (before + after) / 2
    print(f"{arguments.size} x {arguments.size}, {blocks} blocks, model {arguments.model}, {os.cpu_count()} processors")
    print(f"peak memory of all processes: {peak / 2**20:.0f} MiB")
    print(f"{seconds:.0f} s, {seconds / megapixels:.3f} s/Mpx; 1024 x 1024: {before:.3f} before, {after:.3f} after, "
          f"{small:.3f} in the middle; ratio {seconds / megapixels / small:.2f}")  # fmt: skip
    labels = Path(f"{image.stem.removesuffix('.ome')}.ome.zarr") / "labels" / arguments.model
    if arguments.kill:
        first, _ = run(RUN, image, killed, arguments.model, until=lambda: finished_blocks(killed) >= blocks // 2)
        kept = finished_blocks(killed)
        second, _ = run(RUN, image, killed, arguments.model)
        equal = digest_of(whole / labels) == digest_of(killed / labels)
        print(f"killed after {first:.0f} s with {kept} of {blocks} blocks, resumed for {second:.0f} s; "
              f"labels equal to the uninterrupted run's: {equal}")  # fmt: skip


if __name__ == "__main__":
    main()
