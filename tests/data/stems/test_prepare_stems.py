import json
from dataclasses import replace

import numpy as np
import pytest
import soundfile as sf

from negclap.audio import read_excerpt
from negclap.cli import main
from negclap.data.dataset import Excerpts
from negclap.data.manifest import parse_manifest
from negclap.data.mixes import MixDataset
from negclap.data.stems.layouts import FoundSong
from negclap.data.stems.mixing import Mixing
from negclap.data.stems.prepare import (
    ADDED,
    EXCHANGED,
    StemsPlan,
    frame_levels,
    prepare_stems,
    split_songs,
)
from negclap.data.stems.rendering import coded, compressed, equalised, in_room, loud, render
from negclap.data.stems.songs import read_songs
from negclap.data.tracks import read_manifest, read_vocabulary
from negclap.data.training_texts import Exclude, Insert, TrainingTexts
from negclap.errors import InputError
from negclap.evaluation.exam import make_exam
from negclap.rng import stream
from negclap.text.vocabulary import Vocabulary
from tests.conftest import silent_progress
from tests.data.stems import sets

SIZES = {"sample_rate": sets.RATE, "excerpt_s": 3.0, "validation_mixes": 6, "test_mixes": 24}


def plan_of(root, **values):
    return StemsPlan(root / "set", root / "out", **(SIZES | values))


def prepare(root, **values):
    return prepare_stems(plan_of(root, **values), 1, silent_progress)


def rejections(root):
    lines = (root / "out" / "rejected.jsonl").read_text().splitlines()
    return [(one["place"], one["reason"]) for one in map(json.loads, lines)]


@pytest.fixture(scope="module")
def prepared(tmp_path_factory):
    root = tmp_path_factory.mktemp("stems")
    sets.folder(root / "set")
    summary = prepare(root, groups={"test": ("d",)})
    return root / "out", summary


def test_the_summary_counts_everything(prepared):
    out, summary = prepared
    assert summary.songs == {"train": 4, "validation": 2, "test": 2}
    assert summary.mixes["validation"] == 6
    assert summary.mixes["test"] == 24
    assert 1 <= summary.mixes["test_twin"] <= 12
    tags = ("vocals", "drums", "bass", "guitar", "backing vocals")
    assert summary.stems == dict.fromkeys(tags, 8)
    assert not summary.rejected
    assert (out / "rejected.jsonl").read_text() == ""


def test_mixes_are_of_songs_of_their_split(prepared):
    out, _ = prepared
    songs = {song.song_id: song for song in read_songs(out / "stems.jsonl")}
    for track in parse_manifest(out / "manifest.jsonl"):
        split = "test" if track.split == "test_twin" else track.split
        assert {songs[name].split for name in track.meta["songs"]} == {split}
        assert track.meta["group"] == songs[track.meta["songs"][0]].group
        vocabulary = Vocabulary.load(out / "vocabulary.json")
        assert {*track.tags, *track.absent_tags} <= {*vocabulary.names}


def test_twins_differ_in_a_tag_and_in_their_kind(prepared):
    out, _ = prepared
    tracks = {track.track_id: track for track in parse_manifest(out / "manifest.jsonl")}
    kinds = set()
    for twin in (track for track in tracks.values() if track.split == "test_twin"):
        first = tracks[twin.meta["twin_of"]]
        toggled = twin.meta["toggled"]
        sides = (first.tags, twin.absent_tags), (twin.tags, first.absent_tags)
        assert any(toggled in has and toggled in lacks for has, lacks in sides)
        change = abs(first.meta["parts"] - twin.meta["parts"])
        assert change == (0 if twin.meta["twin"] == EXCHANGED else 1)
        kinds.add(twin.meta["twin"])
    assert kinds == {ADDED, EXCHANGED}


