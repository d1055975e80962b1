"""docs/pictures/architecture.svg shows the rooms as they are."""

import runpy
import xml.etree.ElementTree as ET
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
FLAT = {"__init__"}


@pytest.fixture(scope="module")
def script():
    return runpy.run_path(str(ROOT / "docs" / "architecture.py"))


def test_every_room_is_in_a_layer(script):
    modules = {path.stem for path in (ROOT / "negclap").glob("*.py")} - FLAT
    packages = {path.parent.name for path in (ROOT / "negclap").glob("*/__init__.py")}
    assert {room for layer in script["layers"]() for room in layer} == modules | packages


def test_every_room_is_described(script):
    for layer in script["layers"]():
        for room in layer:
            assert script["description"](room), f"negclap.{room} has no docstring"


def test_the_picture_is_up_to_date(script):
    committed = (ROOT / "docs" / "pictures" / "architecture.svg").read_text(encoding="utf-8")
    assert committed == script["draw"](), "run: python docs/architecture.py"


def test_the_picture_is_well_formed(script):
    texts = {element.text for element in ET.fromstring(script["draw"]()).iter() if element.text}
    assert {"training", "evaluation", "joint space"} <= texts


def test_a_step_without_a_module_is_an_error(script):
    with pytest.raises(FileNotFoundError, match=r"negclap\.nowhere"):
        script["source"]("nowhere")
