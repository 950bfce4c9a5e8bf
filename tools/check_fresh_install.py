"""Build the project, install it as a user would, and see that it works: ``python tools/check_fresh_install.py``.

For each Qt binding a new virtual environment gets the wheel and that binding, nothing else; there it opens every
sample and the panel, runs the plugin's menu commands, and makes a mask. The sdist is installed into a further one
without dependencies, and its files compared with the wheel's. Takes several minutes and gigabytes of disk, so it is
no part of the tests. Needs a display, or xvfb-run.
"""

import argparse
import os
import subprocess
import sys
import tempfile
import textwrap
import zipfile
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
XVFB = ["xvfb-run", "-a", "-s", "-screen 0 1400x1000x24"]

PROBE = textwrap.dedent("""
    import sys, time
    import napari, npe2, qtpy
    from napari.qt import get_qapp

    def wait(until, seconds):
        end = time.monotonic() + seconds
        while time.monotonic() < end and not until():
            get_qapp().processEvents()
            time.sleep(0.01)

    manager = npe2.PluginManager.instance()
    manager.discover()
    manifest = manager.get_manifest("napari-runet")
    viewer = napari.Viewer()
    for key in ("roads", "hands", "retina"):
        assert viewer.open_sample("napari-runet", key), key
    menus = manifest.contributions.menus
    assert "napari/layers/segment" in menus, menus
    from napari._app_model import get_app_model
    commands = [c.id for c in manifest.contributions.commands]
    registered = dict(get_app_model().commands)
    for command in commands:
        assert command in registered or command in [s.command for s in manifest.contributions.sample_data], command
    _, panel = viewer.window.add_plugin_dock_widget("napari-runet", "Recurrent U-Net")
    wait(lambda: False, 1)
    models = [model.card.id for model in panel.session.models]
    assert "retina" in models, models
    panel.choices.choose_model(panel.session.models[models.index("retina")])
    assert panel.segment_now(), panel.session.obstacle
    wait(lambda: panel.session.activity.stage == "idle", 300)
    assert panel.session.notice.kind != "error", panel.session.notice.text
    masks = [layer for layer in viewer.layers if "iteration" in layer.name]
    assert masks and masks[-1].data.any(), viewer.layers
    assert "torch" not in sys.modules
    viewer.close()
    print(f"works under {qtpy.API_NAME} {qtpy.QT_VERSION}: models {models}, {len(masks)} iterations")
""")


def run(command: list[str], *, shown: bool = False, **environment: str) -> None:
    """Run a command outside the checkout; show what it printed when asked or when it fails, and then stop."""
    done = subprocess.run(
        command,
        cwd=tempfile.gettempdir(),
        env={**os.environ, **environment},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
    )
    if done.returncode or shown:
        print(done.stdout.strip(), flush=True)
    if done.returncode:
        sys.exit(f"failed: {' '.join(command[:6])}")


def make_environment(folder: Path) -> str:
    """A new virtual environment; returns its python."""
    run([sys.executable, "-m", "venv", str(folder)])
    return str(folder / ("Scripts/python.exe" if os.name == "nt" else "bin/python"))


def main() -> None:
    """Build, install, probe."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--qt", nargs="+", default=["PyQt6", "PySide6"], choices=["PyQt6", "PySide6"])
    parser.add_argument("--constraints", type=Path, help="exact versions for pip")
    arguments = parser.parse_args()
    pins = ["-c", str(arguments.constraints.resolve())] if arguments.constraints else []
    screen = [] if os.environ.get("DISPLAY") or not sys.platform.startswith("linux") else XVFB
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        run([sys.executable, "-m", "build", "--outdir", str(folder), str(ROOT)])
        [wheel], [sdist] = folder.glob("*.whl"), folder.glob("*.tar.gz")
        plain = make_environment(folder / "sdist")
        run([plain, "-m", "pip", "install", "-q", "--no-deps", str(sdist)])
        with zipfile.ZipFile(wheel) as archive:
            wanted = sorted(entry for entry in archive.namelist() if not entry.split("/")[0].endswith(".dist-info"))
        site = next((folder / "sdist").rglob("site-packages"))
        missing = [entry for entry in wanted if not (site / entry).exists()]
        if missing:
            sys.exit(f"the sdist installs without {missing}")
        print(f"the sdist installs the same {len(wanted)} files as the wheel", flush=True)
        for binding in arguments.qt:
            python = make_environment(folder / binding)
            # the exact pins of PyQt6 do not matter to PySide6
            run([python, "-m", "pip", "install", "-q", *pins, str(wheel), f"napari[{binding.lower()}]"])
            run([*screen, python, "-c", PROBE], shown=True, QT_API=binding.lower())


if __name__ == "__main__":
    main()
