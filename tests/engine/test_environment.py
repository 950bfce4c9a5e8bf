import subprocess
import sys
from pathlib import Path

import pytest

from napari_runet.engine.environment import worker_environment, worker_threads
from napari_runet.limits import available_cores


@pytest.mark.parametrize(("cores", "threads"), [(1, 1), (2, 2), (4, 3), (16, 15)])
def test_a_core_is_left_to_the_window(cores, threads):
    assert worker_threads(cores) == threads


def test_what_the_user_set_wins_and_what_the_caller_says_wins_over_it(monkeypatch):
    monkeypatch.setenv("OMP_NUM_THREADS", "7")
    monkeypatch.delenv("MKL_NUM_THREADS", raising=False)
    assert worker_environment()["OMP_NUM_THREADS"] == "7"
    assert worker_environment()["MKL_NUM_THREADS"] == str(worker_threads(available_cores()))
    assert worker_environment({"OMP_NUM_THREADS": "1"})["OMP_NUM_THREADS"] == "1"


@pytest.mark.skipif(not Path("/sys/kernel/mm/transparent_hugepage").exists(), reason="no huge pages here")
def test_large_tensors_of_a_worker_ask_for_huge_pages(monkeypatch):
    monkeypatch.delenv("THP_MEM_ALLOC_ENABLE", raising=False)
    code = "import torch; kept = torch.empty(9 << 20, dtype=torch.uint8); print(open('/proc/self/smaps').read())"
    told = subprocess.run(
        [sys.executable, "-c", code], env=worker_environment(), check=True, capture_output=True, text=True
    )
    assert any("hg" in line.split() for line in told.stdout.splitlines() if line.startswith("VmFlags"))
