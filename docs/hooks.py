"""Puts pages that live beside their code into the site: results, benchmarks, the changelog."""

from pathlib import Path
from typing import Any

from mkdocs.structure.files import File, Files

ROOT = Path(__file__).parents[1]
BESIDE = ("experiments/**/*.md", "experiments/**/*.png", "experiments/*/*.json", "benchmarks/*.md")


def on_files(files: Files, config: Any) -> Files:
    """Add them under the same names, so that links between them hold."""
    pages = {str(path.relative_to(ROOT)): path for pattern in BESIDE for path in ROOT.glob(pattern)}
    pages["changelog.md"] = ROOT / "CHANGELOG.md"
    for name, path in sorted(pages.items()):
        files.append(File.generated(config, name, abs_src_path=str(path)))
    return files
