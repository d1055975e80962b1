"""What does teaching by text alone reach, and what of it is due to what?

    python experiments/teach/teach.py runs/demo/baseline --out runs/teach [--only NAME ...]

Teaches copies of a run in several ways, and evaluates each on the test clips beside the untaught
model, the Boolean score with the parser, and the oracle of the method: the targets themselves,
computed from the claims of the exam without a student. Finished parts are kept.
"""

import argparse
import json
import random
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from statistics import mean
from typing import Any
from unittest import mock

import torch
from torch import Tensor
from torchmetrics.functional.classification import binary_auroc

import negclap
from negclap.cli import main as cli
from negclap.data.tables import read_csv
from negclap.evaluation.benchmark import (
    BenchmarkData,
    EncodedSplit,
    text_embedder,
    tune,
    with_baseline,
)
from negclap.evaluation.scoring import Embed, EmbedTexts
from negclap.evaluation.suite import Suite, understanding_score
from negclap.progress import progress
from negclap.rng import stream
from negclap.storage import write_json
from negclap.text.compose import compose
from negclap.text.lessons import Lesson, LessonPlan
from negclap.text.probes import Statement
from negclap.text.rewrite import NEUTRAL
from negclap.text.vocabulary import Vocabulary
from negclap.training.teacher import Target, Teacher

HERE = Path(__file__).parent
SET = Path("data/chorales/manifest.jsonl")
SENTENCES = HERE / "sentences.jsonl"
TARGETS = {
    **{f"subtract {weight:g}": Target("subtract", weight) for weight in (0.25, 0.5, 0.75, 1.0)},
    "spherical .92": Target("spherical", 0.92),
    "removal": Target("removal"),
}
DEFAULT_TARGET = "oracle, subtract 0.75"
KNOWN_AUC = 0.85  # of a tag that the audio encoder knows, on validation
CASES_PER_SENTENCE = 6
LEAST_CLIPS = 5
KEYS = (
    "audio_ceiling",
    "recall@10/original",
    "recall@10/half",
    "recall@10/fully",
    "chain",
    "true_absence",
    "exclusion/joint@10",
    "exclusion/violation@10",
    "exclusion/plain/joint@10",
    "paired",
    "scope/accuracy",
    "double_negation",
    "pseudo/not_only",
    "lexicalised/instrumental",
    "cue/seen/true_absence",
    "cue/held_out/true_absence",
    "all clips/exclusion/joint@10",
    "all clips/exclusion/violation@10",
)
PHRASES = {
    "no": "music with no {}",
    "without": "music without {}",
    "that has no X in it": "music that has no {} in it",
    "with zero X": "music with zero {}",
    "X-free": "{}-free music",
    "free of X": "music free of {}",
    "minus the X": "music minus the {}",
    "I don't want X": "I don't want {}",
    "nothing with X": "nothing with {}",
    "excluding X": "music excluding {}",
    "X absent": "{} absent",
}
"""Ways to deny that a person writes."""


DEGREES = ("no {}", "hardly any {}", "not much {}", "a bit of {}", "mostly {}", "{}")
"""From absent to present."""


def polarity(lesson: Lesson, rng: random.Random) -> Lesson:
    """Deny or affirm at random what the text denies."""
    return lesson._replace(degree=rng.choice((lesson.degree, -lesson.degree)))


def affirm_only(lesson: Lesson, rng: random.Random) -> Lesson:
    """Keep only the affirmation."""
    return Lesson(lesson.affirmed, lesson.affirmed)


def wrong_tag(lesson: Lesson, rng: random.Random, names: Sequence[str]) -> Lesson:
    """Deny another tag than the text does."""
    return lesson._replace(denied=tuple(rng.choice(names) for _ in lesson.denied))


@dataclass(frozen=True)
class Variant:
    """A way to teach: arguments of `negclap teach`, and a change of its lessons."""

    arguments: tuple[str, ...] = ()
    change: Callable[[Lesson, random.Random], Lesson] | None = None


