"""experiments/real in miniature."""

import json
import sys
from dataclasses import replace

import artists
import by_song
import controls
import five_kinds
import methods
import mir1k
import numpy as np
import pytest
import sentences
import soundfile as sf
import stored_features
import torch
import train

from negclap.audio import read_excerpt
from negclap.cli import main as cli
from negclap.data.tracks import read_manifest
from negclap.models.musicnn import MusicnnEncoder
from negclap.rng import stream
from negclap.text.detect import find_negations
from negclap.text.vocabulary import music_vocabulary
from tests.data.stems import sets


def test_controls_of_mixes(tmp_path, monkeypatch, capsys):
    sets.folder(tmp_path / "set")
    data, out = tmp_path / "data", tmp_path / "out"
    sizes = ["--validation_mixes=24", "--test_mixes=48", "--excerpt_s=3", "--groups={test: [d]}"]
    assert not cli(["prepare", "stems", f"--audio={tmp_path / 'set'}", f"--out={data}", *sizes])
    monkeypatch.setattr(
        sys,
        "argv",
        ["controls.py", str(data / "manifest.jsonl"), f"--out={out}", "--genre=rock=d/one"],
    )
    monkeypatch.setattr(controls, "LEAST_MIXES", 5)
    controls.main()
    found = json.loads((out / "controls.json").read_text())
    assert {"audio_ceiling", "true_absence", "paired/exchanged"} <= {*found["probe"]}
    assert -1 <= found["built-in"]["no X against parts"] <= 1
    assert 0 < found["built-in"]["rock"] < 1
    shares = [value for key, value in found["built-in"].items() if "called" in key]
    assert len(shares) == 4
    assert all(0 <= share <= 1 for share in shares)
    assert "no X against parts" in capsys.readouterr().out


def test_methods_on_stored_outputs(tmp_path, monkeypatch, capsys):
    sets.folder(tmp_path / "set")
    data, pool, out = tmp_path / "data", tmp_path / "pool.npz", tmp_path / "out"
    sizes = ["--validation_mixes=16", "--test_mixes=24", "--excerpt_s=3", "--groups={test: [d]}"]
    assert not cli(["prepare", "stems", f"--audio={tmp_path / 'set'}", f"--out={data}", *sizes])
    monkeypatch.setattr(train, "POOL_S", 3.0)
    monkeypatch.setattr(methods, "EXCERPT_S", 3.0)
    train.read_pool(data, pool, 32, 1)
    small = ["--trainer.max_epochs=1", "--trainer.check_val_every_n_epoch=1",
             "--data.batch_size=8", "--trainer.enable_progress_bar=false"]  # fmt: skip
    arguments = ["methods.py", str(data), str(pool), f"--out={out}", "--condition=sentences"]
    monkeypatch.setattr(sys, "argv", [*arguments, "--seeds=1", "--only=combined", *small])
    methods.main()
    written = out / "sentences"
    results = json.loads((written / "methods" / "combined-0" / "results.json").read_text())
    assert {"true_absence", "audio_ceiling", "paired/exchanged"} <= {*results}
    assert (written / "report" / "methods" / "table.md").is_file()
    intervals = (written / "report" / "methods" / "by_song.json").read_text()
    assert "combined" in json.loads(intervals)
    runs, manifest = written / "methods", written / "set" / "manifest.jsonl"
    monkeypatch.setattr(sys, "argv", ["by_song.py", str(manifest), str(runs)])
    by_song.main()
    assert json.loads((runs / "by_song.json").read_text()) == json.loads(intervals)
    tracks = read_manifest(written / "set" / "manifest.jsonl")
    texts = [caption.text for track in tracks for caption in track.captions]
    assert all(text.count(".") >= 2 for text in texts)
    # What the encoder passes on is what musicnn returns for the mix.
    (track, *_) = tracks.split("test")
    stored = np.load(written / "set" / track.audio)
    waveform = read_excerpt(data / "mixes" / f"{track.track_id}.wav", 0.0, 3.0, 16_000)
    encoder = MusicnnEncoder().eval()
    encoder.fit_statistics(torch.from_numpy(np.load(pool)["hidden"]).float())
    with torch.inference_mode():
        expected = encoder(torch.from_numpy(waveform)[None])[0].numpy()
    passed = stored_features.StoredFeatures().eval()(torch.from_numpy(stored)[None])[0].numpy()
    np.testing.assert_allclose(passed, expected.clip(-32, 32), atol=1e-4)


