"""The same work on workers: equal masks, also where one is killed, and sentences where there is no cluster."""

import os
import signal
import socket
import subprocess
import sys
from pathlib import Path
from unittest import mock

import cloudpickle
import distributed
import numpy as np
import psutil
import pytest
import torch
from PIL import Image

from napari_runet import load_model, segment_files
from napari_runet.batch.block_record import BlockRecord
from napari_runet.batch.output import Output
from napari_runet.batch.run import BatchRun, plan
from napari_runet.inference import cluster
from napari_runet.inference.backends import choosing
from napari_runet.inference.cluster import ClusterError, check_versions, connect, local_workers
from napari_runet.inference.cluster_model import ModelPlugin
from napari_runet.inference.many_files import carry_out
from napari_runet.settings import SegmentationSettings
from ome_zarr_images import write_image

PIXELS = np.random.default_rng(0).integers(0, 255, (3, 400, 420), np.uint8)


@pytest.fixture
def model(home):
    return load_model("tiny", "cpu")


def counts(tally):
    return tally.done, tally.skipped, len(tally.problems)


def files_in(folder, *patterns):
    return {path.relative_to(folder): path.read_bytes() for p in patterns for path in folder.rglob(p) if path.is_file()}


def workers_of(process):
    """The processes that compute, and not those that watch them."""
    found = [child for child in psutil.Process(process).children(recursive=True) if not child.children()]
    return [child for child in found if "spawn_main" in " ".join(child.cmdline())]


@pytest.mark.skipif(sys.platform == "win32", reason="there is no SIGKILL")
def test_two_workers_of_which_one_is_killed_give_what_one_machine_gives(model, pictures, tmp_path, monkeypatch):
    image = write_image(pictures / "large.ome.zarr", PIXELS)
    (pictures / "picture-3.png").write_text("no image")
    alone = segment_files(pictures, model, tmp_path / "alone", tile_size=64)
    assert counts(alone) == (4, 0, 1)

    add, killed = BlockRecord.add, []

    def add_and_kill(record, block):
        if not killed:
            victim = workers_of(os.getpid())[0]
            victim.send_signal(signal.SIGKILL)
            killed.append(victim.pid)
        add(record, block)

    monkeypatch.setattr(BlockRecord, "add", add_and_kill)
    together = segment_files(pictures, model, tmp_path / "together", tile_size=64, workers=2)
    assert killed and counts(together) == (4, 0, 1)
    assert together.problems == alone.problems
    one, other = (files_in(tmp_path / name, "*.tif", "large.ome.zarr/**/*") for name in ("alone", "together"))
    assert one == other and len(one) > 49 + 3
    rows = (tmp_path / "together" / "summary.csv").read_text("utf-8-sig").splitlines()
    assert str(image) in rows[1] and len(rows) == 6
    assert counts(segment_files(pictures, model, tmp_path / "together", tile_size=64)) == (0, 4, 1)


def pages_of_a_second_block():
    """On a worker: how many pages the system gives it for a block of memory like one that it has just given back."""
    import resource

    import numpy as np

    faults = []
    for _ in range(2):
        before = resource.getrusage(resource.RUSAGE_THREAD).ru_minflt
        np.ones(32 << 20, np.uint8).sum()
        faults.append(resource.getrusage(resource.RUSAGE_THREAD).ru_minflt - before)
    return faults[1]


@pytest.mark.skipif(sys.platform != "linux", reason="other systems have other allocators")
def test_workers_keep_the_memory_of_a_layer_for_the_next(model, monkeypatch):
    cloudpickle.register_pickle_by_value(sys.modules[__name__])
    monkeypatch.delenv("MALLOC_TRIM_THRESHOLD_", raising=False)
    monkeypatch.delenv("MALLOC_MMAP_THRESHOLD_", raising=False)
    with local_workers(1, model, "cpu") as workers, distributed.Client(workers.address) as client:
        (pages,) = client.run(pages_of_a_second_block).values()
    assert pages < 100  # about 500 where they are given back


def models_on(cluster):
    return sum(name.startswith("napari-runet") for name in cluster.scheduler.worker_plugins)


def test_any_scheduler_does_for_one_batch_after_another(model, tmp_path):
    from distributed import LocalCluster

    image = write_image(tmp_path / "large.ome.zarr", PIXELS[:, :200, :200])
    settings = SegmentationSettings(tile_size=64)
    with LocalCluster(n_workers=0, processes=False, protocol="tcp://", dashboard_address=None) as cluster:
        with pytest.raises(ClusterError, match="has no workers; start some by `dask worker"):
            with connect(cluster.scheduler_address, model, "cpu"):
                pass
        worker = subprocess.Popen(
            [sys.executable, "-m", "distributed.cli.dask_worker", cluster.scheduler_address, "--no-dashboard",
             "--nthreads", "2", "--local-directory", tmp_path], stderr=subprocess.DEVNULL,
        )  # fmt: skip
        try:
            with connect(cluster.scheduler_address, model, "cpu") as workers:
                assert workers.size == 2
                for name in ("a", "b"):
                    planned = plan([image], Output(folder=tmp_path / name), model.card, settings)
                    tally = carry_out(planned, model, cluster=workers)
                    assert counts(tally) == (1, 0, 0), tally.problems
                with connect(cluster.scheduler_address, model, "cpu"):
                    assert models_on(cluster) == 2, "each batch has a model of its own"
            assert models_on(cluster) == 0
        finally:
            worker.terminate()
            worker.wait()
    segment_files(image, model, tmp_path / "alone", tile_size=64)
    assert files_in(tmp_path / "alone", "large.ome.zarr/**/*") == files_in(tmp_path / "b", "large.ome.zarr/**/*")


