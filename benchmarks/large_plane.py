"""Memory and rate of the worker as planes grow.

    python benchmarks/large_plane.py [--sizes 1024,2048,4096,8192] [--tiles 512,1024,1536] [--model retina]
        [--iterations 3]

Each plane (a drawn fundus, repeated) is segmented by a worker of its own, the one that the plugin starts, with the
settings of one click. Prints the peak of the worker's resident memory, of which the pages of mapped files are a part,
and the time a megapixel beside that of the first size. Then a drawn plane of 2048 x 2048 is segmented untiled and in
tiles; prints how much they agree, and Dice with what was drawn. Needs Linux, whose ``/proc`` tells the peak.
"""

import argparse
import queue
import time
from pathlib import Path

import numpy as np

from napari_runet import load_model, segment
from napari_runet.engine.client import EngineClient
from napari_runet.engine.messages import Event, Failed, Finished, IterationDone, ModelLoaded, WorkerLost
from napari_runet.images.drawn import draw_fundus
from napari_runet.models.store import ModelStore
from napari_runet.settings import SegmentationSettings


def peak(pid: int) -> float:
    """Peak of a process's resident memory, MiB."""
    for line in Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith("VmHWM:"):
            return int(line.split()[1]) / 1024
    raise OSError("this system does not tell a process's peak memory")


def wait_for(events: "queue.SimpleQueue[Event]", last: type[Event], client: EngineClient) -> None:
    """Take events until the last one; what an iteration wrote is removed, as a viewer that holds none would."""
    while not isinstance(event := events.get(), last):
        if isinstance(event, Failed | WorkerLost):
            raise SystemExit(event.message)
        if isinstance(event, IterationDone):
            Path(event.foreground.path).unlink()


def measure(image: np.ndarray, folder: Path, iterations: int) -> tuple[float, float]:
    """Seconds, and the worker's peak."""
    events: queue.SimpleQueue[Event] = queue.SimpleQueue()
    client = EngineClient(events.put)
    try:
        client.load_model(folder, "cpu")
        wait_for(events, ModelLoaded, client)
        settings = SegmentationSettings(iterations=iterations, device="cpu")
        small = client.segment(image[:128, :128], folder=folder, name="warm-up", settings=settings)
        wait_for(events, Finished, client)
        client.release(small)
        started = time.perf_counter()
        client.segment(image, folder=folder, name="image", settings=settings)
        wait_for(events, Finished, client)
        seconds = time.perf_counter() - started
        assert client.worker_pid is not None
        return seconds, peak(client.worker_pid)
    finally:
        client.close()


def agreement(one: np.ndarray, other: np.ndarray) -> float:
    """Dice of two masks."""
    return float(2 * np.count_nonzero(one & other) / (np.count_nonzero(one) + np.count_nonzero(other)))


def compare_tiles(name: str, sizes: list[int], iterations: int) -> None:
    """Print what tiles change."""
    image, truth = draw_fundus(2, 2048)
    model = load_model(name, "cpu")
    print("\n| tile | overlap | Dice with the untiled mask | with what was drawn |")
    print("|------|---------|----------------------------|---------------------|")
    whole = None
    for size in (2048, *sizes):
        labels = segment(image, model, iterations=iterations, tile_size=size, rescale=False).labels[-1] > 0
        whole = labels if whole is None else whole
        overlap = 0 if size >= 2048 else min(model.card.tile_overlap, size // 2)
        print(f"| {size} | {overlap:7d} | {agreement(labels, whole):26.4f} | {agreement(labels, truth > 0):19.4f} |")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--sizes", default="1024,2048,4096,8192")
    parser.add_argument("--model", default="retina")
    parser.add_argument("--iterations", type=int, default=3)
    parser.add_argument("--tiles", default="512,1024,1536")
    options = parser.parse_args()
    folder = ModelStore().find(options.model)
    part = draw_fundus(0, 1024)[0]
    first = None
    print("| size | megapixels | seconds | s/Mpx | of the first | worker's peak, MiB |")
    print("|------|------------|---------|-------|--------------|--------------------|")
    for size in map(int, options.sizes.split(",")):
        repeats = -(-size // 1024)
        image = np.tile(part, (repeats, repeats, 1))[:size, :size]
        seconds, most = measure(image, folder, options.iterations)
        megapixels = size**2 / 2**20
        rate = seconds / megapixels
        first = first or rate
        row = f"| {size} | {megapixels:10.1f} | {seconds:7.2f} | {rate:5.2f} | {rate / first:12.2f} | {most:18.0f} |"
        print(row, flush=True)
    compare_tiles(options.model, [int(size) for size in options.tiles.split(",")], options.iterations)


if __name__ == "__main__":
    main()
