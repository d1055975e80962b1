"""docs/metrics.md agrees with the code."""

import re
from pathlib import Path

from negclap.evaluation.results import HEADLINE

PAGE = (Path(__file__).parents[1] / "docs" / "metrics.md").read_text(encoding="utf-8")


def test_its_example_runs(capsys):
    (example,) = re.findall(r"^```python\n(.*?)^```", PAGE, re.DOTALL | re.M)
    exec(example, {})
    printed = capsys.readouterr().out
    assert "recall@10/fully" in printed
    assert "chain" in printed


def test_it_names_every_headline_metric():
    named = " ".join(re.findall(r"`([^`\n]+)`", PAGE))
    for key in HEADLINE:
        part = key.removeprefix("a2t/").split("/")[0]
        assert part in named, key
