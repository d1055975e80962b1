"""What a study asks, and the truth about it, which stays outside of what raters get."""

import json
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal

from negclap.errors import InputError
from negclap.evaluation.results import write_json
from negclap.text.compose import Claim
from negclap.text.probes import Level

KEY = "key.json"
PAGE = "page"
"""The folder that raters get."""

Side = Literal["A", "B"]
SIDES: tuple[Side, Side] = ("A", "B")


@dataclass(frozen=True, slots=True)
class Clip:
    """One of the two clips of a trial.

    Attributes:
        file: Its audio, relative to the page.
        track_id: Whose it is.
        seconds: How long it lasts.
        fit: Share of the text's claims that are true of it.
    """

    file: str
    track_id: str
    seconds: float
    fit: float


@dataclass(frozen=True, slots=True)
class Trial:
    """A text, two clips, and which of them fits the text better.

    Attributes:
        number: What the page calls it, from 1 on.
        text: The text.
        claims: Each tag that the text mentions, and whether it says that the clip has it.
        level: The text's negation level; None for an attention check.
        check: Number of the attention check, asked twice with its sides swapped; else None.
        truth: The side that fits better.
        assumed: Whether what one of the clips lacks was only assumed.
        clips: Left (A) and right (B).
        similarities: By model, the text's cosine to A and to B.
    """

    number: int
    text: str
    claims: tuple[Claim, ...]
    level: Level | None
    check: int | None
    truth: Side
    assumed: bool
    clips: tuple[Clip, Clip]
    similarities: dict[str, tuple[float, float]]

    @property
    def seconds(self) -> float:
        """How long both clips last together."""
        return self.clips[0].seconds + self.clips[1].seconds


@dataclass(frozen=True, slots=True)
class Study:
    """All trials; ``name`` tells this study's answers from others', ``made_of`` says of what."""

    name: str
    made_of: dict[str, Any]
    models: tuple[str, ...]
    trials: tuple[Trial, ...]

    def write(self, path: Path) -> None:
        """Write the key."""
        write_json(path, asdict(self))

    @classmethod
    def read(cls, folder: Path) -> "Study":
        """The key of a folder that ``negclap listening pack`` wrote.

        Raises:
            InputError: If it holds none, or a broken one.
        """
        path = folder / KEY
        try:
            data = json.loads(path.read_text(encoding="utf-8"))
            trials = tuple(_trial(entry) for entry in data["trials"])
            return cls(data["name"], data["made_of"], tuple(data["models"]), trials)
        except FileNotFoundError:
            raise InputError(f"{path}: no key there; name what listening pack wrote") from None
        except (ValueError, KeyError, TypeError) as error:
            raise InputError(f"{path}: not the key of a study ({error!r})") from None


def _trial(entry: dict[str, Any]) -> Trial:
    first, second = (Clip(**clip) for clip in entry["clips"])
    claims = tuple((tag, bool(present)) for tag, present in entry["claims"])
    similarities = {name: (a, b) for name, (a, b) in entry["similarities"].items()}
    return Trial(
        **(entry | {"claims": claims, "clips": (first, second), "similarities": similarities})
    )
