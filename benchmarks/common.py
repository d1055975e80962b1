"""Results, tables and memory: functions that many benchmarks share."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

RESULTS = Path(__file__).parent / "results"


def write_results(name: str, results: Any) -> None:
    """Write ``results/NAME.json``."""
    RESULTS.mkdir(exist_ok=True)
    text = json.dumps(results, indent=1) + "\n"
    (RESULTS / f"{name}.json").write_text(text, encoding="utf-8")


def read_results(name: str) -> Any:
    """Read ``results/NAME.json``; an empty dictionary if there is none."""
    path = RESULTS / f"{name}.json"
    return json.loads(path.read_text(encoding="utf-8")) if path.is_file() else {}


def print_table(rows: Mapping[str, Mapping[str, float]]) -> None:
    """Print rows of numbers under a header of their keys."""
    columns = list(next(iter(rows.values())))
    print(f"{'':10s}" + "".join(f"{column:>17s}" for column in columns))
    for name, row in rows.items():
        print(f"{name:10s}" + "".join(f"{row[column]:17g}" for column in columns))


def resident_mib(field: str) -> float:
    """Return this process's memory now ("VmRSS") or at its peak ("VmHWM"), in MiB; Linux only."""
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith(field)) / 1024


def reset_peak() -> None:
    """Restart the measurement of the peak memory; Linux only."""
    Path("/proc/self/clear_refs").write_text("5")
