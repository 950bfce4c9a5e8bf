"""run.py's decisions, without a setup."""

import importlib.util
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]


@pytest.fixture
def program():
    if not (ROOT / "run.py").exists():
        pytest.skip("run.py is not in an sdist's tests alone")
    spec = importlib.util.spec_from_file_location("project_run", ROOT / "run.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.mark.parametrize(
    ("environment", "platform", "expected"),
    [
        ({}, "linux", False),
        ({"DISPLAY": ""}, "linux", False),
        ({"DISPLAY": ":0"}, "linux", True),
        ({"WAYLAND_DISPLAY": "wayland-0"}, "linux", True),
        ({}, "darwin", True),
        ({}, "win32", True),
    ],
)
def test_a_screen_is_missing_only_on_a_linux_without_display(program, environment, platform, expected):
    assert program.has_screen(environment, platform) is expected


def test_without_a_screen_commands_run_under_a_virtual_one(program):
    assert program.on_screen(["a", "b"], True) == ["a", "b"]
    assert program.on_screen(["a", "b"], False)[0] == "xvfb-run"
    assert program.on_screen(["a", "b"], False)[-2:] == ["a", "b"]


@pytest.mark.parametrize(
    ("arguments", "screen", "added"),
    [
        ([], True, []),
        ([], False, ["--screenshot", "p.png"]),
        (["roads"], False, ["--screenshot", "p.png"]),
        (["--screenshot", "x.png"], False, []),
        (["--screenshot=x.png"], False, []),
        (["--help"], False, []),
    ],
)
def test_the_demo_writes_a_picture_where_nobody_could_see_it(program, arguments, screen, added):
    assert program.demo_arguments(arguments, screen, Path("p.png")) == [*arguments, *added]


def test_the_stamp_changes_with_either_file_and_with_nothing_else(program, tmp_path):
    (tmp_path / "pyproject.toml").write_text("a")
    (tmp_path / "constraints.txt").write_text("b")
    first = program.stamp_of(tmp_path)
    (tmp_path / "README.md").write_text("c")
    assert program.stamp_of(tmp_path) == first
    (tmp_path / "constraints.txt").write_text("bb")
    second = program.stamp_of(tmp_path)
    (tmp_path / "pyproject.toml").write_text("aa")
    assert len({first, second, program.stamp_of(tmp_path)}) == 3


def test_missing_libraries_and_programs_are_named_by_their_packages(program, monkeypatch):
    monkeypatch.setattr(program.sys, "platform", "linux")
    monkeypatch.setattr(program, "loads", lambda library: library != "libEGL.so.1")
    monkeypatch.setattr(program.shutil, "which", lambda name: None if name in ("Xvfb", "xvfb-run") else name)
    monkeypatch.setattr(program, "venv_program", lambda name: sys.executable)
    assert program.missing_packages(screen=True) == ["libegl1"]
    assert program.missing_packages(screen=False) == ["libegl1", "xvfb"]


def test_who_is_not_root_is_told_what_to_install(program, monkeypatch):
    monkeypatch.setattr(program, "missing_packages", lambda screen: ["xvfb", "xauth"])
    monkeypatch.setattr(program.shutil, "which", lambda name: name)
    monkeypatch.setattr(program.os, "geteuid", lambda: 1000)
    with pytest.raises(program.SetupError, match=r"sudo apt-get install .* xvfb xauth"):
        program.provide_packages(screen=False)


def test_what_a_failing_command_printed_is_shown(program, capsys):
    with pytest.raises(program.SetupError, match="It failed"):
        program.quiet([sys.executable, "-c", "print('the reason'); raise SystemExit(3)"], "It failed.")
    assert "the reason" in capsys.readouterr().out


def test_an_unknown_command_is_answered_with_the_two_that_there_are(program):
    done = subprocess.run([sys.executable, ROOT / "run.py", "fly"], capture_output=True, text=True, check=False)
    assert done.returncode == 2
    assert "run.py demo" in done.stdout and "run.py test" in done.stdout
