"""Play notes on sampled instruments (SFZ), by the package pysfizz."""

import random
import tempfile
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import yaml

_RATE = 44_100
_BLOCK = 256
_TAIL_S = 2.0
INSTRUMENTS = Path(__file__).with_name("sfz.yaml")


@dataclass(frozen=True)
class Sampled:
    """An instrument of sfz.yaml; fields as there."""

    path: str
    octave: int = 0
    samples: str = ""
    control: str = ""


@cache
def read_instruments(group: str) -> dict[str, tuple[Sampled, ...]]:
    """Return the instruments of each part, for "train" or "test"."""
    parts = yaml.safe_load(INSTRUMENTS.read_text(encoding="utf-8"))[group]
    return {name: tuple(Sampled(**one) for one in several) for name, several in parts.items()}


def play_sampled(
    instrument: Sampled, folder: Path, notes: Iterable[Sequence[float]], tempo: float
) -> tuple[np.ndarray, int]:
    """Return the sound of notes, ``(samples,)``, and its rate.

    Args:
        instrument: The instrument.
        folder: The folder that its paths are relative to.
        notes: Onset and duration in beats, pitch and velocity.
        tempo: Beats per minute.

    Raises:
        RuntimeError: If the instrument is not found or cannot be loaded.
    """
    synth = _load(instrument, folder.absolute())
    beat = 60 / tempo * _RATE
    events = []
    for onset, duration, pitch, velocity in notes:
        key = int(pitch) + 12 * instrument.octave
        start = round(onset * beat)
        end = start + max(1, round(duration * beat))
        events += [(start, 1, key, int(velocity)), (end, 0, key, 0)]
    events.sort()
    blocks, now, place = [], 0, 0
    last = events[-1][0] + round(_TAIL_S * _RATE)
    while now < last:
        while place < len(events) and events[place][0] < now + _BLOCK:
            at, on, key, velocity = events[place]
            change = synth.note_on if on else synth.note_off
            change(at - now, key, velocity)
            place += 1
        blocks.append(np.mean(synth.render_block(), axis=0))
        now += _BLOCK
    return np.concatenate(blocks).astype(np.float32), _RATE


def _load(instrument: Sampled, folder: Path) -> Any:
    """Return a new synthesizer; its random choices go on where the process's last ones ended."""
    from pysfizz import _sfizz

    synth = _sfizz.Synth(_RATE, _BLOCK)
    synth.enable_freewheeling()  # waits for samples from disk
    path = folder / instrument.path
    if not path.is_file():
        raise RuntimeError(f"{path}: not found")
    samples = folder / instrument.samples if instrument.samples else path.parent
    # Whole samples in memory: else notes end early where the disk is too slow.
    settings = f"<control>\ndefault_path={samples}/ hint_ram_based=1 {instrument.control}\n"
    text = path.read_text(encoding="utf-8")
    # Another control section would undo the settings.
    text = text.replace("<control>", settings, 1) if "<control>" in text else settings + text
    with tempfile.TemporaryDirectory() as temporary:
        own = Path(temporary) / "instrument.sfz"
        own.write_text(text, encoding="utf-8")
        if not synth.load_sfz_file(str(own)) or not synth.get_num_regions():
            raise RuntimeError(f"{path}: cannot be loaded as SFZ")
        return synth


def choose(name: str, group: str, share: float, rng: random.Random) -> Sampled | None:
    """Draw a sampled instrument for a part, with probability ``share`` if there is one."""
    found = read_instruments(group).get(name, ())
    return rng.choice(found) if found and rng.random() < share else None
