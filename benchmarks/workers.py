"""Throughput with 1, 2 and 4 workers, and on paper with 100: ``python benchmarks/workers.py [--size 4096]``.

Segments one drawn OME-Zarr (as large_zarr.py draws it) by this process alone on one processor, and by workers; each
run is a process of its own, and seconds are those of the image itself, without the start of Python and workers, which
are told beside it. Then it measures what one task costs the scheduler and how quickly files are read and hashed, and
says from these numbers what a petapixel on 100 workers would take.
"""

import argparse
import csv
import os
import shutil
import subprocess
import sys
import time
from pathlib import Path

from large_zarr import draw
from napari_runet.batch.output import in_bytes
from napari_runet.inference.estimating import in_time
from napari_runet.io.ome_zarr import content_of, read_ome_zarr

RUN = """
import sys, napari_runet
tally = napari_runet.segment_files(sys.argv[1], sys.argv[3], sys.argv[2], workers=int(sys.argv[4]))
sys.exit("; ".join(tally.problems) or None)
"""
PIXELS = 10**15
WORKERS = 100
CORE, HALO = 1024, 64
RECORDED = 60
"""Bytes of a line in the record of blocks."""


def run(image: Path, output: Path, model: str, workers: int) -> tuple[float, float]:
    """Seconds of the image, and of everything."""
    shutil.rmtree(output, ignore_errors=True)
    started = time.perf_counter()
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    subprocess.run([sys.executable, "-c", RUN, image, output, model, str(workers)], check=True, env=environment)
    whole = time.perf_counter() - started
    with (output / "summary.csv").open(encoding="utf-8-sig", newline="") as stream:
        return float(next(csv.DictReader(stream))["seconds"]), whole


def seconds_a_task(count: int = 2000) -> float:
    """What the scheduler takes for a task that does nothing."""
    from distributed import Client, LocalCluster

    with LocalCluster(n_workers=1, processes=False, dashboard_address=None) as cluster, Client(cluster) as client:
        client.gather(client.map(lambda number: number, range(100), pure=False))
        started = time.perf_counter()
        client.gather(client.map(lambda number: number, range(count), pure=False))
        return (time.perf_counter() - started) / count


def bytes_below(folder: Path) -> tuple[int, int]:
    """Bytes and number of files."""
    sizes = [path.stat().st_size for path in folder.rglob("*") if path.is_file()]
    return sum(sizes), len(sizes)


def on_paper(image: Path, output: Path, model: str, size: int, seconds: float) -> None:
    """What a petapixel would take, with the numbers used."""
    megapixels = size**2 / 1e6
    each = seconds / megapixels
    task = seconds_a_task()
    started = time.perf_counter()
    content_of(read_ome_zarr(image), 0)
    stored, files = bytes_below(image / "0")
    hashing = stored / (time.perf_counter() - started)
    labels, label_files = bytes_below(next(output.glob("*.ome.zarr")) / "labels" / model)
    tasks = PIXELS / CORE**2
    read = stored / size**2 * ((CORE + 2 * HALO) / CORE) ** 2
    computing = PIXELS / 1e6 * each / WORKERS
    stored_each, labels_each = stored / size**2, labels / size**2
    print(
        f"\nA petapixel ({PIXELS:.0e} pixels) on {WORKERS} workers of one processor each, on paper, from {each:.2f} "
        f"s/Mpx of a worker, {1e3 * task:.2f} ms of the scheduler a task, {in_bytes(hashing)}/s hashed, and "
        f"{stored_each:.2f} bytes stored a pixel of the image and {labels_each:.3f} of the labels"
    )
    for name, text in {
        "computing": f"{in_time(computing)}: {tasks:.2e} tasks, {tasks / computing:.1f} a second",
        "scheduler": f"{in_time(tasks * task)}, {100 * task * tasks / computing:.1f} % of the time",
        "reading": f"{in_bytes(read * PIXELS)}, {in_bytes(read * PIXELS / computing)}/s for all workers",
        "labels": in_bytes(labels_each * PIXELS),
        "files": f"{files / size**2 * PIXELS:.1e} of the image, {label_files / size**2 * PIXELS:.1e} of the labels",
        "digest": f"{in_time(stored_each * PIXELS / hashing)} in the process that starts the run, before any task",
        "record": f"{in_bytes(tasks * RECORDED)} on disk, and several times as much in that process's memory",
    }.items():
        print(f"  {name:10} {text}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--size", type=int, default=4096)
    parser.add_argument("--model", default="roads")
    parser.add_argument("--folder", type=Path, default=Path("large-zarr"))
    parser.add_argument("--workers", type=int, nargs="+", default=[1, 2, 4])
    parser.add_argument("--repeats", type=int, default=2)
    arguments = parser.parse_args()
    arguments.folder.mkdir(exist_ok=True)
    image = arguments.folder / f"drawn-{arguments.size}.ome.zarr"
    draw(image, arguments.size)
    megapixels = arguments.size**2 / 1e6
    print(f"{arguments.size} x {arguments.size}, model {arguments.model}, {os.cpu_count()} processors, best of "
          f"{arguments.repeats}")  # fmt: skip
    best: dict[int, float] = {}
    for workers in (0, *arguments.workers):
        runs = [run(image, arguments.folder / "work", arguments.model, workers) for _ in range(arguments.repeats)]
        best[workers], whole = min(runs)
        name = "this process" if workers == 0 else f"{workers} worker{'s' if workers > 1 else ''}"
        rate, gain = megapixels / best[workers], best[0] / best[workers]
        start = whole - best[workers]
        print(f"{name:14} {best[workers]:7.1f} s, {rate:6.3f} Mpx/s, {gain:.2f} x; {start:.0f} s to start", flush=True)
    if 1 in best:
        print(f"overhead of one worker: {100 * (best[1] / best[0] - 1):.1f} %")
    on_paper(image, arguments.folder / "work", arguments.model, arguments.size, best.get(1, best[0]))


if __name__ == "__main__":
    main()
