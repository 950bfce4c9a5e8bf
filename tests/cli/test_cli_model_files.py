"""Models as files, by command."""

import shutil

import pytest
from typer.testing import CliRunner

from napari_runet.cli import app


@pytest.fixture
def mine(models_home, tiny_models):
    shutil.copytree(tiny_models / "models" / "tiny", models_home / "tiny")
    return models_home


def call(*arguments, **options):
    return CliRunner().invoke(app, ["models", *map(str, arguments)], **options)


def test_a_model_is_packed_removed_added_again_and_renamed(mine, tmp_path):
    assert call("export", "tiny", tmp_path / "tiny.zip").exit_code == 0
    assert call("remove", "tiny", input="n\n").exit_code == 1 and (mine / "tiny").exists()
    assert call("remove", "tiny", "--yes").exit_code == 0 and not (mine / "tiny").exists()
    assert call("import", tmp_path / "tiny.zip", "--as", "again").exit_code == 0
    assert call("rename", "again", "last", "--title", "The last").exit_code == 0
    assert "last" in call("list").stdout and "The last" in call("show", "last").stdout


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["remove", "retina", "--yes"], "not among your models"),
        (["rename", "retina", "mine"], "not among your models"),
        (["rename", "tiny", "retina"], "already"),
        (["import", "nowhere.zip"], "There is no file nowhere.zip"),
        (["import", "."], "There is no file ."),
        (["export", "tiny", "nowhere/x.zip"], "nowhere/x.zip cannot be written: its folder does not exist"),
        (["export", "nobody", "x.zip"], "no model called"),
        (["remove", "nobody", "--yes"], "no model called"),
    ],
)
def test_refusals_are_sentences_and_change_nothing(mine, arguments, says):
    before = sorted(mine.rglob("*"))
    result = call(*arguments)
    assert result.exit_code == 1 and says in result.output and "Traceback" not in result.output
    assert sorted(mine.rglob("*")) == before