def variants(vocabulary: Vocabulary) -> dict[str, Variant]:
    """Return the ways to teach by name, the most informative first."""
    nouns = [tag.name for tag in vocabulary.tags if tag.part_of_speech == "noun"]
    folds = {f"fold {i + 1}": f"data.held_out_tags={json.dumps(nouns[i::2])}" for i in range(2)}
    own = ("trainer.max_epochs=4",)  # an encoder from scratch needs more passes, and is fast
    minilm = ("--text_encoder=minilm",)
    short = ("trainer.max_epochs=1",)
    other = ("no", "exclude", "absent"), ("not",)
    held_out = {
        f"minilm, held out: {', '.join(names)}": f"data.held_out={json.dumps([*names])}"
        for names in other
    }
    return {
        "taught": Variant(own),
        "minilm": Variant(minilm),
        "lambda 0": Variant((*own, "model.target.weight=0")),
        "shuffled polarity": Variant(own, polarity),
        "wrong tag": Variant(own, partial(wrong_tag, names=nouns)),
        "seen cues only": Variant((*own, "data.words=seen")),
        "51 further cues": Variant((*own, "data.words=many")),
        **{name: Variant((*own, tags)) for name, tags in folds.items()},
        "all families": Variant((*own, "data.held_out=[]", "data.unseen=[]")),
        "minilm, distilled only": Variant((*minilm, *short), affirm_only),
        **{name: Variant((*minilm, *short, families)) for name, families in held_out.items()},
        **{f"minilm, {name}": Variant((*minilm, *short, tags)) for name, tags in folds.items()},
    }


@contextmanager
def changed_lessons(change: Callable[[Lesson, random.Random], Lesson] | None) -> Iterator[None]:
    """Change all lessons that are drawn within the block."""
    draw = LessonPlan.__call__

    def changed(plan: LessonPlan, number: int) -> Lesson:
        lesson = draw(plan, number)
        return change(lesson, stream(plan.seed, "change", number)) if change else lesson

    with mock.patch.object(LessonPlan, "__call__", changed):
        yield


def teach(run: Path, variant: Variant, out: Path) -> float:
    """Teach a copy of a run; return the seconds that it took."""
    options, keys = [], []
    for one in variant.arguments:
        (options if one.startswith("--") else keys).append(one)
    start = time.time()
    with changed_lessons(variant.change):
        given = ["--model", str(run), "--out", str(out), "--captions", str(SET)]
        if cli(["teach", *given, *options, *keys]):
            raise SystemExit(f"{out.name}: negclap teach failed")
    return time.time() - start


def oracle_of(target: Target, embed: EmbedTexts, vocabulary: Vocabulary) -> Embed:
    """Return an encoder of statements that computes the target from their claims."""
    teacher = Teacher(embed, vocabulary, target)

    def lesson(one: Statement) -> Lesson:
        present = [claim for claim in one.claims if claim[1]]
        absent = tuple(tag for tag, has in one.claims if not has)
        if not absent and "not " not in one.text:
            return Lesson(one.text, one.text)
        affirmed = compose(present, vocabulary, "oracle") if present else NEUTRAL
        return Lesson(one.text, affirmed, absent)

    return lambda statements: teacher.targets([*map(lesson, statements)])


def of_texts(embed: EmbedTexts) -> Embed:
    """Return an encoder of statements that reads their texts."""
    return lambda statements: embed([one.text for one in statements])


def has_tag(split: EncodedSplit, tag: str) -> tuple[Tensor, Tensor]:
    """Return bool ``(n,)``: whether clips have a tag, and whether they are known to lack it."""
    tracks = split.exam.tracks
    return (
        torch.tensor([tag in track.tags for track in tracks]),
        torch.tensor([tag in (track.absent_tags or ()) for track in tracks]),
    )


def auc(split: EncodedSplit, text: Tensor, higher: Tensor, lower: Tensor) -> float:
    """Return how often a clip of ``higher`` is closer to a text than one of ``lower``."""
    rows = (higher | lower).nonzero()[:, 0]
    return float(binary_auroc(split.audio[rows] @ text, higher[rows].long()))


def tag_aucs(split: EncodedSplit, embed: EmbedTexts, phrase: str) -> dict[str, float]:
    """Return, by noun, how often a clip that lacks it is closer to a phrase that denies it."""
    nouns = [tag.name for tag in split.exam.vocabulary.tags if tag.part_of_speech == "noun"]
    texts = embed([phrase.format(name) for name in nouns])
    return {n: auc(split, t, *has_tag(split, n)[::-1]) for n, t in zip(nouns, texts, strict=True)}


