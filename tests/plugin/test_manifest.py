from importlib import import_module
from pathlib import Path

import npe2
import pytest

import napari_runet

ROOT = Path(__file__).parents[2]


@pytest.fixture
def manifest() -> npe2.PluginManifest:
    return npe2.PluginManifest.from_file(Path(napari_runet.__file__).parent / "napari.yaml")


def test_every_command_can_be_called(manifest: npe2.PluginManifest) -> None:
    for command in manifest.contributions.commands:
        module, name = command.python_name.split(":")
        assert callable(getattr(import_module(module), name)), command.id


def test_menus_samples_and_panel_are_where_people_look(manifest: npe2.PluginManifest) -> None:
    contributions = manifest.contributions
    assert [widget.display_name for widget in contributions.widgets] == ["Recurrent U-Net"]
    names = [sample.display_name for sample in contributions.sample_data]
    assert names == ["retina", "roads", "hands", "Retina (photograph)"]
    assert [item.submenu for item in contributions.menus["napari/layers/segment"]] == ["napari-runet/segment"]
    titles = {command.id: command.title for command in contributions.commands}
    items = [titles[item.command] for item in contributions.menus["napari-runet/segment"]]
    assert items == ["Segment this image", "Segment all open images", "Segment a folder"]


def test_keys_are_free_and_each_is_used_once(manifest: npe2.PluginManifest) -> None:
    from napari.utils.shortcuts import default_shortcuts

    taken = {str(key) for keys in default_shortcuts.values() for key in keys}
    ours = [item.default for item in manifest.contributions.configurations["keys"].properties.values()]
    assert len(set(ours)) == len(ours)
    assert not taken & {key.replace("Shift-", "Shift+") for key in ours}


@pytest.mark.parametrize("name", ["napari.yaml", "weights"])
def test_links_at_the_top_lead_to_the_package(name: str) -> None:
    link = ROOT / name
    if not link.is_symlink():
        pytest.skip("links are not supported in this checkout")
    assert link.resolve() == Path(napari_runet.__file__).parent / name
