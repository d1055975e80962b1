"""Build the documentation site into site/html: make docs.

The site is the Markdown of the repository under its own paths, so that a link works both on the
site and on GitHub. The pages and the files that they link to are copied to site/pages first.
"""

import re
import shutil
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[1]
SITE = ROOT / "site"
PAGES = (
    "README.md",
    "CHANGELOG.md",
    "CONTRIBUTING.md",
    "docs/*.md",
    "benchmarks/README.md",
    "experiments/*/README.md",
)
LINK = re.compile(r"\]\(([^)#\s]+)")


def pages() -> list[Path]:
    """Return the Markdown files of the site."""
    return [path for pattern in PAGES for path in sorted(ROOT.glob(pattern))]


def linked(page: Path) -> list[Path]:
    """Return the paths that a page links to, without addresses on the web."""
    text = re.sub(r"^```.*?^```", "", page.read_text(encoding="utf-8"), flags=re.DOTALL | re.M)
    targets = [target for target in LINK.findall(text) if "://" not in target]
    return [(page.parent / target).resolve() for target in targets]


def build() -> None:
    """Copy the pages and build the site; every warning is an error."""
    shutil.rmtree(SITE, ignore_errors=True)
    files = {*pages(), *(path for page in pages() for path in linked(page) if path.is_file())}
    for path in files:
        copy = SITE / "pages" / path.relative_to(ROOT)
        copy.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(path, copy)
    shutil.copy(ROOT / "mkdocs.yml", SITE)
    command = [sys.executable, "-m", "zensical", "build", "--strict", "-f", SITE / "mkdocs.yml"]
    sys.exit(subprocess.run(command, check=False).returncode)


if __name__ == "__main__":
    build()
