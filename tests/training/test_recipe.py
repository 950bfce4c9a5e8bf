"""Recipes: the shipped ones and the table's are valid, and what is wrong in one is said in a sentence."""

from pathlib import Path

import pytest

from napari_runet.models.card import ClassInfo, NetworkConfig
from napari_runet.training.augmentation import Augmentation
from napari_runet.training.recipe import Recipe, RecipeError, read_recipe, table_recipes


def test_recipes_that_cannot_be_used(tmp_path):
    path = tmp_path / "recipe.toml"
    with pytest.raises(RecipeError, match="cannot be read"):
        read_recipe(path)
    path.write_bytes('title = "B\xe4ume"'.encode("latin-1"))
    with pytest.raises(RecipeError, match="not valid TOML"):
        read_recipe(path)
    path.write_text("id = [")
    with pytest.raises(RecipeError, match="not valid TOML"):
        read_recipe(path)
    classes = 'classes = [{ name = "b", color = "#000000" }, { name = "c", color = "#000000" }]\n'
    start = f'id = "a"\ntitle = "A"\nsentence = "s"\ntraining_steps = 1\n{classes}'
    for more, says in {
        "wings = 2": "has the key 'wings', which is not known",
        "batch_size = 0": "batch_size: Input should be greater than 0",
        'precision = "bfloat16"': "precision: Input should be 'float32' or 'auto'",
        '[network]\nname = "dru-9"': "no network called 'dru-9'",
        "[network]\nclasses = 5": "2 classes are named, but the network has 5",
        "[augmentation]\nwings = 2": r"the key 'augmentation\.wings'",
    }.items():
        path.write_text(start + more)
        with pytest.raises(RecipeError, match=says):
            read_recipe(path)
    path.write_text(start)
    assert read_recipe(path).network.classes == 2


def test_the_network_tells_apart_the_classes_that_are_named():
    classes = [ClassInfo(name=str(k), color="#000000").model_dump() for k in range(19)]
    fields = {"id": "a", "title": "A", "sentence": "S.", "training_steps": 1}
    plan = Recipe.model_validate({**fields, "classes": classes, "network": {"base_channels": 2}})
    assert plan.network.classes == 19


def test_there_is_a_recipe_for_every_row_of_the_table_and_all_are_trained_alike():
    from napari_runet.networks import NETWORK_NAMES

    recipes = {name: read_recipe(path) for name, path in table_recipes().items()}
    assert set(recipes) == set(NETWORK_NAMES)
    assert all(plan.network.name == plan.id == name for name, plan in recipes.items())
    light = [plan for name, plan in recipes.items() if "16" not in name and "50" not in name]
    same = {"training_steps", "batch_size", "crop_size", "learning_rate", "augmentation", "validate_every", "alpha"}
    assert len({plan.model_dump_json(include=same) for plan in light}) == 1


def test_shipped_recipes_are_valid():
    from napari_runet.models.store import shipped_folder

    paths = sorted(shipped_folder().glob("*/recipe.toml"))
    assert [read_recipe(path).id for path in paths] == [path.parent.name for path in paths]
    assert len(paths) >= 3


def test_the_page_on_training_shows_a_valid_recipe_and_names_every_key(tmp_path):
    text = (Path(__file__).parents[2] / "docs" / "training.md").read_text()
    (tmp_path / "recipe.toml").write_text(text.partition("```toml")[2].partition("```")[0])
    assert read_recipe(tmp_path / "recipe.toml").network.name == "dru-4"
    for part in (Recipe, Augmentation, NetworkConfig):
        missing = [key for key in part.model_fields if f"`{key}`" not in text and f"\n{key} = " not in text]
        assert not missing, part
