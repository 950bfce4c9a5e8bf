"""The pages that are written by programs are those that the programs write now."""

import json
import runpy
from pathlib import Path

import pytest

from napari_runet.models.store import ModelStore, read_card, shipped_folder

DOCS = Path(__file__).parents[1] / "docs"
SHIPPED = [model.card.id for model in ModelStore().models() if model.shipped]


@pytest.mark.parametrize("name", SHIPPED)
def test_the_page_of_a_model_says_what_its_card_says(name):
    write = runpy.run_path(str(DOCS / "make_model_pages.py"))["page"]
    figures = json.loads((DOCS / "results" / f"{name}-test.json").read_text())
    card = read_card(shipped_folder() / name)
    assert figures["sha256"] == card.sha256
    drawn = json.loads((DOCS / "models" / f"{name}-drawn.json").read_text())
    found = DOCS / "results" / f"{name}-pixel-size-val.json"
    sizes = json.loads(found.read_text()) if found.exists() else {}
    test_time = json.loads((DOCS / "results" / "test-time-val.json").read_text())["models"].get(name, {})
    assert (DOCS / "models" / f"{name}.md").read_text() == "\n".join(
        write(card, figures, drawn, sizes, test_time)
    ) + "\n"


def test_the_page_of_the_table_is_drawn_from_its_cells():
    write = runpy.run_path(str(DOCS.parent / "benchmarks" / "paper_page.py"))["page"]
    assert (DOCS / "table.md").read_text() == "\n".join(write()) + "\n"