def test_questions_about_twins_are_about_what_differs(prepared):
    out, _ = prepared
    tracks = read_manifest(out / "manifest.jsonl")
    test, twins = (list(tracks.split(name)) for name in ("test", "test_twin"))
    exam = make_exam(test, twins, read_vocabulary(out / "manifest.jsonl"), 0)
    assert len(exam.twins) == len(twins)
    for question, twin in zip(exam.twins, twins, strict=True):
        for tag, has in question.affirmed.claims:
            if tag != twin.meta["toggled"]:
                assert has
                assert all(
                    tag in (test if own else twins)[row].tags
                    for own, row in (question.has, question.lacks)
                )


def test_mixes_are_equally_loud(prepared):
    import pyloudnorm

    out, _ = prepared
    for track in list(parse_manifest(out / "manifest.jsonl"))[:8]:
        audio, rate = sf.read(out / track.audio)
        assert len(audio) == 3 * sets.RATE
        assert pyloudnorm.Meter(rate).integrated_loudness(audio) == pytest.approx(-20, abs=0.2)


def test_a_mix_is_the_sum_of_its_parts(prepared):
    out, _ = prepared
    songs = read_songs(out / "stems.jsonl")
    dataset = mixes_of(out, together=1.0)
    parts = dataset.mixer.draw(dataset.mixing, stream(1))
    mix = render(parts, out, 3.0, sets.RATE)
    expected = sum(
        10 ** (part.gain_db / 20) * read_excerpt(out / stem.audio, part.start / 2, 3.0, sets.RATE)
        for part in parts
        for stem in part.stems
    )
    assert len(songs) == 8
    cosine = mix @ expected / np.linalg.norm(mix) / np.linalg.norm(expected)
    assert cosine == pytest.approx(1.0, abs=1e-4)


def mixes_of(out, split="train", **mixing):
    vocabulary = Vocabulary.load(out / "vocabulary.json")
    texts = TrainingTexts(vocabulary, Insert(), Exclude(share=0.5), 0, frozenset({"exclusion"}))
    excerpts = Excerpts(sets.RATE, 3.0, 0)
    return MixDataset(out, split, vocabulary, Mixing(mixes=40, **mixing), excerpts, texts)


def test_an_unknown_kind_of_parts_is_an_error(prepared):
    with pytest.raises(InputError, match=r"mixing\.kinds has \['kazoo'\], expected .*drums"):
        mixes_of(prepared[0], kinds=("drums", "kazoo"))


def test_training_mixes_are_pure_functions_of_seed_epoch_and_index(prepared):
    out, _ = prepared
    first, again = mixes_of(out), mixes_of(out)
    assert len(first) == 40
    for key in ((0, 3), (1, 3), (1, 4)):
        one, other = first[key], again[key]
        np.testing.assert_array_equal(one.waveform, other.waveform)
        assert one.texts == other.texts
        assert one.waveform.dtype == np.float32
        assert len(one.waveform) == 3 * sets.RATE
        assert np.abs(one.waveform).max() < 1
    waveforms = [first[key].waveform for key in ((0, 3), (1, 3), (1, 4))]
    assert not np.array_equal(waveforms[0], waveforms[1])
    assert not np.array_equal(waveforms[1], waveforms[2])


def test_exclusion_captions_are_true_of_the_mix(prepared):
    dataset = mixes_of(prepared[0])
    texts = {one.true for i in range(40) for one in dataset[0, i].texts.exclusions}
    assert any("no " in text or "without " in text for text in texts)


def test_songs_of_another_split_are_not_mixed(prepared):
    out, _ = prepared
    groups = {song.group for song in mixes_of(out, "test").mixer.songs}
    assert groups == {"d"}
    with pytest.raises(InputError, match=r"no song of split 'valid', expected one of \['test'"):
        mixes_of(out, "valid")


