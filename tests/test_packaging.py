"""What is built is what people need: real files, metadata, manifest."""

import email
import subprocess
import sys
import tarfile
import zipfile
from pathlib import Path

import pytest
from npe2 import PluginManifest

ROOT = Path(__file__).parents[1]
PACKAGE = ROOT / "src" / "napari_runet"


@pytest.fixture(scope="module")
def built(tmp_path_factory):
    """Folder with the wheel, made from the sdist as installers make it, and the sdist."""
    folder = tmp_path_factory.mktemp("dist")
    # hatchling is in the environment already, so nothing is fetched
    command = [sys.executable, "-m", "build", "--no-isolation", "--outdir", folder, ROOT]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return folder


@pytest.fixture(scope="module")
def wheel(built):
    [path] = built.glob("*.whl")
    with zipfile.ZipFile(path) as archive:
        yield archive


def models():
    """Ids of the models in the package."""
    return sorted(card.parent.name for card in (PACKAGE / "weights").glob("*/card.json"))


def metadata(wheel):
    [name] = [name for name in wheel.namelist() if name.endswith(".dist-info/METADATA")]
    return email.message_from_bytes(wheel.read(name))


@pytest.mark.parametrize("name", ["napari.yaml", "weights"])
def test_a_link_at_the_top_leads_into_the_package(name):
    if not (ROOT / name).is_symlink():
        pytest.skip("links are not supported in this checkout")
    assert (ROOT / name).resolve() == (PACKAGE / name).resolve()
    assert (PACKAGE / name).exists() and not (PACKAGE / name).is_symlink()


def test_the_wheel_holds_manifest_and_models_as_real_files(wheel):
    assert wheel.read("napari_runet/napari.yaml") == (PACKAGE / "napari.yaml").read_bytes()
    assert "napari_runet/py.typed" in wheel.namelist()
    for model in models():
        for file in ("card.json", "model.safetensors"):
            inside = f"napari_runet/weights/{model}/{file}"
            assert wheel.read(inside) == (PACKAGE / "weights" / model / file).read_bytes()


def test_the_wheel_holds_nothing_but_the_package(wheel):
    tops = {name.split("/")[0] for name in wheel.namelist()}
    assert {top for top in tops if not top.endswith(".dist-info")} == {"napari_runet"}
    assert not [name for name in wheel.namelist() if "__pycache__" in name]


def test_the_sdist_has_the_real_files_and_not_the_links(built):
    [path] = built.glob("*.tar.gz")
    with tarfile.open(path) as archive:
        members = {member.name.split("/", 1)[1]: member for member in archive if "/" in member.name}
    assert "napari.yaml" not in members
    assert not [name for name in members if name == "weights" or name.startswith("weights/")]
    assert members["src/napari_runet/napari.yaml"].isfile()
    for model in models():
        assert members[f"src/napari_runet/weights/{model}/model.safetensors"].size > 100_000
    assert not [name for name, member in members.items() if member.issym() or member.islnk()]


def test_the_metadata_tells_napari_and_the_index_what_they_ask_for(wheel):
    told = metadata(wheel)
    assert told["Name"] == "napari-runet"
    assert told["License-Expression"] == "BSD-3-Clause" and told["License-File"] == "LICENSE"
    assert "Framework :: napari" in told.get_all("Classifier")
    assert {entry.split(",")[0] for entry in told.get_all("Project-URL")} >= {"Homepage", "Bug Tracker", "Source Code"}
    base = [need for need in told.get_all("Requires-Dist") if "extra ==" not in need]
    assert not [need for need in base if need.lower().startswith(("pyqt5", "pyqt6", "pyside"))]
    assert not [need for need in base if "<" in need.split(";")[0]], "no upper bounds"
    assert told["Requires-Python"] == ">=3.11"


def test_twine_accepts_both(built):
    command = [sys.executable, "-m", "twine", "check", "--strict", *map(str, built.iterdir())]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


def test_the_manifest_is_valid_and_every_command_can_be_imported():
    manifest = PluginManifest.from_file(PACKAGE / "napari.yaml")
    manifest.validate_imports()
    assert manifest.name == "napari-runet"
    assert [sample.key for sample in manifest.contributions.sample_data] == [
        "retina",
        "roads",
        "hands",
        "retina_photograph",
    ]
