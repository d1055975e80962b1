"""A study is balanced and blind; the analysis recovers a simulated panel of known noise."""

import json
import random
import re
import sys
from itertools import combinations, product
from math import prod

import numpy as np
import pytest
import soundfile as sf

from negclap.cli import main
from negclap.data.manifest import Caption, Track
from negclap.data.tracks import read_vocabulary
from negclap.listening.answers import Answer, Rater, judge
from negclap.listening.questions import ClipTags, draw_questions
from negclap.listening.results import OVERALL, analyse
from negclap.listening.study import Clip, Study, Trial
from negclap.text.probes import LEVELS
from tests.music import ADAPTER

PAIRS, CHECKS = 5, 4


def pack(chorales, adapter, out, *more):
    models = ("--model", f"{adapter}:Pitch", "--model", f"{adapter}:Other")
    small = ("--pairs", str(PAIRS), "--checks", str(CHECKS), "--seconds", "1")
    data = ("--data", str(chorales / "manifest.jsonl"), "--out", str(out))
    return main(["listening", "pack", *models, *small, *data, *more])


@pytest.fixture(scope="module")
def adapter(tmp_path_factory):
    path = tmp_path_factory.mktemp("adapter") / "adapter.py"
    path.write_text(ADAPTER)
    return path


@pytest.fixture(scope="module")
def folder(chorales, adapter, tmp_path_factory):
    out = tmp_path_factory.mktemp("listening") / "study"
    assert pack(chorales, adapter, out) == 0
    return out


@pytest.fixture(scope="module")
def study(folder):
    return Study.read(folder)


def test_levels_and_sides_are_balanced(study):
    for level in LEVELS:
        sides = [trial.truth for trial in study.trials if trial.level == level]
        assert len(sides) == PAIRS
        assert abs(sides.count("A") - sides.count("B")) <= 1
    questions = [trial for trial in study.trials if trial.level]
    assert len({trial.text for trial in questions}) == len(questions)


def test_the_correct_side_follows_from_the_manifest(study, tracks):
    by_id = {track.track_id: track for track in tracks}
    for trial in study.trials:
        assert not trial.assumed
        for clip in trial.clips:
            tags = by_id[clip.track_id].tags
            true = [(tag in tags) == claimed for tag, claimed in trial.claims]
            assert clip.fit == pytest.approx(np.mean(true))
        better = trial.clips["AB".index(trial.truth)]
        assert (
            better.fit
            == max(clip.fit for clip in trial.clips)
            > min(clip.fit for clip in trial.clips)
        )


def test_each_check_appears_twice_with_its_sides_swapped(study):
    for number in range(CHECKS):
        one, other = (trial for trial in study.trials if trial.check == number)
        assert one.text == other.text
        assert one.clips == other.clips[::-1]
        assert one.truth != other.truth
        assert {clip.fit for clip in one.clips} == {0.0, 1.0}


def test_the_page_contains_only_texts_and_clips(folder, study, tracks, chorales):
    script = (folder / "page" / "trials.js").read_text()
    shown = json.loads(script.removeprefix("window.STUDY = ").rstrip().removesuffix(";"))
    assert all(trial.keys() == {"trial", "text", "clips"} for trial in shown["trials"])
    for trial in shown["trials"]:
        trial["text"] = ""
    visible = json.dumps(shown)
    audio = b""
    for path in sorted((folder / "page").rglob("*")):
        visible += f"\n{path.relative_to(folder)}"
        if path.suffix == ".wav":
            audio += path.read_bytes()
        elif path.is_file() and path.name != "trials.js":
            visible += path.read_text()
    tags = [tag.name for tag in read_vocabulary(chorales / "manifest.jsonl").tags]
    secrets = [*tags, *LEVELS, *study.models, *(track.track_id for track in tracks)]
    for secret in (*secrets, "truth", "negat", "check"):
        assert not re.search(rf"(?i)(?<!\w){re.escape(secret)}(?!\w)", visible), secret
    assert not any(track.track_id.encode() in audio for track in tracks)


def test_clips_are_the_middle_of_their_tracks(folder, study, tracks, chorales):
    by_id = {track.track_id: track for track in tracks}
    clip = study.trials[0].clips[0]
    audio, rate = sf.read(folder / "page" / clip.file)
    whole, same_rate = sf.read(chorales / by_id[clip.track_id].audio)
    assert rate == same_rate
    assert len(audio) / rate == pytest.approx(clip.seconds) == pytest.approx(1.0)
    begin = (len(whole) - len(audio)) // 2
    np.testing.assert_allclose(audio, whole[begin : begin + len(audio)], atol=1e-4)


