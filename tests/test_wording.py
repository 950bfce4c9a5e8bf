import pytest

from napari_runet.wording import counted


@pytest.mark.parametrize(("count", "text"), [(0, "0 pixels"), (1, "1 pixel"), (2, "2 pixels")])
def test_a_noun_agrees_with_its_number(count, text):
    assert counted(count, "pixel") == text
