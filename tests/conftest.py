"""Fixtures for all tests."""

import os
import shutil
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from unittest import mock

import pytest
from hypothesis import settings

# whoever runs the tests keeps the preferences of their own napari
NAPARI_SETTINGS = tempfile.TemporaryDirectory(prefix="napari-settings-")
os.environ["NAPARI_CONFIG"] = str(Path(NAPARI_SETTINGS.name) / "settings.yaml")

# a busy machine is no failure
settings.register_profile("napari-runet", deadline=None)
settings.load_profile("napari-runet")


@pytest.hookimpl(wrapper=True)
def pytest_runtest_teardown() -> Iterator[None]:
    """After a test nobody is there to be asked whether what it left unfinished may be lost, as one that failed does."""
    asking = sys.modules.get("napari_runet.plugin.asking")
    if asking is None:
        return (yield)
    box = asking.QMessageBox
    with mock.patch.object(box, "question", lambda *_: box.StandardButton.Yes):
        return (yield)


@pytest.fixture(autouse=True)
def no_model_was_chosen_before() -> Iterator[None]:
    """What one test chooses is not what another begins with."""
    yield
    if "napari_runet.plugin.choices" in sys.modules:
        from napari.settings import get_plugin_settings

        get_plugin_settings("napari-runet").models.chosen = ""


@pytest.fixture(scope="session")
def tiny_models(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A user's data folder with two tiny, untrained models: "tiny" (colour) and "tiny-classes" (grey, two classes)."""
    import torch  # not at the top: tests of the panel shall be able to run without it

    from napari_runet.models.card import ClassInfo, ModelCard, NetworkConfig
    from napari_runet.models.weights import save_network
    from napari_runet.networks import build

    home = tmp_path_factory.mktemp("home")
    for name, channels, colors in (("tiny", 3, ["#ff2fd0"]), ("tiny-classes", 1, ["#4895ef", "#ffb703"])):
        torch.manual_seed(3)  # "tiny" marks about a tenth of a photograph with this seed
        network = NetworkConfig(in_channels=channels, classes=len(colors) + 1, base_channels=2, hidden_channels=4)
        classes = [ClassInfo(name="background", color="#000000")]
        classes += [ClassInfo(name=f"class {number}", color=color) for number, color in enumerate(colors, 1)]
        title = name.capitalize()
        card = ModelCard(id=name, title=title, sentence="For tests.", network=network, classes=tuple(classes))
        save_network(home / "models" / name, card, build(network))
    return home


@pytest.fixture
def own_home(tiny_models: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A user's data folder of one test alone, with the tiny models in it."""
    home = tmp_path / "home"
    shutil.copytree(tiny_models / "models", home / "models")
    monkeypatch.setenv("NAPARI_RUNET_HOME", str(home))
    return home


@pytest.fixture
def default_keys(monkeypatch: pytest.MonkeyPatch) -> None:
    """Our keys as the manifest gives them, whatever this user has set in napari's preferences."""
    from napari.settings import get_plugin_settings

    keys = get_plugin_settings("napari-runet").keys
    for name, field in type(keys).model_fields.items():
        monkeypatch.setattr(keys, name, field.default)