def test_a_study_has_the_similarities_of_each_model(study, clap_folder, chorales, tmp_path):
    assert study.models == ("Pitch", "Other")
    for trial in study.trials:
        for pair in trial.similarities.values():
            assert all(-1.001 < cosine < 1.001 for cosine in pair)
    source = ("--model", str(clap_folder), "--data", str(chorales / "manifest.jsonl"))
    small = ("--pairs", "1", "--checks", "1", "--seconds", "1", "--out", str(tmp_path / "clap"))
    assert main(["listening", "pack", *source, *small]) == 0
    (name,) = Study.read(tmp_path / "clap").models
    assert name == "tiny-clap"


def test_the_seed_determines_the_study(folder, chorales, adapter, tmp_path):
    assert pack(chorales, adapter, tmp_path / "same") == 0
    assert pack(chorales, adapter, tmp_path / "other", "--seed", "1") == 0
    for path in folder.rglob("*"):
        if path.is_file():
            assert (tmp_path / "same" / path.relative_to(folder)).read_bytes() == path.read_bytes()
    assert Study.read(tmp_path / "other").name != Study.read(folder).name


def test_absent_tags_are_assumed_if_the_manifest_has_none(vocabulary):
    def track(number, *tags):
        caption = Caption(f"{' and '.join(tags)} together")
        return Track(f"t{number}", f"{number}.wav", 0, 5, (caption,), tags, None, "test")

    tags = ClipTags.of(track(0, "electric guitar", "piano"), vocabulary)
    assert tags.assumed
    assert tags.fit((("guitar", True), ("drums", False))) == 1.0  # "guitar" is a broader tag
    assert tags.fit((("piano", False), ("drums", False))) == 0.5
    labelled = Track("s", "s.wav", 0, 5, (), ("piano",), ("drums",), "test")
    tags = ClipTags.of(labelled, vocabulary)
    assert tags.fit((("vocals", False),)) is None  # neither present nor absent
    names = ("piano", "drums", "vocals", "hip hop", "slow", "fast")
    tracks = [track(number, *pair) for number, pair in enumerate(combinations(names, 2))]
    assert all(question.assumed for question in draw_questions(tracks, vocabulary, 3, 1, seed=0))


@pytest.mark.parametrize(
    ("more", "message"),
    [
        (("--split", "nowhere"), "no track of split 'nowhere'"),
        (("--pairs", "500"), "pairs per negation level, expected 500"),
        (("--checks", "500"), "attention checks, expected 500"),
        (("--seconds", "0"), "seconds"),
    ],
)
def test_user_errors_of_pack_are_one_line(chorales, adapter, tmp_path, capsys, more, message):
    assert pack(chorales, adapter, tmp_path / "out", *more) == 2
    error = capsys.readouterr().err
    assert message in error
    assert error.count("\n") == 1
    assert not (tmp_path / "out").exists()


def test_a_study_is_never_overwritten(folder, chorales, adapter, capsys):
    assert pack(chorales, adapter, folder) == 2
    assert "not an empty folder" in capsys.readouterr().err


# A simulated study without audio, large enough to estimate the noise of raters.

PER_LEVEL, N_CHECKS = 200, 10
NOISE = (0.05, 0.1, 0.2, 0.25, 0.3)
MODEL_NOISE = 0.2


def other(side):
    return "B" if side == "A" else "A"


@pytest.fixture(scope="module")
def large():
    rng = random.Random(0)
    clips = (Clip("a.wav", "a", 5.0, 1.0), Clip("b.wav", "b", 5.0, 0.0))
    kinds = [(level, None) for level in LEVELS for _ in range(PER_LEVEL)]
    kinds += [(None, number) for number in range(N_CHECKS) for _ in range(2)]
    trials = []
    for number, (level, check) in enumerate(kinds, start=1):
        truth = "AB"[number % 2]
        chosen = truth if rng.random() >= MODEL_NOISE else other(truth)
        noisy = (1.0, 0.0) if chosen == "A" else (0.0, 1.0)
        right, tied = ((1.0, 0.0) if truth == "A" else (0.0, 1.0)), (0.5, 0.5)
        similarities = {"noisy": noisy, "right": right, "tied": tied}
        ordered = clips if truth == "A" else clips[::-1]
        trials.append(
            Trial(number, f"text {number}", (), level, check, truth, False, ordered, similarities)
        )
    return Study("large", {}, ("noisy", "right", "tied"), tuple(trials))


