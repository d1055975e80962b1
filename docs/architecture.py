"""Draw docs/pictures/architecture.svg: the rooms of the package and the flow of data.

The rooms and the layers come from the import contract in pyproject.toml, their descriptions from
the first sentence of each docstring. Run it after a room is added, renamed or described otherwise:

    python docs/architecture.py
"""

import ast
import textwrap
import tomllib
from collections.abc import Iterator
from dataclasses import dataclass
from html import escape
from pathlib import Path

ROOT = Path(__file__).parents[1]
PICTURE = ROOT / "docs" / "pictures" / "architecture.svg"
PACKAGE = ROOT / "negclap"

WIDTH, MARGIN, GAP = 920, 12, 12
LINE, CHARACTER = 16, 6.3  # height of a line, width of a character, in pixels at font size 12
PLAIN = "#999999"
COLOURS = {  # Okabe-Ito, safe for the colour-blind
    "data": "#56B4E9",
    "text": "#E69F00",
    "models": "#009E73",
    "losses": "#D55E00",
    "training": "#D55E00",
    "evaluation": "#CC79A7",
    "search": "#0072B2",
}


@dataclass(frozen=True)
class Box:
    """A rectangle with a bold title and lines below it."""

    x: float
    y: float
    width: float
    height: float
    title: str
    lines: tuple[str, ...]
    colour: str

    def svg(self) -> Iterator[str]:
        """Yield the elements."""
        corner = f'x="{self.x:g}" y="{self.y:g}" width="{self.width:g}" height="{self.height:g}"'
        paint = f'fill="{self.colour}" fill-opacity="0.2" stroke="{self.colour}"'
        yield f'<rect {corner} rx="6" {paint}/>'
        middle = self.x + self.width / 2
        top = self.y + (self.height - LINE * len(self.lines)) / 2 + 4
        yield f'<text x="{middle:g}" y="{top:g}" font-weight="bold">{escape(self.title)}</text>'
        for number, line in enumerate(self.lines, start=1):
            yield f'<text x="{middle:g}" y="{top + LINE * number:g}">{escape(line)}</text>'


# The way of the data: place (column, row), module, title, lines.
STEPS: dict[str, tuple[float, float, str, str, tuple[str, ...]]] = {
    "manifest": (0, 0, "data.manifest", "manifest", ("tracks, captions,", "tags, absent tags")),
    "audio": (0, 1, "audio", "audio", ("files or shards,", "read by excerpt")),
    "text": (0, 2, "text", "text engine", ("negates captions,", "composes texts")),
    "dataset": (
        1,
        0.5,
        "data.dataset",
        "dataset",
        ("clip and texts from", "(seed, epoch, track)"),
    ),
    "batch": (1, 1.5, "data.batch", "batch", ("each text once,", "rows by role")),
    "audio encoder": (2, 0.5, "models.audio_encoders", "audio encoder", ("log-mel, network",)),
    "text encoder": (2, 1.5, "models.text_encoders", "text encoder", ("tokens, network",)),
    "joint space": (3, 1, "models.clap", "joint space", ("unit embeddings,", "cosine similarity")),
    "loss": (4, 0, "losses", "loss", ("weighted terms,", "over all processes")),
    "evaluation": (4, 1, "evaluation", "evaluation", ("an exam, scored with", "chance and oracle")),
    "search": (4, 2, "search", "search", ("an index of windows,", "ranked by a query")),
}
ARROWS = (
    ("manifest", "dataset"),
    ("audio", "dataset"),
    ("text", "dataset"),
    ("dataset", "batch"),
    ("batch", "audio encoder"),
    ("batch", "text encoder"),
    ("audio encoder", "joint space"),
    ("text encoder", "joint space"),
    ("joint space", "loss"),
    ("joint space", "evaluation"),
    ("joint space", "search"),
)


def layers() -> list[list[str]]:
    """Return the rooms by layer, the uppermost layer first, as the import contract has them."""
    contracts = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["importlinter"]
    (contract,) = (each for each in contracts["contracts"] if each["type"] == "layers")
    return [[name.strip() for name in layer.split(":")] for layer in contract["layers"]]


