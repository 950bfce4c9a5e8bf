#!/usr/bin/env python3
"""The project's two commands, from a fresh checkout on a fresh machine.

::

    python3 run.py demo [ARGUMENT ...]    open napari with a sample and segment it
    python3 run.py test [ARGUMENT ...]    run every check; the arguments go to pytest

Both first set everything up: what the system lacks is named (and installed, as root on Debian), and a virtual
environment is made in .venv. This file needs Python's standard library alone.
"""

import ctypes
import hashlib
import importlib.util
import os
import shutil
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

ROOT = Path(__file__).resolve().parent
VENV = ROOT / ".venv"
OLDEST_PYTHON = (3, 11)
EXTRA = "test"
XVFB = ("xvfb-run", "-a", "-s", "-screen 0 1400x1000x24")

# What Qt loads on Linux beyond what every system has, and the Debian package it comes in.
LIBRARIES = {
    "libEGL.so.1": "libegl1",
    "libGL.so.1": "libgl1",
    "libglib-2.0.so.0": "libglib2.0-0",
    "libfontconfig.so.1": "libfontconfig1",
    "libdbus-1.so.3": "libdbus-1-3",
    "libxkbcommon-x11.so.0": "libxkbcommon-x11-0",
    "libxcb-cursor.so.0": "libxcb-cursor0",
    "libxcb-icccm.so.4": "libxcb-icccm4",
    "libxcb-keysyms.so.1": "libxcb-keysyms1",
    "libxcb-shape.so.0": "libxcb-shape0",
}
# What xvfb-run calls; xvfb only recommends xauth.
SCREEN_PROGRAMS = {"xvfb-run": "xvfb", "Xvfb": "xvfb", "xauth": "xauth"}


class SetupError(Exception):
    """Something is missing that this program cannot provide; the message says what and what to do."""


def say(text: str) -> None:
    """Print at once, so that lines of this program and of those it starts stay in order."""
    print(text, flush=True)


def has_screen(environment: Mapping[str, str], platform: str = sys.platform) -> bool:
    """Whether windows can be shown: always, except on a Linux without X or Wayland."""
    return not platform.startswith("linux") or bool(environment.get("DISPLAY") or environment.get("WAYLAND_DISPLAY"))


def on_screen(command: Sequence[str], screen: bool) -> list[str]:
    """The command, under a virtual screen where there is no real one."""
    return list(command) if screen else [*XVFB, *command]


def demo_arguments(arguments: Sequence[str], screen: bool, picture: Path) -> list[str]:
    """The demo's arguments; where nobody could see the window it writes a picture instead."""
    asked = any(word == "--help" or word.split("=")[0] == "--screenshot" for word in arguments)
    return list(arguments) if screen or asked else [*arguments, "--screenshot", str(picture)]


def stamp_of(root: Path) -> str:
    """A hash of what the environment is installed from, so that it is installed anew when that changes."""
    digest = hashlib.sha256()
    for name in ("pyproject.toml", "constraints.txt"):
        digest.update((root / name).read_bytes())
    return digest.hexdigest()


def venv_program(name: str) -> str:
    """Path of a program of the virtual environment."""
    folder = VENV / ("Scripts" if os.name == "nt" else "bin")
    return str(folder / (f"{name}.exe" if os.name == "nt" else name))


def loads(library: str) -> bool:
    """Whether the dynamic linker finds a library."""
    try:
        ctypes.CDLL(library)
    except OSError:
        return False
    return True


def missing_packages(screen: bool) -> list[str]:
    """Debian names of what this system lacks; nothing but python3-venv is asked for outside Linux."""
    # an environment of whatever origin will do, so venv is needed only where there is none
    missing = [] if Path(venv_program("python")).exists() or importlib.util.find_spec("ensurepip") else ["python3-venv"]
    if sys.platform.startswith("linux"):
        missing += [package for library, package in LIBRARIES.items() if not loads(library)]
        if not screen:
            missing += [package for program, package in SCREEN_PROGRAMS.items() if shutil.which(program) is None]
    return list(dict.fromkeys(missing))