def simulated(study, name, choose, seconds=12.0):
    """Return a rater whose answers ``choose`` gives."""
    rng = random.Random(name)
    answers = {t.number: Answer(choose(t, rng), seconds) for t in study.trials}
    return Rater(name, answers)


def honest(study, name, noise):
    """Return a rater who is wrong at random, but never in attention checks."""

    def choose(trial, rng):
        wrong = trial.check is None and rng.random() < noise
        return other(trial.truth) if wrong else trial.truth

    return simulated(study, name, choose)


@pytest.fixture(scope="module")
def panel(large):
    return [honest(large, f"honest {noise}", noise) for noise in NOISE]


@pytest.fixture(scope="module")
def analysed(large, panel):
    return analyse(large, panel)


def careless(study):
    return [
        simulated(study, "random", lambda trial, rng: rng.choice("AB")),
        simulated(study, "one side", lambda trial, rng: "A"),
        simulated(study, "hasty", lambda trial, rng: trial.truth, seconds=4.0),
    ]


def majority_right(noise):
    """Return the probability that the majority is correct."""
    return sum(
        prod(1 - e if right else e for e, right in zip(noise, outcome, strict=True))
        for outcome in product((True, False), repeat=len(noise))
        if 2 * sum(outcome) > len(noise)
    )


def test_the_analysis_recovers_the_noise_of_a_panel(analysed):
    rows = analysed.panels["kept"]
    alpha = np.mean([(1 - 2 * e) * (1 - 2 * f) for e, f in combinations(NOISE, 2)])
    majority = majority_right(NOISE)
    model = (1 - MODEL_NOISE) * majority + MODEL_NOISE * (1 - majority)
    assert list(rows) == [*LEVELS, OVERALL]
    for name, row in rows.items():
        tolerance = 0.04 if name == OVERALL else 0.07
        for estimate, expected in (
            (row.alpha, alpha),
            (row.rater, 1 - np.mean(NOISE)),
            (row.majority, majority),
            (row.model["noisy"], model),
            (row.model["right"], majority),
            (row.model["tied"], 0.5),
            (row.model_right["noisy"], 1 - MODEL_NOISE),
        ):
            assert estimate.value == pytest.approx(expected, abs=tolerance)
            assert estimate.low - 0.02 <= expected <= estimate.high + 0.02
            assert estimate.high - estimate.low < 0.2
            assert estimate.n == (3 if name == OVERALL else 1) * PER_LEVEL
        assert row.answers == len(NOISE) * row.alpha.n


def test_careless_raters_are_flagged_and_left_out(large, panel, analysed):
    analysis = analyse(large, [*careless(large), *panel])
    by_random, one_side, hasty, *others = analysis.verdicts
    assert by_random.flags[0].startswith("failed checks (")
    assert one_side.flags == (
        "failed checks (10 of 20 correct)",
        "mostly one side (A in 620 of 620)",
    )
    assert one_side.consistent == 0.0
    assert hasty.flags == ("faster than the clips (100 % of answers)",)
    assert [verdict.flags for verdict in others] == [()] * len(NOISE)
    assert analysis.kept == len(NOISE)
    assert analysis.panels["kept"] == analysed.panels["all"]
    with_all = analysis.panels["all"][OVERALL]
    assert with_all.alpha.value < analysis.panels["kept"][OVERALL].alpha.value - 0.05


def test_ties_count_half_and_missing_answers_do_not_count(large):
    right, wrong = (
        simulated(large, name, lambda trial, rng, flip=flip: flip(trial.truth))
        for name, flip in (("right", str), ("wrong", other))
    )
    first = {number: right.answers[number] for number in range(1, 11)}
    row = analyse(large, [right, wrong, Rater("short", first)]).panels["all"]["original"]
    assert row.majority.value == pytest.approx((10 + 0.5 * (PER_LEVEL - 10)) / PER_LEVEL)
    assert row.answers == 2 * PER_LEVEL + 10
    alone = analyse(large, [Rater("short", first)]).panels["all"]
    assert np.isnan(alone["original"].alpha.value)  # needs a second rater
    assert alone["fully"].majority.n == 0
    assert np.isnan(judge(large, Rater("short", first)).right)


def written(path, study, rater, changed=None):
    answers = [
        {"trial": number, "choice": choice, "seconds": seconds, "plays": {"A": 1, "B": 1}}
        for number, (choice, seconds) in rater.answers.items()
    ]
    data = {"study": study.name, "rater": rater.name, "answers": answers} | (changed or {})
    path.write_text(json.dumps(data))
    return str(path)