def sentence_scores(
    split: EncodedSplit, embed: EmbedTexts, path: Path, known: Sequence[str]
) -> dict[str, float]:
    """Score sentences with slots, by kind, on matched clips.

    The slot x is filled with tags that the audio encoder knows. A sentence that denies x should be
    closer to a clip without x, others to a clip with x. The clips are alike in the other slots.
    """
    cases, scores = [], {"denies": [], "does not deny": []}
    for number, line in enumerate(path.read_text(encoding="utf-8").splitlines()):
        sentence = json.loads(line)
        slots = (*sentence["denied"], *sentence["affirmed"])
        rng = stream("sentence", number)
        for _ in range(CASES_PER_SENTENCE):
            tags = dict(zip(slots, rng.sample(known, len(slots)), strict=True))
            if any(
                split.exam.vocabulary.related(one) & {*tags.values()} - {one}
                for one in tags.values()
            ):
                continue
            cases.append((sentence, tags))
    texts = embed([sentence["text"].format(**tags) for sentence, tags in cases])
    for (sentence, tags), text in zip(cases, texts, strict=True):
        present, absent = has_tag(split, tags["x"])
        for slot in tags.keys() - {"x"}:
            alike = has_tag(split, tags[slot])[slot in sentence["denied"]]
            present, absent = present & alike, absent & alike
        if min(present.sum(), absent.sum()) < LEAST_CLIPS:
            continue
        sides = (absent, present) if "x" in sentence["denied"] else (present, absent)
        scores[sentence["kind"]].append(auc(split, text, *sides))
    return {kind: mean(found) for kind, found in scores.items() if found}


def evaluate(split: EncodedSplit, embed: Embed) -> dict[str, float]:
    """Return the values of the suite in ten galleries of 512 clips, and among all clips."""
    results = Suite().run(split.exam, split.audio, split.twin_audio, embed).values
    values = {key: results[key] for key in KEYS if key in results}
    values["understanding"] = understanding_score(results, 0.0)
    whole = Suite(len(split.audio), 1).run(split.exam, split.audio, split.audio[:0], embed).values
    return values | {
        f"all clips/{k}": whole[k] for k in KEYS if k.startswith("exclusion/") and k in whole
    }


def texts_for_clips(split: EncodedSplit, embed: EmbedTexts) -> EncodedSplit:
    """Return a split in which a caption of all its tags stands for each clip: no audio is used."""
    tags = split.exam.vocabulary
    captions = [
        compose([(tag, True) for tag in track.tags if tag in tags], tags, track.track_id)
        for track in split.exam.tracks
    ]
    return split._replace(audio=embed(captions), twin_audio=split.twin_audio[:0])


def human_captions(path: Path) -> list[str]:
    """Return the captions of MusicCaps."""
    return [row.values["caption"] for row in read_csv(path, ("caption",))]


def degrees(untaught: EmbedTexts, embed: EmbedTexts, known: Sequence[str]) -> dict[str, float]:
    """Return the mean cosine of graded phrases with the untaught embedding of their tag."""
    tags = untaught(known)
    found = {phrase: embed([phrase.format(tag) for tag in known]) for phrase in DEGREES}
    return {phrase: float((one * tags).sum(dim=1).mean()) for phrase, one in found.items()}


def questions(
    split: EncodedSplit,
    embed: EmbedTexts,
    untaught: EmbedTexts,
    known: Sequence[str],
    more_sentences: Path | None,
) -> dict[str, object]:
    """Return the values of a text encoder: the suite, phrases, sentences and tags."""
    bare = tag_aucs(split, embed, "{}")
    denied = {name: tag_aucs(split, embed, phrase) for name, phrase in PHRASES.items()}
    found: dict[str, object] = {
        "suite": evaluate(split, of_texts(embed)),
        "phrases": {name: mean(aucs[tag] for tag in known) for name, aucs in denied.items()},
        "tags": {tag: {"bare": 1 - bare[tag], "no": denied["no"][tag]} for tag in bare},
        "sentences": sentence_scores(split, embed, SENTENCES, known),
        "degrees": degrees(untaught, embed, known),
    }
    if more_sentences:
        found["more sentences"] = sentence_scores(split, embed, more_sentences, known)
    return found