@pytest.mark.parametrize("change", [equalised, in_room, compressed, coded])
def test_changes_of_sound_keep_the_length(change):
    mix = sets.tone(440.0, 2.0)
    changed = change(mix, sets.RATE, stream(0))
    assert changed.shape == mix.shape
    assert changed.dtype == np.float32
    assert not np.allclose(changed, mix)
    np.testing.assert_array_equal(changed, change(mix, sets.RATE, stream(0)))


@pytest.mark.parametrize("rate", [8_000, 16_000, 22_050, 44_056, 44_100, 48_000])
def test_codecs_delay_nothing(rate):
    mix = sets.tone(440.0, 2.0, rate).astype(np.float32)
    mix *= np.linspace(0, 1, len(mix), dtype=np.float32)
    for seed in range(12):
        changed = coded(mix, rate, stream(seed))
        assert changed.shape == mix.shape
        assert np.corrcoef(mix, changed)[0, 1] > 0.98
        assert not np.array_equal(mix, changed)


def test_a_compressor_makes_levels_more_alike():
    quiet_and_loud = sets.tone(440.0, 2.0) * np.repeat([0.1, 1.0], sets.RATE).astype(np.float32)
    for seed in range(8):
        changed = compressed(quiet_and_loud, sets.RATE, stream(seed))
        before, after = (
            np.std(each[: sets.RATE]) / np.std(each[sets.RATE :])
            for each in (quiet_and_loud, changed)
        )
        assert before < after < 1


def test_loud_mixes_do_not_clip():
    click = np.zeros(2 * sets.RATE, np.float32)
    click[100] = 0.5
    assert np.abs(loud(click, sets.RATE, -10.0)).max() < 1.0


