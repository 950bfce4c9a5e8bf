"""The blocks and files of a batch on Dask: workers on this machine, or any `distributed` cluster.

Work is cut as on one machine, into blocks and files; what a worker that is lost was doing is done again by another.
Workers read images and write masks themselves, so all machines must see the same disks by the same names.
"""

import errno
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterable, Iterator
from contextlib import ExitStack, closing, contextmanager, suppress
from typing import TYPE_CHECKING, Any, TypeVar

import torch

from napari_runet.batch.block_record import FinishedBlock
from napari_runet.batch.output import is_out_of_room
from napari_runet.batch.record import Job, Outcome
from napari_runet.inference.blocks import BlockTask, Ended, do_block
from napari_runet.inference.files import segment_file
from napari_runet.inference.segmenter import LoadedModel
from napari_runet.io.images import FileError
from napari_runet.settings import DeviceName

if TYPE_CHECKING:
    from distributed import Client, Future

    from napari_runet.inference.cluster_model import ModelPlugin

RETRIES = 2
"""How often a block or file that failed is tried again."""
WAITING = 2
"""Tasks that wait at the scheduler, for each thread of all workers, so that none has to wait for work."""
PATIENCE = 60
"""Seconds after which it is looked whether there is any worker left."""
T = TypeVar("T", BlockTask, Job)


class ClusterError(ValueError):
    """A cluster cannot be used; the message says why and what to do."""


class Cluster:
    """Workers that hold a model; see `local_workers` and `connect`.

    Parameters
    ----------
    client
        To the scheduler.
    model, device
        What the workers compute with, and on.

    Attributes
    ----------
    address
        Of the scheduler.
    """

    def __init__(self, client: "Client", model: LoadedModel, device: DeviceName) -> None:
        from napari_runet.inference.cluster_model import ModelPlugin

        self._client = client
        self.address = str(client.scheduler.address)
        self._plugin = ModelPlugin(model, device, torch.get_num_threads())
        client.register_plugin(self._plugin, name=self._plugin.name)

    def close(self) -> None:
        """Have the workers forget the model."""
        if self._client.status == "running":
            with suppress(OSError):  # gone just now
                self._client.unregister_worker_plugin(self._plugin.name)

    @property
    def size(self) -> int:
        """How many tasks are computed at a time."""
        return sum(self._client.nthreads().values())

    def run(self, tasks: Iterable[BlockTask], model: LoadedModel) -> Iterator[Ended]:
        """Do blocks; see `napari_runet.inference.blocks.Runner`."""
        yield from self._do(tasks, _block)

    def files(self, jobs: Iterable[Job]) -> "Iterator[tuple[Job, Outcome | Exception]]":
        """Do files, each by one worker, and yield what became of them, in the order in which they end."""
        given = list(jobs)
        whole = [_with_whole_paths(job) for job in given]
        of = {job.name: job for job in given}
        for job, end in self._do(whole, _file):
            if isinstance(end, Outcome):
                record = end.record.model_copy(update={"image": str(of[job.name].image)})
                end = end.model_copy(update={"record": record})
            elif isinstance(end, OutOfRoomError):
                end.__cause__ = OSError(errno.ENOSPC, str(end))  # causes do not travel
            yield of[job.name], end

    def _do(self, tasks: Iterable[T], do: Callable[[str, T], Any]) -> Iterator[tuple[T, Any]]:
        from distributed import TimeoutError, wait
        from distributed.comm import CommClosedError

        waiting: dict[Future, T] = {}
        coming = iter(tasks)
        try:
            while True:
                while len(waiting) < WAITING * max(1, self.size) and (task := next(coming, None)) is not None:
                    future = self._client.submit(do, self._plugin.name, task, retries=RETRIES, pure=False)
                    waiting[future] = task
                if not waiting:
                    return
                try:
                    with self._client.as_current():
                        ended = wait(list(waiting), timeout=PATIENCE, return_when="FIRST_COMPLETED").done
                except TimeoutError:
                    self._see_that_somebody_works()
                    continue
                for future in ended:
                    yield waiting.pop(future), _end_of(future)
        except Exception as error:
            if self._client.status == "running" and not isinstance(error, CommClosedError):
                raise
            raise ClusterError(
                f"The scheduler {self.address} is gone; what was finished stays. Start it, and run the command again."
            ) from error
        finally:
            for future in waiting:
                future.cancel()

    def _see_that_somebody_works(self) -> None:
        if not self.size:
            raise ClusterError("All workers are gone; what was finished stays. Start some and run the command again.")


def _with_whole_paths(job: Job) -> Job:
    """A job for a process that works in another folder."""
    output = job.output.model_copy(update={"folder": job.output.folder.absolute()})
    start = None if job.start is None else job.start.absolute()
    return job.model_copy(update={"image": job.image.absolute(), "output": output, "start": start})


def _end_of(future: "Future") -> Any:
    """What a task gave, or the exception that ended it."""
    from distributed import KilledWorker

    error = future.exception()
    if error is None:
        return future.result()
    if isinstance(error, KilledWorker):
        return ClusterError("Each worker that did it was lost, perhaps for want of memory.")
    if not isinstance(error, ValueError | OSError):
        raise error
    return error