def test_an_artist_is_left_out(tmp_path, monkeypatch):
    sets.folder(tmp_path / "set")
    data, pool, out = tmp_path / "data", tmp_path / "pool.npz", tmp_path / "out"
    sizes = ["--validation_mixes=16", "--test_mixes=24", "--excerpt_s=3", "--groups={test: [d]}"]
    assert not cli(["prepare", "stems", f"--audio={tmp_path / 'set'}", f"--out={data}", *sizes])
    for module, name, value in ((train, "POOL_S", 3.0), (train, "BATCH", 8), (train, "EPOCHS", 1),
                                (methods, "EXCERPT_S", 3.0), (artists, "LEAST", 3)):  # fmt: skip
        monkeypatch.setattr(module, name, value)
    drawn = train.read_pool(data, pool, 24, 1)
    one = min(set().union(*map(artists.artists_of, drawn.tracks)))
    # The test has songs by "d": in the pool, the mixes with songs by one artist are said to be his.
    renamed = [
        replace(track, meta={"songs": [s.replace(f"{one}/", "d/") for s in track.meta["songs"]]})
        for track in drawn.tracks
    ]
    given = []

    def noted(part, words):
        given.append(part)
        return train.train(part, words)

    monkeypatch.setattr(artists, "train", noted)
    monkeypatch.setattr(artists, "read_pool", lambda *_: drawn._replace(tracks=renamed))
    monkeypatch.setattr(sys, "argv", ["artists.py", str(data), str(pool), f"--out={out}"])
    artists.main()
    found = json.loads((out / "artists.json").read_text())
    assert {*found} == {"d"}
    without, control = given
    assert len(without.tracks) == len(control.tracks) == found["d"]["mixes"]["training"] < 24
    assert all("d" not in artists.artists_of(track) for track in without.tracks)
    assert any("d" in artists.artists_of(track) for track in control.tracks)
    assert 0 <= found["d"]["left out"]["true_absence"] <= 1


def test_stems_of_five_kinds(tmp_path, monkeypatch):
    stems, voices, out = tmp_path / "stems", tmp_path / "voices", tmp_path / "five"
    others = ("sampled/song-0000", "sampled/song-0020", *five_kinds.OTHERS.values())
    for song in others:
        for name in ("drums", "piano", "bass guitar"):
            sets.write(stems / song / f"{name}.flac")
    sets.write(stems / "muldjord" / "loud" / "guitar.ogg")
    sets.write(stems / "muldjord" / "loud" / "song.ogg")
    voices.mkdir()
    for name in ("ann_1_01", "ann_1_02", "bob_1_01"):
        sf.write(voices / f"{name}.wav", np.stack([sets.tone(220), sets.tone(440)], 1), sets.RATE)
    monkeypatch.setattr(mir1k, "EVERY", 1)
    monkeypatch.setattr(five_kinds, "TEST_SONGS", 1)
    monkeypatch.setattr(sys, "argv", ["five.py", str(stems), str(voices), f"--out={out}"])
    five_kinds.main()
    found = {str(path.relative_to(out).with_suffix("")) for path in out.rglob("*.*")}
    assert found == {
        *(f"{song}/{name}" for song in ("test/song-0000", "train/song", "validation/song")
          for name in ("drums", "bass guitar")),
        *("test/loud/distorted guitar", "test/voice-ann/vocals", "test/voice-bob/vocals"),
    }  # fmt: skip
    voice, _ = sf.read(out / "test" / "voice-ann" / "vocals.flac")
    np.testing.assert_allclose(voice, np.tile(sets.tone(440), 2), atol=1e-3)


def test_sentences_mention_their_tags_and_no_others():
    tags = ("drums", "acoustic guitar", "vocals", "piano", "violin")
    vocabulary = music_vocabulary()
    for seed in range(50):
        text = sentences.sentences(tags, stream(seed))
        assert 2 <= text.count(".") <= 5
        found = {mention.tag for mention in vocabulary.find(text)} & {*tags}
        assert 1 <= len(found) <= 4
        assert not find_negations(text)
    assert sentences.sentences((), stream(0)).count(".") in (1, 2)


def test_singing_against_its_absence(tmp_path, monkeypatch):
    rng = np.random.default_rng(0)
    for singer in ("ann", "bob"):
        noise = 0.1 * rng.standard_normal((4 * 16_000, 2))
        sf.write(tmp_path / f"{singer}_1_01.wav", noise, 16_000)
    arguments = ["mir1k.py", str(tmp_path), f"--out={tmp_path / 'out'}"]
    monkeypatch.setattr(sys, "argv", arguments)
    mir1k.main()
    found = json.loads((tmp_path / "out" / "mir1k.json").read_text())
    assert found["couples"] == 2
    assert {*found["right"]} == {*mir1k.WITH, *mir1k.WITHOUT}
    assert {*found["right"].values()} <= {0.0, 0.5, 1.0}


def test_a_folder_without_excerpts_is_named(tmp_path, monkeypatch):
    monkeypatch.setattr(sys, "argv", ["mir1k.py", str(tmp_path), "--out", str(tmp_path)])
    with pytest.raises(SystemExit, match=r"no \.wav files, expected MIR-1K's Wavfile"):
        mir1k.main()
