import hashlib
import json
import shutil
from dataclasses import replace

import numpy as np
import pytest
import soundfile as sf

from negclap.cli import main
from negclap.data.sources.chorales import BuildPlan, build
from negclap.data.sources.chorales import render as rendering
from negclap.data.sources.chorales.arrangement import (
    CLIP_S,
    EXTRA_PROGRAMS,
    MIN_WINDOW_S,
    PROGRAMS,
    VOCABULARY,
    draw_arrangement,
    stem_notes,
)
from negclap.data.sources.chorales.build import SPLIT_CLIPS, split_scores
from negclap.data.sources.chorales.render import SAMPLE_RATE, SOUNDFONT, _render_stem
from negclap.data.sources.chorales.scores import corpus_files, load_scores
from negclap.data.tracks import read_manifest
from negclap.errors import InputError
from negclap.rng import stream
from negclap.text.negate import is_negated
from tests.conftest import TINY_PLAN, silent_progress


def digest(folder):
    return {
        path.relative_to(folder).as_posix(): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }


@pytest.fixture(scope="module")
def scores(chorales):
    files = corpus_files()[: TINY_PLAN.chorales]
    return [score for score in load_scores(chorales / "scores.json", files, 1) if score]


def test_default_plan_is_the_full_data_set():
    assert (
        BuildPlan().split_sizes() == SPLIT_CLIPS == {"train": 4000, "validation": 512, "test": 2048}
    )


def test_tags_are_exact(tracks):
    assert len(PROGRAMS) >= 12
    for track in tracks:
        assert sorted(track.tags + track.absent_tags) == sorted(VOCABULARY.names)
        for caption in track.captions:
            mentions = VOCABULARY.find(caption.text)
            assert 2 <= len({mention.tag for mention in mentions}) <= 4 or len(track.tags) < 3
            assert all(mention.tag in track.tags for mention in mentions)
            assert not any(is_negated(caption.text, mentions, i) for i in range(len(mentions)))


def test_every_tag_occurs(tracks):
    assert {tag for track in tracks for tag in track.tags} == set(VOCABULARY.names)


def test_audio_matches_the_manifest(chorales, tracks):
    loudness = {}
    for track in tracks:
        samples, rate = sf.read(chorales / track.audio)
        assert rate == SAMPLE_RATE
        assert len(samples) == round(track.duration_s * rate) == round(CLIP_S * rate)
        level = 10 * np.log10(np.square(samples).mean())
        dynamics = next((t for t in ("quiet", "loud") if t in track.tags), "medium")
        loudness.setdefault(dynamics, []).append(level)
    assert max(loudness["quiet"]) < min(loudness["medium"])
    assert max(loudness["medium"]) < min(loudness["loud"])


def test_no_melody_is_in_two_splits(scores):
    splits = split_scores(scores)
    melodies = {name: {score.melody for score in members} for name, members in splits.items()}
    names = list(melodies)
    for i, one in enumerate(names):
        for other in names[i + 1 :]:
            assert melodies[one].isdisjoint(melodies[other])
    assert sum(map(len, splits.values())) == len(scores)


def test_splits_of_the_manifest_share_no_score(tracks):
    by_split = {}
    for track in tracks:
        by_split.setdefault(track.split.removesuffix("_twin"), set()).add(track.meta["score"])
    assert by_split["train"].isdisjoint(by_split["test"] | by_split["validation"])
    assert by_split["test"].isdisjoint(by_split["validation"])


def test_twins_differ_in_exactly_one_tag(tracks):
    by_id = {track.track_id: track for track in tracks}
    twins = [track for track in tracks if track.split == "test_twin"]
    assert twins
    for twin in twins:
        original = by_id[twin.meta["twin_of"]]
        assert set(twin.tags) ^ set(original.tags) == {twin.meta["toggled"]}
        assert twin.meta["score"] == original.meta["score"]


@pytest.mark.parametrize("tag", [*PROGRAMS, *EXTRA_PROGRAMS])
def test_every_instrument_sounds_in_every_window(scores, tag):
    """Check the guarantee of `draw_arrangement` by the energy in each window of the stem."""
    for attempt in range(200):
        rng = stream("audible", tag, attempt)
        score = rng.choice(scores)
        arrangement = draw_arrangement(score, rng)
        for stem in arrangement.stems:
            if stem.tag == tag:
                energy = np.square(
                    _render_stem(score, arrangement, stem, SOUNDFONT).astype(np.float64)
                )
                window = round(MIN_WINDOW_S * SAMPLE_RATE)
                sums = np.concatenate(([0.0], energy.cumsum()))
                quietest = (sums[window:] - sums[:-window]).min()
                assert quietest > 0.1 * energy.sum()
                assert stem_notes(score, arrangement, stem)
                return
    pytest.fail(f"{tag} was never drawn")


@pytest.fixture(scope="module")
def small_plan():
    return BuildPlan(clips=13, seed=1, chorales=20)


@pytest.fixture(scope="module")
def small_set(small_plan, tmp_path_factory):
    out = tmp_path_factory.mktemp("small")
    build(small_plan, out, jobs=2, progress=silent_progress)
    return out


def test_files_do_not_depend_on_the_number_of_jobs(small_plan, small_set, tmp_path):
    build(small_plan, tmp_path, jobs=1, progress=silent_progress)
    assert digest(tmp_path) == digest(small_set)


