"""experiments/built_in in miniature, and the ledger of what the built-in model is trained on."""

import json
import sys
from pathlib import Path

import finish
import ledger
import note_samples
import numpy as np
import pseudo_labels
import pytest
import sampled
import soundfile as sf
import torch
import torch.nn.functional as F
import train
import yaml
from render_songs import PLAYERS, RATE, main, render_song

import negclap
from negclap.cli import main as cli
from negclap.data.manifest import Track
from negclap.data.sources.chorales.render import SOUNDFONT
from negclap.data.stems.names import StemNames
from negclap.errors import InputError
from negclap.models.musicnn import load_musicnn
from negclap.text.vocabulary import Tag, Vocabulary, music_vocabulary
from tests.data.stems import sets


def test_players_are_named_by_tags_of_the_vocabulary():
    for name in PLAYERS:
        assert StemNames().usual_tags(name) == (name,)


def test_songs_are_rendered_the_same_each_time(tmp_path):
    for folder in (tmp_path / "one", tmp_path / "other"):
        render_song(3, folder, (SOUNDFONT,), None)
    files = sorted((tmp_path / "one" / "song-0003").iterdir())
    assert len(files) >= 2
    for file in files:
        audio, rate = sf.read(file)
        again, _ = sf.read(tmp_path / "other" / "song-0003" / file.name)
        assert rate == RATE
        assert np.abs(audio).max() == pytest.approx(0.7, abs=1e-3)
        np.testing.assert_array_equal(audio, again)


@pytest.fixture
def sfz(tmp_path, monkeypatch):
    """A folder with an instrument of one sample, whose notes are written an octave lower."""
    folder = tmp_path / "sfz"
    folder.mkdir()
    sound = np.sin(2 * np.pi * 440 * np.arange(44_100) / 44_100) * np.linspace(0.5, 0, 44_100)
    sf.write(folder / "a.wav", sound, 44_100)
    (folder / "a.sfz").write_text("<region> sample=a.wav pitch_keycenter=81 ampeg_release=0.05")
    one = [{"path": "a.sfz", "octave": 1, "samples": ".", "control": "set_cc7=100"}]
    for_all = dict.fromkeys(("acoustic guitar", "bass guitar"), one)
    (tmp_path / "sfz.yaml").write_text(yaml.safe_dump({"train": for_all, "test": for_all}))
    monkeypatch.setattr(sampled, "INSTRUMENTS", tmp_path / "sfz.yaml")
    sampled.read_instruments.cache_clear()
    yield folder
    sampled.read_instruments.cache_clear()