def tables(results: Mapping[str, Any]) -> str:
    """Return Markdown tables: ways to teach, targets, and ways to deny."""
    columns = [name for name in results if name != "known tags"]
    asked = [name for name in columns if "phrases" in results[name]]
    ways = [name for name in asked if name != "untaught"]
    targets = [name for name in columns if name.startswith("oracle")]
    fixed = ["untaught", "boolean", DEFAULT_TARGET]
    lines = table(
        "metric", [*fixed, *(name for name in ways if name != "boolean")], results, "suite"
    )
    for title, group in (("phrase", "phrases"), ("sentences", "sentences"), ("degree", "degrees")):
        lines += table(title, asked, results, group)
    if "more sentences" in results["untaught"]:
        lines += table("more sentences", asked, results, "more sentences")
    for title, group in (("target, on test", "suite"), ("target, on validation", "validation")):
        lines += table(title, targets, results, group)
    lines += table("target, on texts for clips", targets, results, "text")
    lines += ["| tag | " + " | ".join(asked) + " |", "|---" * (len(asked) + 1) + "|"]
    for tag in results["untaught"]["tags"]:
        cells = [results[name]["tags"][tag] for name in asked]
        lines.append(
            f"| {tag} | " + " | ".join(f"{c['bare']:.2f} {c['no']:.2f}" for c in cells) + " |"
        )
    return "\n".join(lines) + "\n"


def table(title: str, columns: Sequence[str], results: Mapping[str, Any], group: str) -> list[str]:
    """Return the lines of a table with a row for each key of a group."""
    lines = [f"| {title} | " + " | ".join(columns) + " |", "|---" * (len(columns) + 1) + "|"]
    for key in dict.fromkeys(key for name in columns for key in results[name].get(group, {})):
        values = [results[name].get(group, {}).get(key) for name in columns]
        cells = ("" if value is None else f"{value:.3f}" for value in values)
        lines.append(f"| {key} | " + " | ".join(cells) + " |")
    return [*lines, ""]


def main() -> None:
    """Teach and evaluate what is not finished, and write results.json and table.md."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("run", type=Path, help="run folder of the untaught model")
    parser.add_argument("--out", type=Path, required=True, help="folder of the taught runs")
    parser.add_argument("--report", type=Path, help="folder of results.json (default: OUT)")
    parser.add_argument("--only", nargs="*", help="names of ways; and targets")
    parser.add_argument("--musiccaps", type=Path, help="CSV of human captions")
    parser.add_argument("--more_sentences", type=Path, help="further sentences with slots")
    options = parser.parse_args()
    path = (options.report or options.out) / "results.json"
    path.parent.mkdir(parents=True, exist_ok=True)
    results = json.loads(path.read_text()) if path.is_file() else {}

    untaught = negclap.load(options.run)
    embed = text_embedder(untaught)
    data = BenchmarkData.read(SET, untaught.excerpt_s)
    validation = data.encode(untaught, "validation", "", progress)
    test = data.encode(untaught, "test", "test_twin", progress)
    vocabulary = test.exam.vocabulary
    aucs = tag_aucs(validation, embed, "{}")
    known = [tag for tag, value in aucs.items() if 1 - value >= KNOWN_AUC]
    ask = partial(
        questions, test, untaught=embed, known=known, more_sentences=options.more_sentences
    )

    def finish(name: str, compute: Callable[[], Mapping[str, object]]) -> None:
        if name not in results:
            results[name] = compute()
            write_json(path, results)
        if results.keys() >= {"untaught", "boolean", DEFAULT_TARGET}:
            path.with_name("table.md").write_text(tables(results), encoding="utf-8")

    finish("known tags", lambda: {tag: 1 - aucs[tag] for tag in known})
    finish("untaught", lambda: ask(embed))
    weight = tune("boolean", Suite(), validation, embed)
    finish("boolean", lambda: ask(with_baseline("boolean", weight, embed, vocabulary)))
    imagined = texts_for_clips(validation, embed)
    for name, target in TARGETS.items():
        if options.only and "targets" not in options.only and f"oracle, {name}" != DEFAULT_TARGET:
            continue
        oracle = oracle_of(target, embed, vocabulary)
        finish(f"oracle, {name}", lambda oracle=oracle: {
            "text": evaluate(imagined, oracle),
            "validation": evaluate(validation, oracle),
            "suite": evaluate(test, oracle),
        })  # fmt: skip
    captions = human_captions(options.musiccaps) if options.musiccaps else []
    for name, variant in variants(vocabulary).items():
        if options.only is not None and name not in options.only:
            continue
        folder = options.out / name.replace(" ", "-").replace(",", "").replace(":", "")

        def taught(variant: Variant = variant, folder: Path = folder) -> dict[str, object]:
            seconds = 0.0 if folder.is_dir() else teach(options.run, variant, folder)
            new = text_embedder(negclap.load(folder))
            found = ask(new) | ({"seconds": round(seconds)} if seconds else {})
            if captions:
                cosines = (new(captions) * embed(captions)).sum(dim=1)
                found["captions"] = {"median cosine": float(cosines.median())}
            return found

        finish(name, taught)


if __name__ == "__main__":
    main()