def _block(plugin: str, task: BlockTask) -> FinishedBlock:
    """On a worker: do a block."""
    model = _held(plugin).model
    torch.set_num_threads(1)  # as when one machine does it
    return do_block(task, model)


def _file(plugin: str, job: Job) -> Outcome | Exception:
    """On a worker: do a file; a full disk is an answer, which trying again would not change."""
    held = _held(plugin)
    torch.set_num_threads(held.threads)
    try:
        return segment_file(job, held.model)
    except ValueError as error:
        if is_out_of_room(error):
            return OutOfRoomError(str(error))
        raise


class OutOfRoomError(FileError):
    """A disk that a worker writes to is full."""


def _held(plugin: str) -> "ModelPlugin":
    from distributed import get_worker

    found: ModelPlugin = get_worker().plugins[plugin]
    return found


@contextmanager
def local_workers(count: int, model: LoadedModel, device: DeviceName = "auto") -> Iterator[Cluster]:
    """So many worker processes on this machine, until the block ends.

    They are started as programs of their own, and not by `multiprocessing`, which would run a user's script again.

    Raises
    ------
    ClusterError
        When `distributed` is not installed, or they do not start.
    """
    distributed = _distributed()
    with ExitStack() as stack:
        folder = stack.enter_context(tempfile.TemporaryDirectory(prefix="napari-runet-workers-"))
        here = distributed.LocalCluster(
            n_workers=0, processes=False, protocol="tcp://", dashboard_address=None, silence_logs=50
        )
        stack.enter_context(here)
        client = stack.enter_context(distributed.Client(here, set_as_default=False))
        program = [sys.executable, "-m", "distributed.cli.dask_worker", here.scheduler_address]
        options = ["--nthreads", "1", "--memory-limit", "0", "--no-dashboard", "--death-timeout", str(STARTING)]
        for _ in range(count):
            worker = subprocess.Popen(
                [*program, *options, "--local-directory", folder], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
            )
            stack.callback(_end, worker)
        _wait_for(client, count, STARTING, "The workers did not start; look at `napari-runet doctor`.")
        yield Cluster(client, model, device)


def _end(worker: "subprocess.Popen[bytes]") -> None:
    worker.terminate()
    try:
        worker.wait(10)
    except subprocess.TimeoutExpired:
        worker.kill()
        worker.wait()


@contextmanager
def connect(address: str, model: LoadedModel, device: DeviceName = "auto") -> Iterator[Cluster]:
    """The workers of a scheduler that runs already, until the block ends.

    Raises
    ------
    ClusterError
        When `distributed` is not installed, there is no scheduler, it has no workers, or their versions are others.
    """
    distributed = _distributed()
    from distributed.comm import get_address_host_port

    try:
        get_address_host_port(address)  # a client of what is no address says so, and then hangs
        client = distributed.Client(address, timeout=CONNECTING, set_as_default=False)
    except (OSError, ValueError) as error:
        raise ClusterError(
            f"There is no scheduler at {address}; start one by `dask scheduler`, or use --workers."
        ) from error
    with client:
        nobody = f"The scheduler at {address} has no workers; start some by `dask worker {address}`."
        _wait_for(client, 1, CONNECTING, nobody)
        check_versions(client.get_versions(packages=["napari_runet"]), address)
        with closing(Cluster(client, model, device)) as cluster:
            yield cluster


CONNECTING = 10
"""Seconds that a scheduler that runs already, and the first of its workers, is waited for."""
STARTING = 120
"""Seconds that local workers are waited for: each is a Python that imports torch, on a machine that may be busy."""


def _wait_for(client: "Client", count: int, seconds: float, sentence: str) -> None:
    from distributed import TimeoutError

    try:
        client.wait_for_workers(count, timeout=seconds)
    except TimeoutError as error:
        raise ClusterError(sentence) from error


def check_versions(versions: dict[str, Any], address: str) -> None:
    """See that scheduler and workers run what this process runs, as far as results depend on it.

    Parameters
    ----------
    versions
        What ``Client.get_versions`` gives.
    address
        Of the scheduler, for errors.

    Raises
    ------
    ClusterError
        When they do not.
    """
    here = versions["client"]["packages"]
    there = {"The scheduler": versions["scheduler"], **{f"Worker {k}": v for k, v in versions["workers"].items()}}
    for who, what in there.items():
        needed = ("distributed",) if who == "The scheduler" else ("distributed", "python", "numpy", "napari_runet")
        for package in needed:
            wanted, found = _short(package, here[package]), _short(package, what["packages"].get(package))
            if wanted != found:
                raise ClusterError(
                    f"{who} of {address} has {package} {found or 'not'} installed and this process {wanted}; install "
                    "the same version there."
                )


def _short(package: str, version: Any) -> str:
    """A version, of Python without its last number."""
    text = str(version or "")
    return ".".join(text.split(".")[:2]) if package == "python" else text


def _distributed() -> Any:
    try:
        import distributed
    except ImportError as error:
        raise ClusterError('Clusters need Dask: pip install "napari-runet[cluster]".') from error
    return distributed
