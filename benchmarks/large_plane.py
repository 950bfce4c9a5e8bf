"""Memory and rate of the worker as planes grow.

    python benchmarks/large_plane.py [--sizes 1024,2048,4096,8192] [--model retina] [--iterations 3]

Each plane (a drawn fundus, repeated) is segmented by a worker of its own, the one that the plugin starts, with the
settings of one click. Prints the peak of the worker's resident memory, of which the pages of mapped files are a part,
and the time a megapixel beside that of the first size. Needs Linux, whose ``/proc`` tells the peak.
"""

import argparse
import queue
import time
from pathlib import Path

import numpy as np

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


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--sizes", default="1024,2048,4096,8192")
    parser.add_argument("--model", default="retina")
    parser.add_argument("--iterations", type=int, default=3)
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


if __name__ == "__main__":
    main()