@pytest.mark.parametrize("backend", ["reference", "float32", "auto"])
def test_workers_compute_as_the_model_was_loaded(home, monkeypatch, backend):
    monkeypatch.setattr(choosing, "has_fast_bfloat16", lambda: False)
    plugin = ModelPlugin(load_model("tiny", "cpu", backend), "cpu", 1)
    monkeypatch.setattr(choosing, "has_fast_bfloat16", lambda: True)  # of the worker's processor
    plugin.setup(mock.Mock())
    runner = plugin.model.runner
    assert getattr(runner, "dtype", None) == (None if backend == "reference" else torch.float32)
    assert (runner is plugin.model.network) == (backend == "reference")


def test_workers_that_work_elsewhere_find_what_images_begin_from(home, pictures, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "starts").mkdir()
    for number in (1, 2, 10):
        Image.fromarray(np.ones((40, 48 + number), np.uint8)).save(tmp_path / "starts" / f"picture-{number}.png")
    planned = plan(["pictures"], Output(folder="out"), load_model("tiny", "cpu").card, SegmentationSettings(),
                   start=Path("starts"))  # fmt: skip
    with BatchRun(planned) as run:
        for job in run.jobs:
            whole = cluster._with_whole_paths(job)
            assert whole.start == tmp_path / "starts" / f"{job.name}.png" and whole.image == job.image.absolute()


def test_no_scheduler_or_another_version_is_a_sentence(model, pictures, monkeypatch, tmp_path):
    monkeypatch.setattr("napari_runet.inference.cluster.CONNECTING", 1)
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        address = f"tcp://127.0.0.1:{free.getsockname()[1]}"
    for there_is_none in (address, "nonsense://here"):
        with pytest.raises(ClusterError, match=f"no scheduler at {there_is_none}; start one by `dask scheduler`"):
            segment_files(pictures, model, tmp_path / "out", scheduler=there_is_none)
    with pytest.raises(ClusterError, match="leave out one of the two"):
        segment_files(pictures, model, tmp_path / "out", scheduler=address, workers=2)
    monkeypatch.setattr("napari_runet.inference.cluster.local_workers", lambda *given: pytest.fail("started"))
    for count in (-1, 1025, 10**9):
        with pytest.raises(ClusterError, match=f"0 to 1024 workers on this machine, not for {count}"):
            segment_files(pictures, model, tmp_path / "out", workers=count)
    own = {"distributed": "2026.8.0", "python": "3.11.7.final.0", "numpy": "2.4.6", "napari_runet": "0.1.0"}
    versions = {"client": {"packages": own}, "scheduler": {"packages": {"distributed": "2026.8.0"}}}
    check_versions({**versions, "workers": {"tcp://a": {"packages": {**own, "python": "3.11.2.final.0"}}}}, address)
    for other, said in (({"napari_runet": None}, "has napari_runet not installed"), ({"numpy": "1.26"}, "numpy 1.26")):
        with pytest.raises(ClusterError, match=f"Worker tcp://a of .* {said}"):
            check_versions({**versions, "workers": {"tcp://a": {"packages": {**own, **other}}}}, address)
    versions["scheduler"] = {"packages": {"distributed": "2024.1.0"}}
    with pytest.raises(ClusterError, match=r"The scheduler of .* has distributed 2024\.1\.0 .* 2026\.8\.0"):
        check_versions({**versions, "workers": {}}, address)


@pytest.mark.parametrize("address", ["nonsense", "foo://here:1"])
def test_what_is_no_address_is_a_sentence_and_no_client_is_left_that_hangs(model, monkeypatch, address):
    monkeypatch.setattr(distributed, "Client", lambda *given, **options: pytest.fail("a client was made"))
    with pytest.raises(ClusterError, match=f"no scheduler at {address}"), connect(address, model):
        pass


def test_a_scheduler_that_is_lost_is_a_sentence(model, pictures, tmp_path, monkeypatch):
    where, modules = tmp_path / "scheduler.json", [sys.executable, "-m"]
    started = [
        subprocess.Popen([*modules, f"distributed.cli.{name}", *options, "--no-dashboard"], stderr=subprocess.DEVNULL)
        for name, options in (
            ("dask_scheduler", ["--host", "127.0.0.1", "--port", "0", "--scheduler-file", where]),
            ("dask_worker", ["--scheduler-file", where, "--nthreads", "1", "--local-directory", tmp_path]),
        )
    ]
    try:
        with distributed.Client(scheduler_file=where, timeout=60, set_as_default=False) as first:
            first.wait_for_workers(1, timeout=60)
            address = first.scheduler.address
        monkeypatch.setattr("napari_runet.inference.cluster.CONNECTING", 2)
        jobs = []

        def told(job, share, end):
            if end is not None and not jobs:
                for process in started:
                    process.kill()
                    process.wait()
            jobs.append(job)

        planned = plan([pictures], Output(folder=tmp_path / "out"), model.card, SegmentationSettings())
        with pytest.raises(ClusterError, match=f"The scheduler {address} is gone; what was finished stays"):
            with connect(address, model, "cpu") as workers:
                carry_out(planned, model, told, cluster=workers)
        assert jobs
    finally:
        for process in started:
            process.kill()
            process.wait()
    assert segment_files(pictures, model, tmp_path / "out").skipped >= 1


def test_one_worker_of_this_machine_has_as_long_to_start_as_several(model, monkeypatch):
    monkeypatch.setattr(cluster, "CONNECTING", 0.001)
    with local_workers(1, model) as workers:
        assert workers.size == 1
