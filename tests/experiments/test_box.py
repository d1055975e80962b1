"""experiments/box in miniature, and the ledger of what the built-in model is trained on."""

import json
import sys
from pathlib import Path

import finish
import ledger
import numpy as np
import pytest
import soundfile as sf
import train
import yaml
from render_songs import PLAYERS, RATE, main, render_song

import negclap
from negclap.cli import main as cli
from negclap.data.sources.chorales.render import SOUNDFONT
from negclap.data.stems.names import StemNames
from negclap.errors import InputError
from tests.data.stems import sets


def test_players_are_named_by_tags_of_the_vocabulary():
    for name in PLAYERS:
        assert StemNames().usual_tags(name) == (name,)


def test_songs_are_rendered_the_same_each_time(tmp_path):
    for folder in (tmp_path / "one", tmp_path / "other"):
        render_song(3, folder, (SOUNDFONT,))
    files = sorted((tmp_path / "one" / "song-0003").iterdir())
    assert len(files) >= 2
    for file in files:
        audio, rate = sf.read(file)
        again, _ = sf.read(tmp_path / "other" / "song-0003" / file.name)
        assert rate == RATE
        assert np.abs(audio).max() == pytest.approx(0.7, abs=1e-3)
        np.testing.assert_array_equal(audio, again)


def test_the_command_renders_songs(tmp_path, monkeypatch):
    out = ["render_songs.py", str(tmp_path), "--soundfont", str(SOUNDFONT), "--songs", "1"]
    monkeypatch.setattr(sys, "argv", [*out, "--jobs", "1"])
    main()
    assert list(tmp_path.glob("song-0000/*.flac"))


def test_a_model_is_trained_and_written_in_the_small_form(tmp_path, monkeypatch):
    sets.folder(tmp_path / "set")
    data = tmp_path / "data"
    sizes = ["--validation_mixes=16", "--test_mixes=8", "--excerpt_s=3", "--groups={test: [d]}"]
    where = [f"--audio={tmp_path / 'set'}", f"--out={data}"]
    assert not cli(["prepare", "stems", *where, *sizes])
    monkeypatch.setattr(train, "POOL_S", 3.0)
    monkeypatch.setattr(train, "BATCH", 4)
    monkeypatch.setattr(train, "EPOCHS", 2)
    monkeypatch.setattr(finish, "EXCERPT_S", 3.0)
    untaught, box = tmp_path / "untaught", tmp_path / "box"
    arguments = [str(data), str(untaught), "--mixes=8", "--jobs=1"]
    monkeypatch.setattr(sys, "argv", ["train.py", *arguments])
    train.main()
    pool = np.load(tmp_path / "pool-8.npz")
    assert pool["outputs"].shape == (8, 400)
    assert len(pool["tracks"]) == 8
    monkeypatch.setattr(sys, "argv", ["finish.py", str(untaught), str(data), f"--out={box}"])
    finish.main()
    model, whole = negclap.load(box), negclap.load(untaught)
    assert -1 < model.threshold < 1
    texts = ["no drums", "guitar"]
    np.testing.assert_allclose(model.encode_text(texts), whole.encode_text(texts), atol=1e-5)
    files = sorted(path.name for path in box.iterdir())
    assert files == [".negclap-export", "README.md", "config.json", "model.safetensors"]


def test_everything_in_the_ledger_is_free_and_not_tested_on():
    entries = json.loads(ledger.LEDGER.read_text(encoding="utf-8"))
    sources = yaml.safe_load((ledger.HERE / "sources.yaml").read_text(encoding="utf-8"))
    assert {entry["artist"] for entry in entries} == {s["artist"] for s in sources.values()}
    for entry in entries:
        ledger.check(json.dumps(entry), entry["licence"])
        assert len(entry["sha256"]) == 64
        assert entry["stems"] > 0


@pytest.mark.parametrize(
    "name",
    [
        "MusicDelta_Rock", "Music Delta - 80s Rock", "MDBDrums", "UltraStar-Deluxe", "ultrastar dx",
        "jamendolyrics", "Wave-U-Net", "Philharmonia Orchestra", "librosa", "MIR-1K", "MusicCaps",
    ],
)  # fmt: skip
def test_what_is_off_limits_is_refused(tmp_path, name):
    sets.write(tmp_path / "some" / name / "VOX.wav")
    source = {"artist": "a", "licence": "CC0-1.0", "source": "x"}
    with pytest.raises(InputError, match="is off limits"):
        ledger.entries(tmp_path, {"some": source})
    with pytest.raises(InputError, match="is off limits"):
        ledger.check(f"samples of {name}", "CC0-1.0")


def test_unknown_sources_and_licences_are_refused(tmp_path):
    sets.write(tmp_path / "some" / "song" / "VOX.wav")
    with pytest.raises(InputError, match="song: no source in"):
        ledger.entries(tmp_path, {})
    with pytest.raises(InputError, match=r"has the licence 'CC-BY-NC-4\.0', expected one of"):
        ledger.check("song", "CC-BY-NC-4.0")


def test_the_mapping_of_names_is_read():
    names = StemNames.read(Path(ledger.HERE) / "names.yaml")
    assert names.contents("song").hides == ("*",)
    assert names.group("rendered/song-0012", "") == "rendered, validation"
