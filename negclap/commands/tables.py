"""Tables on the terminal, and JSON beside them."""

import json
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path

from rich.console import Console
from rich.table import Table

from negclap.data.gather import Summary as Gathered
from negclap.data.manifest import Track
from negclap.data.shards import Progressed, Verdict
from negclap.evaluation.exam import Exam
from negclap.evaluation.metrics.scores import Difference
from negclap.evaluation.mining import Counts, Mined, TextOnly
from negclap.evaluation.results import HEADLINE, SUMMARY, Summary
from negclap.text.inspection import TextInspection

_COLUMNS_AT_ONCE = 6


ASSUMED = "what clips lack is assumed: nothing related to their tags"


def _number(value: float | None) -> str:
    return "" if value is None else f"{value:.3f}" if abs(value) < 10 else f"{value:.1f}"


def print_results(path: Path, every: bool = False) -> None:
    """The results of one run, in groups; ``every`` prints all figures, with their intervals."""
    results = json.loads(path.read_text(encoding="utf-8"))
    assumed = "assumed_absence" in results
    groups = (
        {"all figures": tuple(key for key in results if f"{key}/n" in results)}
        if every
        else SUMMARY
    )
    table = Table(title=f"test ({ASSUMED})" if assumed else "test")
    for column in ("figure", "value", "95 % interval", "chance", "oracle"):
        table.add_column(column, justify="left" if column == "figure" else "right", no_wrap=True)
    for group, keys in groups.items():
        table.add_section()
        table.add_row(f"[bold]{group}[/bold]")
        for key in keys:
            if key in results:
                low, high, chance, oracle = (
                    results.get(f"{key}/{part}") for part in ("low", "high", "chance", "oracle")
                )
                interval = "" if low is None else f"{_number(low)} to {_number(high)}"
                table.add_row(
                    key, _number(results[key]), interval, _number(chance), _number(oracle)
                )
    Console().print(table)


def print_comparison(summaries: Mapping[str, Summary]) -> None:
    """Methods side by side, chance and oracle beside them; some at a time where they are many."""
    names = list(summaries)
    for start in range(0, len(names), _COLUMNS_AT_ONCE):
        _print_columns({name: summaries[name] for name in names[start : start + _COLUMNS_AT_ONCE]})


def write_markdown(path: Path, summaries: Mapping[str, Summary]) -> None:
    """The same table as Markdown, for a page."""
    first = next(iter(summaries.values()))
    names = [f"{n} ({s.runs})" if s.runs > 1 else n for n, s in summaries.items()]
    lines = [
        " | ".join(["| test split", *names, "chance", "oracle |"]),
        "|" + "---|" * (len(names) + 3),
    ]
    for key in HEADLINE:
        if any(key in summary.mean for summary in summaries.values()):
            cells = [_cell(summary, key) for summary in summaries.values()]
            rest = [_number(first.mean.get(f"{key}/{part}")) for part in ("chance", "oracle")]
            lines.append(" | ".join([f"| `{key}`", *cells, *rest]) + " |")
    if "assumed_absence" in first.mean:
        lines += ["", f"({ASSUMED})"]
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")


def _print_columns(summaries: Mapping[str, Summary]) -> None:
    first = next(iter(summaries.values()))
    assumed = "assumed_absence" in first.mean
    table = Table(title="side by side" + (f" ({ASSUMED})" if assumed else ""))
    table.add_column("key")
    for name, summary in summaries.items():
        runs = f" ({summary.runs} runs)" if summary.runs > 1 else ""
        table.add_column(f"{name}{runs}", justify="right")
    if any(summary.runs > 1 for summary in summaries.values()):
        table.caption = "± half of the mean's 95 % interval over the runs (Student's t)"
    table.add_column("chance", justify="right")
    table.add_column("oracle", justify="right")
    for key in HEADLINE:
        if any(key in summary.mean for summary in summaries.values()):
            cells = [_cell(summary, key) for summary in summaries.values()]
            rest = (_number(first.mean.get(f"{key}/{part}")) for part in ("chance", "oracle"))
            table.add_row(key, *cells, *rest)
    Console().print(table)


def print_differences(found: Mapping[str, Mapping[str, Difference]], first: str) -> None:
    """What each method scores above the first, with its interval."""
    for name, gains in found.items():
        table = Table(title=f"{name} minus {first}, paired over tracks")
        for column in ("key", "difference", "95 % interval"):
            table.add_column(column, justify="left" if column == "key" else "right")
        for key, gain in gains.items():
            table.add_row(key, f"{gain.value:+.3f}", f"{gain.low:+.3f} to {gain.high:+.3f}")
        Console().print(table)


def _cell(summary: Summary, key: str) -> str:
    value = _number(summary.mean.get(key))
    return f"{value} ± {summary.half_width[key]:.3f}" if summary.runs > 1 and value else value


def print_manifest_summary(path: Path, tracks: Sequence[Track]) -> None:
    """What a manifest holds: clips, hours and captions per split."""
    table = Table(title=str(path))
    for column in ("split", "clips", "hours", "captions", "tags a clip"):
        table.add_column(column, justify="left" if column == "split" else "right")
    for split in dict.fromkeys(track.split for track in tracks):
        chosen = [track for track in tracks if track.split == split]
        table.add_row(
            split,
            str(len(chosen)),
            f"{sum(track.duration_s for track in chosen) / 3600:.2f}",
            str(sum(len(track.captions) for track in chosen)),
            f"{sum(len(track.tags) for track in chosen) / len(chosen):.1f}",
        )
    Console().print(table)