def test_levels_are_those_of_each_half_second():
    mono = np.concatenate((sets.tone(400, 0.5), np.zeros(sets.RATE // 2), sets.tone(400, 0.25)))
    assert frame_levels(mono.astype(np.float32), sets.RATE) == (-17, -120, -20)


def found(name, group, split=""):
    return FoundSong(name, group, (), split)


def test_groups_stay_together(tmp_path):
    songs = [found(f"{group}{i}", group) for group in "abcdefghij" for i in range(3)]
    splits = split_songs(songs, plan_of(tmp_path))
    by_group = {song.group: splits[song.song_id] for song in songs}
    assert all(splits[song.song_id] == by_group[song.group] for song in songs)
    assert sorted(by_group.values()) == ["test"] * 2 + ["train"] * 7 + ["validation"]


def test_sources_without_validation_give_training_groups(tmp_path):
    songs = [found(f"train/{i}", f"g{i}", "train") for i in range(20)]
    splits = split_songs([*songs, found("test/x", "x", "test")], plan_of(tmp_path))
    assert splits["test/x"] == "test"
    kinds = [splits[song.song_id] for song in songs]
    assert kinds.count("validation") in (2, 3)
    assert {*kinds} == {"train", "validation"}


def test_every_split_can_have_groups_of_the_plan(tmp_path):
    songs = [found(name, name) for name in "abc"]
    plan = plan_of(tmp_path, groups={"train": ("a",), "validation": ("b",), "test": ("c",)})
    assert split_songs(songs, plan) == {"a": "train", "b": "validation", "c": "test"}
    with pytest.raises(InputError, match="groups: 'd' has no split"):
        split_songs([*songs, found("d", "d")], plan)


def test_groups_to_test_on_must_exist(tmp_path):
    with pytest.raises(InputError, match="groups: 'z' is no group of a"):
        split_songs([found("a", "a")], plan_of(tmp_path, groups={"test": ("z",)}))


def test_what_cannot_be_used_is_listed(tmp_path):
    folder = sets.folder(tmp_path / "set") / "a" / "one"
    (folder / "one_VOX.wav").write_bytes(b"no audio")
    sf.write(folder / "one_KICK.wav", np.zeros(sets.RATE), sets.RATE)
    sf.write(folder / "one_BS.wav", np.full(sets.RATE, np.nan, "f4"), sets.RATE, subtype="FLOAT")
    sets.write(folder / "one_GTR-L.wav", 440.0, seconds=3.0, rate=2 * sets.RATE)
    sets.write(folder / "one_TEXTURE.wav")
    summary = prepare(tmp_path, groups={"test": ("d",)})
    assert sorted(rejections(tmp_path)) == [
        (str(folder / "one_BS.wav"), "unreadable audio"),
        (str(folder / "one_GTR-L.wav"), "shorter than its song"),
        (str(folder / "one_KICK.wav"), "silent stem"),
        (str(folder / "one_TEXTURE.wav"), "unknown stem"),
        (str(folder / "one_VOX.wav"), "unreadable audio"),
    ]
    assert summary.rejected.total() == 5
    songs = {song.song_id: song for song in read_songs(tmp_path / "out" / "stems.jsonl")}
    assert [stem.name for stem in songs["a/one"].stems] == ["BGVOX 1", "GTR-L"]
    assert len(songs["a/one"].stems[1].levels_db) == 6  # at its own rate it lasts 3 s


def test_a_split_without_songs_is_named(tmp_path):
    sets.write(tmp_path / "set" / "song" / "VOX.wav")
    with pytest.raises(InputError, match="no song of split 'test' for 24 mixes"):
        prepare(tmp_path)


def test_missing_folders_and_songs_are_named(tmp_path):
    with pytest.raises(InputError, match="set: folder not found"):
        prepare(tmp_path)
    path = tmp_path / "stems.jsonl"
    with pytest.raises(InputError, match="not found, expected the songs of"):
        read_songs(path)
    path.write_text('{"song_id": 1}\n')
    with pytest.raises(InputError, match=r"stems\.jsonl:1: not a song"):
        read_songs(path)


def test_the_command_prepares_and_lists(tmp_path, capsys):
    sets.folder(tmp_path / "set")
    values = [f"--{name}={value}" for name, value in SIZES.items()]
    where = [f"--audio={tmp_path / 'set'}", f"--out={tmp_path / 'out'}", "--groups={test: [d]}"]
    assert not main(["prepare", "stems", *where, *values, "--jobs=1"])
    printed = capsys.readouterr().out
    assert "stems by tag" in printed
    summary = json.loads((tmp_path / "out" / "summary.json").read_text())
    assert summary["stems"]["guitar"] == 8


def test_m4a_stems_are_decoded(tmp_path):
    av = pytest.importorskip("av")
    folder = sets.folder(tmp_path / "set") / "a" / "one"
    tone = sets.tone(440.0, rate=44_100)
    with av.open(str(folder / "one_SYN.m4a"), "w") as file:
        track = file.add_stream("aac", rate=44_100)
        frame = av.AudioFrame.from_ndarray(np.stack((tone, tone)), "fltp", "stereo")
        frame.sample_rate = 44_100
        for packet in (*track.encode(frame), *track.encode(None)):
            file.mux(packet)
    prepare(tmp_path, groups={"test": ("d",)})
    assert not rejections(tmp_path)
    songs = {song.song_id: song for song in read_songs(tmp_path / "out" / "stems.jsonl")}
    (stem,) = (stem for stem in songs["a/one"].stems if stem.name == "SYN")
    decoded = read_excerpt(tmp_path / "out" / stem.audio, 2.0, 1.0, sets.RATE)
    spectrum = np.abs(np.fft.rfft(decoded))
    assert spectrum.argmax() == 440
    assert stem.levels_db[4] == pytest.approx(-17, abs=1)


def test_plans_of_other_rates_are_resampled(tmp_path):
    sets.folder(tmp_path / "set")
    plan = replace(plan_of(tmp_path, groups={"test": ("d",)}), sample_rate=16_000)
    prepare_stems(plan, 1, silent_progress)
    audio, rate = sf.read(tmp_path / "out" / "mixes" / "test-00000.wav")
    assert (rate, len(audio)) == (16_000, 48_000)