def provide_packages(screen: bool) -> None:
    """Name what the system lacks, and install it as root on Debian; raise SetupError where that cannot be."""
    missing = missing_packages(screen)
    if not missing:
        return
    say(f"This system lacks: {' '.join(missing)}")
    install = ["apt-get", "install", "-y", "--no-install-recommends", *missing]
    if shutil.which("apt-get") is None:
        raise SetupError("Install what these Debian packages hold with your system's package manager.")
    if os.geteuid() != 0:
        raise SetupError(f"Install it with: sudo apt-get update && sudo {' '.join(install)}")
    quiet(["apt-get", "update"], "Reading Debian's list of packages failed.")
    quiet(install, "Installing them failed.", DEBIAN_FRONTEND="noninteractive")
    importlib.invalidate_caches()
    still = missing_packages(screen)
    if still:
        raise SetupError(f"They were installed, but these still cannot be used: {' '.join(still)}")


def quiet(command: Sequence[str], failure: str, **environment: str) -> None:
    """Run a command, showing what it printed only when it fails."""
    done = subprocess.run(
        command,
        cwd=ROOT,
        env={**os.environ, **environment},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        errors="replace",
        check=False,
    )
    if done.returncode:
        say(done.stdout)
        raise SetupError(f"{failure} The command was: {' '.join(command)}")


def provide_environment() -> None:
    """Make or refresh .venv, unless it was made from just these files."""
    stamp, wanted = VENV / "made-from.txt", stamp_of(ROOT)
    usable = Path(venv_program("python")).exists()
    if usable and stamp.exists() and stamp.read_text() == wanted:
        return
    if not usable:
        say("Making .venv ...")
        quiet([sys.executable, "-m", "venv", "--clear", str(VENV)], "The virtual environment cannot be made.")
    say("Installing into .venv (a few minutes and 2 GB the first time) ...")
    stamp.unlink(missing_ok=True)  # an interrupted installation is begun again
    quiet(
        [venv_program("python"), "-m", "pip", "install", "-q", "-c", "constraints.txt", "-e", f".[{EXTRA}]"],
        "The installation failed.",
    )
    stamp.write_text(wanted)


def run(command: Sequence[str]) -> int:
    """Run a command in the project's folder, showing what it prints, and return its exit status."""
    return subprocess.run(command, cwd=ROOT, check=False).returncode


def demo(arguments: Sequence[str], screen: bool) -> int:
    """Open the demo; with no screen, write a picture of it and say where."""
    picture = ROOT / "demo.png"
    chosen = demo_arguments(arguments, screen, picture)
    status = run(on_screen([venv_program("napari-runet"), "demo", *chosen], screen))
    if status == 0 and len(chosen) > len(arguments):
        say(f"There is no screen here, so the window was saved as {picture}")
    return status


def test(arguments: Sequence[str], screen: bool) -> int:
    """Run every check, the tests last; 0 when all passed."""
    checks = {
        "ruff": [venv_program("ruff"), "check", "."],
        "ruff format": [venv_program("ruff"), "format", "--check", "."],
        "mypy": [venv_program("mypy")],
        "import-linter": [venv_program("lint-imports")],
        "npe2": [venv_program("npe2"), "validate", "napari-runet"],
    }
    failed = []
    for name, command in checks.items():
        say(f"-- {name}")
        if run(command):
            failed.append(name)
    say("-- pytest")
    status = run(on_screen([venv_program("python"), "-m", "pytest", *arguments], screen))
    if failed:
        say(f"These checks failed before the tests: {', '.join(failed)}")
    return status or int(bool(failed))


def main(arguments: Sequence[str]) -> int:
    """Carry out one of the two commands."""
    commands = {"demo": demo, "test": test}
    if not arguments or arguments[0] not in commands:
        say(__doc__ or "")
        return 0 if arguments and arguments[0] in ("-h", "--help") else 2
    if sys.version_info < OLDEST_PYTHON:
        say(f"Python {'.'.join(map(str, OLDEST_PYTHON))} or newer is needed; this is {sys.version.split()[0]}.")
        return 2
    screen = has_screen(os.environ)
    try:
        provide_packages(screen)
        provide_environment()
    except SetupError as error:
        say(str(error))
        return 2
    return commands[arguments[0]](arguments[1:], screen)


if __name__ == "__main__":
    try:
        sys.exit(main(sys.argv[1:]))
    except KeyboardInterrupt:
        sys.exit(130)