def test_interrupted_build_resumes(small_plan, small_set, tmp_path):
    shutil.copytree(small_set, tmp_path / "set")
    (tmp_path / "set" / "manifest.jsonl").unlink()
    clips = sorted((tmp_path / "set" / "audio").iterdir())
    kept = clips[0].stat().st_mtime_ns
    for clip in clips[5:]:
        clip.unlink()
    build(small_plan, tmp_path / "set", jobs=1, progress=silent_progress)
    assert digest(tmp_path / "set") == digest(small_set)
    assert clips[0].stat().st_mtime_ns == kept


def test_interrupted_build_leaves_no_manifest(small_plan, small_set, tmp_path):
    def interrupt_halfway(title, total, items):
        for i, item in enumerate(items):
            if title == "rendering clips" and i == 5:
                raise KeyboardInterrupt
            yield item

    shutil.copytree(
        small_set, tmp_path / "set", ignore=shutil.ignore_patterns("audio", "manifest*")
    )
    with pytest.raises(KeyboardInterrupt):
        build(small_plan, tmp_path / "set", jobs=1, progress=interrupt_halfway)
    assert not (tmp_path / "set" / "manifest.jsonl").exists()
    for clip in (tmp_path / "set" / "audio").glob("*.wav"):
        assert sf.info(clip).duration == CLIP_S
    build(small_plan, tmp_path / "set", jobs=2, progress=silent_progress)
    assert digest(tmp_path / "set") == digest(small_set)


def test_another_plan_in_the_same_folder_is_rejected(small_set):
    with pytest.raises(InputError, match="choose another folder"):
        build(BuildPlan(clips=14, seed=1, chorales=20), small_set, 1, silent_progress)


def test_invalid_cache_is_reported(small_plan, small_set, tmp_path):
    shutil.copytree(small_set, tmp_path / "set")
    (tmp_path / "set" / "scores.json").write_text(json.dumps({"files": []}))
    with pytest.raises(InputError, match="delete it"):
        build(small_plan, tmp_path / "set", 1, silent_progress)
    (tmp_path / "set" / "scores.json").write_text("{")
    with pytest.raises(InputError, match="invalid"):
        build(small_plan, tmp_path / "set", 1, silent_progress)


@pytest.mark.parametrize(("clips", "chorales", "jobs"), [(12, 0, 1), (100, 5, 1), (100, 20, 0)])
def test_sizes_out_of_range_are_rejected(tmp_path, clips, chorales, jobs):
    with pytest.raises(InputError, match="expected"):
        build(BuildPlan(clips=clips, chorales=chorales), tmp_path / "x", jobs, silent_progress)


def test_another_seed_gives_other_clips(small_set, tmp_path):
    build(BuildPlan(clips=13, seed=2, chorales=20), tmp_path, 2, silent_progress)
    one, other = (read_manifest(folder / "manifest.jsonl") for folder in (small_set, tmp_path))
    assert [track.tags for track in one] != [track.tags for track in other]


def test_train_clips_does_not_change_other_clips(small_set, tmp_path):
    plan = BuildPlan(clips=13, seed=1, chorales=20, train_clips=11)
    build(plan, tmp_path, 2, silent_progress)
    large = {track.track_id: track for track in read_manifest(tmp_path / "manifest.jsonl")}
    assert sum(track.split == "train" for track in large.values()) == 11
    for track in read_manifest(small_set / "manifest.jsonl"):
        assert large[track.track_id] == track
        ours, theirs = (folder / track.audio for folder in (tmp_path, small_set))
        assert ours.read_bytes() == theirs.read_bytes()


def test_another_soundfont_is_another_plan(small_plan, small_set, tmp_path):
    with pytest.raises(InputError, match="SoundFont not found"):
        BuildPlan(soundfont=(SOUNDFONT, tmp_path / "none.sf2"))
    padded = tmp_path / "other.sf2"
    padded.write_bytes(SOUNDFONT.read_bytes() + b"\0\0")
    with pytest.raises(InputError, match="choose another folder"):
        build(replace(small_plan, soundfont=(padded,)), small_set, 1, silent_progress)


def test_with_several_soundfonts_each_renders_some_stems(small_plan, scores, tmp_path, monkeypatch):
    used = []

    def render_stem(score, arrangement, stem, soundfont):
        used.append(soundfont)
        return _render_stem(score, arrangement, stem, SOUNDFONT)

    monkeypatch.setattr(rendering, "_render_stem", render_stem)
    other = tmp_path / "other.sf2"
    for number in range(8):
        rng = stream("several", number)
        score = rng.choice(scores)
        arrangement = draw_arrangement(score, rng)
        alone = rendering.render(score, arrangement, str(number))
        again = rendering.render(score, arrangement, str(number), (SOUNDFONT, other))
        np.testing.assert_array_equal(alone, again)
    assert 0.3 < used.count(other) / (len(used) / 2) < 0.7


def test_command_accepts_several_soundfonts(tmp_path):
    other = tmp_path / "other.sf2"
    other.write_bytes(SOUNDFONT.read_bytes() + b"\0\0")
    size = ["--clips", "13", "--chorales", "20", "--jobs", "1"]
    small = ["prepare", "chorales", "--out", str(tmp_path / "set"), *size]
    assert main([*small, f"--soundfont=[{SOUNDFONT},{other}]"]) == 0
    one = json.loads((tmp_path / "set" / "build.json").read_text())
    assert len(set(one["soundfont"].split("+"))) == 2
    assert main([*small, f"--soundfont=[{SOUNDFONT}]"]) == 2