def source(module: str) -> Path:
    """Return the file of a module or package of negclap, "data.batch" for example.

    Raises:
        FileNotFoundError: If there is none.
    """
    path = PACKAGE.joinpath(*module.split("."))
    found = path / "__init__.py" if path.is_dir() else path.with_suffix(".py")
    if not found.is_file():
        raise FileNotFoundError(
            f"docs/architecture.py draws negclap.{module}, which does not exist"
        )
    return found


def description(room: str) -> str:
    """Return the first sentence of a room's docstring, without markup and its own name."""
    docstring = ast.get_docstring(ast.parse(source(room).read_text(encoding="utf-8"))) or ""
    sentence, _, _ = " ".join(docstring.split("\n\n")[0].split()).partition(". ")
    plain = sentence.rstrip(".").replace("`", "")
    _, repeated, rest = plain.partition(f"{room.capitalize()}: ")
    return rest.capitalize() if repeated else plain


def draw() -> str:
    """Return the picture as SVG; the same bytes for the same sources."""
    rooms, below = _rooms(62)
    steps = _steps(below + 70)
    bottom = max(box.y + box.height for box in steps.values()) + MARGIN
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {bottom:g}" '
        'font-family="sans-serif" font-size="12" text-anchor="middle" role="img" '
        'aria-label="The rooms of negclap by layer, and the flow of data through them">',
        '<defs><marker id="head" viewBox="0 0 10 10" refX="9" refY="5" markerWidth="7" '
        'markerHeight="7" orient="auto"><path d="M0,0 L10,5 L0,10 z" fill="#444"/></marker></defs>',
        f'<rect width="{WIDTH}" height="{bottom:g}" fill="white"/>',
        _heading(
            34,
            "Rooms: each may import its own layer and those below, never those above or in a cycle",
        ),
        *(line for box in rooms for line in box.svg()),
        _heading(below + 46, "The flow of data, in the colour of the room"),
        *(_arrow(steps[one], steps[other]) for one, other in ARROWS),
        *(line for box in steps.values() for line in box.svg()),
        "</svg>",
    ]
    return "\n".join(parts) + "\n"


def _heading(y: float, text: str) -> str:
    return f'<text x="{MARGIN}" y="{y:g}" font-size="16" text-anchor="start">{escape(text)}</text>'


def _rooms(y: float) -> tuple[list[Box], float]:
    """Lay out the layers from ``y`` downwards; return their boxes and where they end."""
    boxes: list[Box] = []
    for layer in layers():
        width = (WIDTH - 2 * MARGIN - GAP * (len(layer) - 1)) / len(layer)
        texts = [textwrap.wrap(description(room), int(width / CHARACTER)) for room in layer]
        height = LINE * (max(map(len, texts)) + 1) + 12
        for place, (room, lines) in enumerate(zip(layer, texts, strict=True)):
            x = MARGIN + place * (width + GAP)
            colour = COLOURS.get(room, PLAIN)
            boxes.append(Box(x, y, width, height, room, tuple(lines), colour))
        y += height + GAP
    return boxes, y - GAP


def _steps(y: float) -> dict[str, Box]:
    """Lay out the steps of the way below ``y``."""
    width, height = 148, 64
    across = (WIDTH - 2 * MARGIN - width) / 4
    boxes = {}
    for name, (column, row, module, title, lines) in STEPS.items():
        source(module)
        room = module.partition(".")[0]
        colour = COLOURS.get(room, PLAIN)
        corner = (MARGIN + column * across, y + row * (height + 30))
        boxes[name] = Box(*corner, width, height, title, lines, colour)
    return boxes


def _arrow(one: Box, other: Box) -> str:
    if one.x == other.x:
        middle = one.x + one.width / 2
        path = f"M{middle:g},{one.y + one.height:g} L{middle:g},{other.y:g}"
    else:
        x, y = one.x + one.width, one.y + one.height / 2
        to_y, bend = other.y + other.height / 2, (x + other.x) / 2
        path = f"M{x:g},{y:g} C{bend:g},{y:g} {bend:g},{to_y:g} {other.x:g},{to_y:g}"
    line = 'fill="none" stroke="#444" stroke-width="1.4" marker-end="url(#head)"'
    return f'<path d="{path}" {line}/>'


if __name__ == "__main__":
    PICTURE.write_text(draw(), encoding="utf-8")
