"""List everything that `make built-in` reads: source, artist, title, licence, hash.

    python experiments/built_in/ledger.py STEMS      # the folder that negclap prepare stems read

Writes ledger.json. Material of OFF_LIMITS is refused: songs of test sets, also inside other sets.
"""

import argparse
import hashlib
import json
from pathlib import Path
from typing import Any

import yaml

from negclap.data.stems.layouts import SUFFIXES
from negclap.errors import InputError

HERE = Path(__file__).parent
LEDGER = HERE / "ledger.json"
OFF_LIMITS = (
    *("musicdelta", "mdbdrums", "ultrastar", "jamendolyrics", "waveunet", "philharmonia"),
    *("librosa", "mir1k", "musiccaps"),
)
"""Names without signs: what is only tested on."""
FREE = ("CC0-1.0", "CC-BY-3.0", "CC-BY-4.0", "MIT", "BSD-3-Clause", "ISC")


def entries(root: Path, sources: dict[str, dict[str, str]]) -> list[dict[str, Any]]:
    """Return an entry for each song.

    Raises:
        InputError: If a folder has no source, or its name or licence is not allowed.
    """
    found = []
    for folder in sorted({path.parent for path in root.rglob("*") if _is_stem(path)}):
        song = folder.relative_to(root)
        source = sources.get(song.parts[0])
        if source is None:
            raise InputError(f"{folder}: no source in {HERE / 'sources.yaml'}")
        check(f"{song} {source}", source["licence"])
        files = sorted(path for path in folder.iterdir() if _is_stem(path))
        digest = hashlib.sha256(b"".join(hashlib.sha256(f.read_bytes()).digest() for f in files))
        found.append(
            source | {"title": song.name, "stems": len(files), "sha256": digest.hexdigest()}
        )
    return found


def check(text: str, licence: str) -> None:
    """Refuse names of OFF_LIMITS, and licences that are not FREE.

    Raises:
        InputError: If the text has such a name, or the licence is another one.
    """
    plain = "".join(sign for sign in text.casefold() if sign.isalnum())
    for name in OFF_LIMITS:
        if name in plain:
            raise InputError(f"{text!r} is off limits: {name}")
    if licence not in FREE:
        raise InputError(f"{text!r} has the licence {licence!r}, expected one of {', '.join(FREE)}")


def _is_stem(path: Path) -> bool:
    return path.suffix.lower() in SUFFIXES and path.is_file()


def main() -> None:
    """Write the ledger."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("stems", type=Path)
    options = parser.parse_args()
    sources = yaml.safe_load((HERE / "sources.yaml").read_text(encoding="utf-8"))
    lines = (json.dumps(entry, ensure_ascii=False) for entry in entries(options.stems, sources))
    LEDGER.write_text("[\n " + ",\n ".join(lines) + "\n]\n", encoding="utf-8")


if __name__ == "__main__":
    main()
