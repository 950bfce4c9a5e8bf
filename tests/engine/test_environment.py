import sys

import pytest

from napari_runet.engine.environment import _quota, available_cores, worker_environment, worker_threads


@pytest.mark.parametrize(("cores", "threads"), [(1, 1), (2, 2), (4, 3), (16, 15)])
def test_a_core_is_left_to_the_window(cores, threads):
    assert worker_threads(cores) == threads


def test_the_strictest_control_group_counts(tmp_path):
    group = tmp_path / "a" / "b"
    group.mkdir(parents=True)
    membership = tmp_path / "membership"
    membership.write_text("0::/a/b\n")
    assert _quota(tmp_path, membership) == sys.maxsize
    (group / "cpu.max").write_text("max 100000\n")
    (tmp_path / "a" / "cpu.max").write_text("250000 100000\n")
    assert _quota(tmp_path, membership) == 2
    (group / "cpu.max").write_text("50000 100000\n")
    assert _quota(tmp_path, membership) == 1


def test_what_the_user_set_wins_and_what_the_caller_says_wins_over_it(monkeypatch):
    monkeypatch.setenv("OMP_NUM_THREADS", "7")
    monkeypatch.delenv("MKL_NUM_THREADS", raising=False)
    assert worker_environment()["OMP_NUM_THREADS"] == "7"
    assert worker_environment()["MKL_NUM_THREADS"] == str(worker_threads(available_cores()))
    assert worker_environment({"OMP_NUM_THREADS": "1"})["OMP_NUM_THREADS"] == "1"
