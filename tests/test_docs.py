"""The pages that are written by programs are those that the programs write now."""

import runpy
from pathlib import Path

import pytest

from napari_runet.models.store import ModelStore

DOCS = Path(__file__).parents[1] / "docs"
SHIPPED = [model.card.id for model in ModelStore().models() if model.shipped]


@pytest.mark.parametrize("name", SHIPPED)
def test_the_page_of_a_model_says_what_its_card_says(name):
    lines_of = runpy.run_path(str(DOCS / "make_model_pages.py"))["lines_of"]
    assert (DOCS / "models" / f"{name}.md").read_text() == "\n".join(lines_of(name)) + "\n"


def test_the_page_of_the_table_is_drawn_from_its_cells():
    write = runpy.run_path(str(DOCS.parent / "benchmarks" / "paper_page.py"))["page"]
    assert (DOCS / "table.md").read_text() == "\n".join(write()) + "\n"
