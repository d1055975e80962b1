"""The key of a study: all trials with their correct answers; raters never get it."""

import json
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal

from negclap.errors import InputError
from negclap.storage import write_json
from negclap.text.compose import Claim
from negclap.text.probes import Level

KEY = "key.json"
PAGE = "page"
"""The folder for the raters."""

Side = Literal["A", "B"]
SIDES: tuple[Side, Side] = ("A", "B")


@dataclass(frozen=True, slots=True)
class Clip:
    """One of the two clips of a trial.

    Attributes:
        file: Audio file, relative to the page.
        track_id: Track that the clip is taken from.
        seconds: Duration.
        fit: Share of the text's claims that are true of the clip.
    """

    file: str
    track_id: str
    seconds: float
    fit: float


@dataclass(frozen=True, slots=True)
class Trial:
    """A text, two clips, and which of them fits the text better.

    Attributes:
        number: Number of the trial on the page, from 1.
        text: The text.
        claims: Each tag that the text mentions, and whether the text claims it present.
        level: The text's negation level; None for an attention check.
        check: Number of the attention check, which appears twice with its sides swapped; None for
            other trials.
        truth: The side that fits better.
        assumed: Whether an absent tag of one of the clips is only assumed.
        clips: Left (A) and right (B) clip.
        similarities: By model, the cosine of the text with A and with B.
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
        """Duration of both clips together."""
        return self.clips[0].seconds + self.clips[1].seconds


@dataclass(frozen=True, slots=True)
class Study:
    """A complete study.

    Attributes:
        name: Identifies the study in the raters' answers.
        made_of: The settings that the study was packed with.
        models: Names of the models.
        trials: All trials, attention checks included.
    """

    name: str
    made_of: dict[str, Any]
    models: tuple[str, ...]
    trials: tuple[Trial, ...]

    def write(self, path: Path) -> None:
        """Write the key."""
        write_json(path, asdict(self))

    @classmethod
    def read(cls, folder: Path) -> "Study":
        """Read the key in a folder that ``negclap listening pack`` wrote.

        Raises:
            InputError: If the folder has no key or a damaged one.
        """
        path = folder / KEY
        try:
            data = json.loads(path.read_text(encoding="utf-8"))
            trials = tuple(_trial(entry) for entry in data["trials"])
            return cls(data["name"], data["made_of"], tuple(data["models"]), trials)
        except FileNotFoundError:
            raise InputError(
                f"{path}: no such file; give the folder that negclap listening pack wrote"
            ) from None
        except (ValueError, KeyError, TypeError) as error:
            raise InputError(f"{path}: not the key of a study ({error!r})") from None


def _trial(entry: dict[str, Any]) -> Trial:
    first, second = (Clip(**clip) for clip in entry["clips"])
    claims = tuple((tag, bool(present)) for tag, present in entry["claims"])
    similarities = {name: (a, b) for name, (a, b) in entry["similarities"].items()}
    return Trial(
        **(entry | {"claims": claims, "clips": (first, second), "similarities": similarities})
    )