def test_results_writes_tables_and_pictures(folder, study, tmp_path, capsys):
    raters = [honest(study, f"rater{i}", 0.1) for i in range(3)]
    raters.append(simulated(study, "lazy|one", lambda trial, rng: "B"))
    paths = [written(tmp_path / f"{i}.json", study, rater) for i, rater in enumerate(raters)]
    out = tmp_path / "found"
    assert main(["listening", "results", str(folder), *paths, "--out", str(out)]) == 0
    assert "4 raters, 3 without a flag" in capsys.readouterr().out
    results = json.loads((out / "results.json").read_text())
    assert results["panels"]["kept"]["raters"] == 3
    level = results["panels"]["kept"]["levels"]["fully"]
    assert level["model"].keys() == {"Pitch", "Other"}
    assert level["majority"]["n"] == PAIRS
    table = (out / "table.md").read_text()
    assert r"| lazy\|one | 23 | 50 % of 8 |" in table
    assert "| Pitch: agreement with the majority |" in table
    for name in ("agreement.png", "agreement.svg"):
        assert (out / name).stat().st_size > 10_000


def test_results_if_every_rater_is_flagged(folder, study, tmp_path):
    lazy = simulated(study, "lazy", lambda trial, rng: "B")
    path = written(tmp_path / "lazy.json", study, lazy)
    assert main(["listening", "results", str(folder), path, "--out", str(tmp_path / "out")]) == 0
    results = json.loads((tmp_path / "out" / "results.json").read_text())
    assert results["panels"].keys() == {"all"}
    assert results["panels"]["all"]["levels"]["overall"]["alpha"]["value"] is None


GOOD = {"trial": 1, "choice": "A", "seconds": 3.0}


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"study": "else"}, "answers to study 'else', expected"),
        ({"rater": ""}, "rater is '', expected a name"),
        ({"answers": []}, "contains no answers"),
        ({"more": 1}, "expected an object with study, rater and answers"),
        ({"answers": [1]}, "answers[0] is 1, expected an object"),
        ({"answers": [GOOD, GOOD]}, "answers[1]: second answer to trial 1"),
        (
            {"answers": [GOOD | {"trial": 99}]},
            "answers[0]: trial is 99, which",
        ),
        ({"answers": [GOOD | {"choice": "C"}]}, "answers[0]: choice is 'C', expected one of"),
        (
            {"answers": [GOOD | {"seconds": -1}]},
            "answers[0]: seconds is -1, expected",
        ),
    ],
)
def test_invalid_answers_are_one_line_that_names_the_file(
    folder, study, tmp_path, capsys, changed, message
):
    path = written(tmp_path / "invalid.json", study, honest(study, "r", 0.0), changed)
    assert main(["listening", "results", str(folder), path, "--out", str(tmp_path / "out")]) == 2
    error = capsys.readouterr().err
    assert error.startswith(f"negclap: error: {path}: ")
    assert message in error
    assert error.count("\n") == 1


def test_invalid_files_are_one_line(folder, study, tmp_path, capsys):
    one = written(tmp_path / "one.json", study, honest(study, "r", 0.0))
    two = written(tmp_path / "two.json", study, honest(study, "r", 0.0))
    broken = tmp_path / "broken.json"
    broken.write_text("{")
    (tmp_path / "key.json").write_text("{}")
    for arguments, message in (
        ((folder, one, two), f"{two}: rater 'r' is also in {one}"),
        ((folder, broken), f"{broken}: not JSON"),
        ((folder, tmp_path / "none.json"), "none.json: no such file"),
        ((folder / "page", one), "key.json: no such file"),
        ((tmp_path, one), "key.json: not the key of a study"),
    ):
        given = list(map(str, arguments))
        assert main(["listening", "results", *given, "--out", str(tmp_path / "out")]) == 2
        error = capsys.readouterr().err
        assert message in error
        assert error.count("\n") == 1


def test_a_missing_extra_is_reported(folder, study, tmp_path, capsys, monkeypatch):
    monkeypatch.setitem(sys.modules, "krippendorff", None)
    monkeypatch.delitem(sys.modules, "negclap.listening.results")
    path = written(tmp_path / "r.json", study, honest(study, "r", 0.0))
    assert main(["listening", "results", str(folder), path, "--out", str(tmp_path / "out")]) == 2
    assert "krippendorff: pip install 'negclap[listening]'" in capsys.readouterr().err