def test_sampled_instruments_play_notes_at_their_times(sfz):
    (instrument,) = sampled.read_instruments("train")["bass guitar"]
    notes = [(0.0, 1.0, 69, 100), (4.0, 1.0, 57, 100)]
    sound, rate = sampled.play_sampled(instrument, sfz, notes, tempo=120.0)
    levels = [float(np.abs(sound[round(s * rate) :][: rate // 4]).max()) for s in (0, 1, 2, 3)]
    assert min(levels[0], levels[2]) > 100 * max(levels[1], levels[3])
    for start_s, pitch in ((0.05, 440.0), (2.05, 220.0)):
        part = sound[round(start_s * rate) :][: rate // 4]
        spectrum = np.abs(np.fft.rfft(part * np.hanning(len(part))))
        assert np.fft.rfftfreq(len(part), 1 / rate)[spectrum.argmax()] == pytest.approx(pitch, 0.02)
    with pytest.raises(RuntimeError, match=r"gone\.sfz: not found"):
        sampled.play_sampled(sampled.Sampled("gone.sfz"), sfz, notes, 120.0)


def test_notes_become_an_instrument(sfz, tmp_path):
    """Keys go to the nearest of the notes A3 and E4; each sounds as recorded, and in tune."""
    notes = tmp_path / "notes"
    notes.mkdir()
    for name, pitch_hz in (("A3", 220.0), ("E4", 329.63)):
        sound = np.sin(2 * np.pi * pitch_hz * np.arange(44_100) / 44_100)
        sf.write(notes / f"{name}.mp3", 0.5 * sound, 44_100)
    note_samples.write_instrument(notes, tmp_path / "sine")
    for pitch in (57, 60, 61, 64, 70):
        instrument = sampled.Sampled("sine/instrument.sfz")
        sound, rate = sampled.play_sampled(instrument, tmp_path, [(0, 1, pitch, 100)], 120)
        spectrum = np.abs(np.fft.rfft(sound[2000 : rate // 4] * np.hanning(rate // 4 - 2000)))
        heard_hz = np.fft.rfftfreq(rate // 4 - 2000, 1 / rate)[spectrum.argmax()]
        assert heard_hz == pytest.approx(440 * 2 ** ((pitch - 69) / 12), rel=0.02)
    regions = (tmp_path / "sine" / "instrument.sfz").read_text().splitlines()
    assert ["lokey=0 hikey=60 " in regions[0], "lokey=61 hikey=127 " in regions[1]] == [True, True]
    assert [note_samples.pitch_of(name) for name in ("C4", "As2", "B0")] == [60, 46, 23]
    with pytest.raises(ValueError, match="'H2' is not a note"):
        note_samples.pitch_of("H2")


def test_songs_with_sampled_instruments_are_other_songs(sfz, tmp_path):
    for number in range(4):
        for folder, source in (("plain", None), ("sampled", sfz), ("again", sfz)):
            render_song(number, tmp_path / folder, (SOUNDFONT,), source)
    found = sorted((tmp_path / "sampled").glob("*/*.flac"))
    assert {"bass guitar", "acoustic guitar"} <= {file.stem for file in found}
    for file in found:
        same = tmp_path / "again" / file.relative_to(tmp_path / "sampled")
        np.testing.assert_array_equal(sf.read(file)[0], sf.read(same)[0])
    assert found != sorted((tmp_path / "plain").glob("*/*.flac"))


def test_every_sampled_instrument_plays_a_part_and_no_split_shares_one():
    train_, test = (sampled.read_instruments(group) for group in ("train", "test"))
    assert {*train_, *test} <= {*PLAYERS}
    files = [{one.path for several in part.values() for one in several} for part in (train_, test)]
    assert not files[0] & files[1]


def track(number, present, absent):
    return Track(f"t{number}", "x.wav", 0.0, 1.0, (), present, absent, "train")


def test_tags_are_compared_between_clips_as_in_a_loop():
    """Each tag's clips that have it weigh as much as those that lack it; others do not count."""
    vocabulary = Vocabulary((Tag("drums"), Tag("piano"), Tag("flute")))
    tracks = [
        track(0, ("drums",), ("piano",)), track(1, ("drums", "piano"), ()),
        track(2, (), ("drums", "piano")), track(3, ("piano",), ()), track(4, (), ("drums",)),
        track(5, ("flute", "piano"), ("drums",)), track(6, ("drums", "flute"), ("piano",)),
    ]  # fmt: skip
    torch.manual_seed(0)
    model = train.DESCRIPTION.build()
    width = model.text_encoder.dim
    texts = {}

    def embed(names):
        return torch.stack([texts.setdefault(name, torch.randn(width)) for name in names])

    pseudo = {"rock": torch.tensor([1.0, 0.0, -1.0, -1.0, 0.0, 0.0, 0.0])}
    term = train.TagTerm(train.Labels(tracks, vocabulary, pseudo), embed)
    assert term.labels.tags == ["drums", "piano", "rock"]  # nobody knows who lacks a flute
    audio = F.normalize(torch.randn(7, train.DIM), dim=1)

    def joint(name):
        return F.normalize(model.text_projection(texts[name]), dim=0)

    errors, correlations = [], []
    for tag, weight in (("drums", 1.0), ("piano", 1.0), ("rock", 0.3)):
        names = [joint(form.format(tag)) for form in train.FORMS]
        mean = F.normalize(torch.stack(names).mean(0), dim=0)
        denied = F.normalize(joint("music") - 0.75 * mean, dim=0)
        has = [one for one in range(7) if tag in tracks[one].tags]
        lacks = [one for one in range(7) if tag in tracks[one].absent_tags]
        if tag == "rock":
            has, lacks = [0], [2, 3]
        for group, sign, goal in ((has, 1, -0.25), (lacks, -1, 0.1)):
            for one in group:
                logit = term.scale.exp() * audio[one] @ names[1] + term.bias
                square = (audio[one] @ denied - goal) ** 2
                error = F.softplus(-sign * logit) + 20 * square
                errors.append(weight * error / len(group) / 2)
        if tag == "rock":
            continue
        scores = torch.stack([audio[one] @ denied for one in lacks]).detach()
        counts = torch.tensor([float(len(tracks[one].tags)) for one in lacks])
        pair = torch.stack((scores, counts))
        correlations.append(float(torch.corrcoef(pair)[0, 1]) ** 2 if counts.std() else 0.0)
    expected = sum(errors).item() / 3 + np.mean(correlations)
    with torch.no_grad():
        got = float(term(model, audio, torch.arange(7), epoch=1))
    assert got == pytest.approx(expected, rel=1e-5)


def test_taggers_tell_tags_only_where_they_are_sure():
    torch.manual_seed(0)
    outputs = 2 * torch.randn(300, 400)
    labels = pseudo_labels.pseudo_labels(outputs)
    heads = yaml.safe_load(pseudo_labels.HEADS.read_text(encoding="utf-8"))
    assert {*labels} <= {*heads["tags"]} <= {*music_vocabulary().names}
    tag = next(tag for tag in labels if len(heads["tags"][tag]) == 2)  # of both taggers
    logits = [
        load_musicnn(net).tags(own)[:, [heads["outputs"][net].index(name) for name in names]]
        for (net, names), own in zip(heads["tags"][tag].items(), outputs.chunk(2, 1), strict=True)
    ]
    highest = torch.cat(logits, dim=1).detach().sigmoid().amax(dim=1)
    np.testing.assert_array_equal(labels[tag] > 0, highest >= 0.15)
    np.testing.assert_array_equal(labels[tag] < 0, highest <= 0.02)


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
    untaught, box = tmp_path / "untaught", tmp_path / "built_in"
    arguments = [str(data), str(untaught), "--mixes=8", "--jobs=1"]
    monkeypatch.setattr(sys, "argv", ["train.py", *arguments])
    train.main()
    pool = np.load(tmp_path / "pool-8.npz")
    assert pool["hidden"].shape == (8, 400)
    assert pool["pooled"].shape == (8, 1538)
    assert len(pool["tracks"]) == 8
    monkeypatch.setattr(sys, "argv", ["finish.py", str(untaught), str(data), f"--out={box}"])
    finish.main()
    model, whole = negclap.load(box), negclap.load(untaught)
    assert -1 < model.threshold < 1
    texts = ["no drums", "guitar"]
    # The small form has 16-bit projections.
    np.testing.assert_allclose(model.encode_text(texts), whole.encode_text(texts), atol=2e-4)
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