def print_summary(path: Path, summary: Gathered) -> None:
    """What a source became."""
    console = Console()
    table = Table(title=str(path))
    for column in ("split", "tracks", "hours"):
        table.add_column(column, justify="left" if column == "split" else "right")
    for split, count in summary.tracks.items():
        table.add_row(split, str(count), f"{summary.hours[split]:.2f}")
    console.print(table)
    for title, counts in (
        ("captions by kind", summary.captions),
        ("captions dropped", summary.dropped_captions),
        ("rejected", summary.rejected),
        ("tags left out", Counter(summary.left_out_tags.values())),
    ):
        if counts:
            table = Table(title=title)
            table.add_column(title)
            table.add_column("n", justify="right")
            for name, count in counts.most_common():
                table.add_row(name, str(count))
            console.print(table)
    console.print(
        f"{summary.read} recordings read, {sum(summary.tracks.values())} kept, "
        f"{sum(summary.rejected.values())} rejected (rejected.jsonl); {summary.tags} tags, "
        f"{summary.without_tags} tracks without any; {100 * summary.mention_rate:.1f} % of the "
        f"captions mention a tag; {summary.denied} tracks say what they lack, "
        f"{summary.contradicted} denials contradicted by another tag"
    )


def print_progressed(out: str, progressed: Progressed) -> None:
    """How far shards are, all parts together."""
    done, shards, tracks, rejected = progressed
    text = f"{done} of {shards} shards are there"
    if done == shards:
        text += f": {out}/manifest.jsonl has {tracks} tracks, rejected.jsonl {rejected}"
    Console().print(text, highlight=False)


def print_verdicts(verdicts: Sequence[Verdict]) -> None:
    """What is wrong with which shard."""
    wrong = [verdict for verdict in verdicts if verdict.problem]
    console = Console()
    for shard, problem in wrong:
        console.print(f"{shard}: {problem}", highlight=False, soft_wrap=True)
    console.print(f"{len(verdicts)} shards, {len(wrong)} not as they were written")


def print_text_inspection(inspection: TextInspection) -> None:
    """The counts as tables, the samples to read."""
    console = Console()
    console.print(
        f"{inspection.captions} captions, {inspection.without_tag} without a tag, "
        f"{inspection.inserted} with an insertion; {inspection.prevented:.1f} draws prevented that "
        "would have denied an alias, a broader or a narrower term of what is there"
    )
    for title, counts in (
        ("inserted tags", inspection.tags),
        ("cues", inspection.cues),
        ("positions", inspection.positions),
    ):
        table = Table(title=title)
        table.add_column(title)
        table.add_column("share", justify="right")
        for name, count in counts.most_common():
            table.add_row(name, f"{100 * count / inspection.inserted:.1f} %")
        console.print(table)
    for track_id, before, after in inspection.samples:
        console.print(f"{track_id}: {before}\n  [bold]{after}[/bold]", highlight=False)


def explain_exam(exam: Exam) -> None:
    """Say which parts of the exam can be asked of this data, and which cannot, and why."""
    console = Console()
    console.print(
        f"{len(exam.tracks)} clips, {len(exam.choices)} choices, {len(exam.queries)} exclusion "
        f"queries, {len(exam.twins)} pairs of twins"
    )
    if exam.assumed:
        console.print(f"absent tags are not known for all clips: {ASSUMED}")
    for questions, part, reason in (
        (exam.choices, "choices (cues, scope)", "no balanced pair of present and absent tags"),
        (exam.queries, "exclusion retrieval", "no pair of tags has enough clips on both sides"),
        (exam.twins, "twins", "the manifest has no counterfactual twins"),
    ):
        if not questions:
            console.print(f"left out: {part}; {reason}")


def print_unreadable(messages: Sequence[str]) -> None:
    """Tracks that were left out, each with the reason."""
    if messages:
        Console().print(f"[bold]{len(messages)} tracks left out, they cannot be heard:[/bold]")
    for message in messages:
        Console().print(f"  {message}", markup=False, highlight=False)


def print_mined(mined: Sequence[Mined], captions: int) -> None:
    """How many negations of which kind, with which cues and tags."""
    negating = len({one.caption_id for one in mined})
    console = Console()
    console.print(f"{captions} captions, {negating} with {len(mined)} negations")
    for title, names in (
        ("kind", Counter(one.negation.kind for one in mined)),
        ("cue", Counter(one.negation.cue.lower() for one in mined)),
        ("what is negated", Counter(one.negation.tag or "(other)" for one in mined)),
    ):
        table = Table(title=title)
        table.add_column(title)
        table.add_column("n", justify="right")
        for name, count in names.most_common(15):
            table.add_row(name, str(count))
        console.print(table)


def print_label_scores(scores: Mapping[str, Counts]) -> None:
    """Precision and recall by kind."""
    table = Table(title="against the labels")
    for column in ("kind", "precision", "recall", "right", "extra", "missed"):
        table.add_column(column, justify="left" if column == "kind" else "right")
    for kind, counts in scores.items():
        table.add_row(kind, _number(counts.precision), _number(counts.recall), *map(str, counts))
    Console().print(table)


def print_text_only(outcome: TextOnly) -> None:
    """The text-only test in one line."""
    Console().print(
        f"text only: {outcome.accuracy:.3f} of {outcome.n} captions come closer to what they "
        "negate when the negation is made affirmative (chance 0.500, counted words "
        f"{outcome.bag_of_words:.3f})"
    )
