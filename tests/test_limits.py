"""What control groups of both versions allow, from files as the kernel writes them."""

import sys

import pytest

from napari_runet.limits import available_cores, bytes_left, core_quota, free_memory

V2 = "0::/a/b\n"
V1 = "9:name=systemd:/\n4:memory:/a/b\n2:cpu,cpuacct:/a/b\n0::/\n"


@pytest.fixture
def tree(tmp_path):
    """Write files of control groups; the root and the file of memberships."""

    def write(membership, files):
        (tmp_path / "membership").write_text(membership)
        for name, text in files.items():
            path = tmp_path / "root" / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text)
        return tmp_path / "root", tmp_path / "membership"

    return write


@pytest.mark.parametrize(
    ("membership", "files", "cores"),
    [
        (V2, {}, sys.maxsize),
        (V2, {"a/b/cpu.max": "max 100000\n", "a/cpu.max": "250000 100000\n"}, 2),
        (V2, {"a/b/cpu.max": "50000 100000\n", "a/cpu.max": "250000 100000\n"}, 1),
        ("0::/gone/host/path\n", {"cpu.max": "300000 100000\n"}, 3),  # a container sees its own group as the root
        (V1, {"cpu/a/b/cpu.cfs_quota_us": "-1\n", "cpu/a/b/cpu.cfs_period_us": "100000\n"}, sys.maxsize),
        (V1, {"cpu/a/b/cpu.cfs_quota_us": "400000\n", "cpu/a/b/cpu.cfs_period_us": "100000\n"}, 4),
        (V1, {"cpu/cpu.cfs_quota_us": "150000\n", "cpu/cpu.cfs_period_us": "100000\n"}, 1),
    ],
)
def test_cores(tree, membership, files, cores):
    assert core_quota(*tree(membership, files)) == cores


@pytest.mark.parametrize(
    ("membership", "files", "left"),
    [
        (V2, {}, None),
        (V2, {"a/b/memory.max": "max\n", "a/b/memory.current": "5\n"}, None),
        (V2, {"a/b/memory.max": "1000\n", "a/b/memory.current": "300\n"}, 700),
        (V2, {"a/b/memory.max": "1000\n", "a/memory.max": "800\n", "a/memory.current": "900\n"}, 0),
        (
            V2,
            {"memory.max": "900\n", "memory.current": "800\n", "memory.stat": "anon 1\ninactive_file 200\n"},
            300,
        ),
        (V1, {"memory/a/b/memory.limit_in_bytes": "9223372036854771712\n"}, None),
        (
            V1,
            {
                "memory/a/b/memory.limit_in_bytes": "9223372036854771712\n",
                "memory/a/memory.limit_in_bytes": "1000\n",
                "memory/a/memory.usage_in_bytes": "600\n",
                "memory/a/memory.stat": "inactive_file 1\ntotal_inactive_file 50\n",
            },
            450,
        ),
    ],
)
def test_memory(tree, membership, files, left):
    assert bytes_left(*tree(membership, files)) == left


def test_without_control_groups_nothing_is_limited(tmp_path):
    assert core_quota(tmp_path, tmp_path / "none") == sys.maxsize
    assert bytes_left(tmp_path, tmp_path / "none") is None


def test_this_machine():
    assert available_cores() >= 1
    left = free_memory()
    assert left is None or left > 0
