"""An index serves every model with its audio encoder, whatever the text encoder; and no other."""

import shutil
import sqlite3
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file

import negclap
from negclap.app.page import AFTER, Finder
from negclap.app.server import open_columns
from negclap.cli import main
from negclap.errors import InputError
from negclap.models.checkpoint import read_run
from negclap.models.exported import write_exported
from negclap.search import Index
from negclap.search.fingerprint import are_equal, embed_sounds
from negclap.search.store import IndexedTrack, Stamp
from negclap.search.typical import typical_texts
from negclap.search.vectors import Vectors, load_newest

QUERY = "calm piano without drums"
POINTING = '''
import zlib
import numpy as np

CENTRES = np.random.default_rng(0).standard_normal((200, 32))

class Own:
    """Texts point to one of the clusters of the windows."""

    sample_rate, excerpt_s, dim = 8_000, 2.0, 32

    def encode_audio(self, waveforms):
        return np.abs(np.fft.rfft(waveforms, axis=1))[:, 1:8_001].reshape(-1, 32, 250).sum(2) + 1e-9

    def encode_text(self, texts):
        return np.stack([self.point(text, np.random.default_rng(zlib.crc32(text.encode())))
                         for text in texts])

    def point(self, text, rng):
        return CENTRES[rng.integers(200)] + 0.1 * rng.standard_normal(32)

class Taught(Own):
    """Negations point anywhere."""

    def point(self, text, rng):
        negates = "without" in text or "no " in text
        return rng.standard_normal(32) if negates else super().point(text, rng)
'''


def change(folder, out, tower):
    """Copy an exported model, and add noise to the weights of one tower."""
    shutil.copytree(folder, out)
    weights = load_file(out / "model.safetensors")
    torch.manual_seed(0)
    for name, value in weights.items():
        if name.startswith(tower) and value.is_floating_point() and value.numel() > 1:
            value += 0.3 * value.std() * torch.randn_like(value)
    save_file(weights, out / "model.safetensors", {"format": "pt"})


@pytest.fixture(scope="module")
def models(tiny_run, tmp_path_factory):
    """Exported models: ``own``, ``taught`` (other text weights), ``retrained`` (other audio)."""
    folder = tmp_path_factory.mktemp("models")
    made = SimpleNamespace(
        **{name: str(folder / name / "exported") for name in ("own", "taught", "retrained")}
    )
    (folder / "own" / "exported").mkdir(parents=True)
    write_exported(read_run(tiny_run), folder / "own" / "exported")
    change(made.own, folder / "taught" / "exported", "text_")
    change(made.own, folder / "retrained" / "exported", "audio_")
    return made


@pytest.fixture
def songs(chorales, tmp_path):
    folder = tmp_path / "songs"
    folder.mkdir()
    for path in sorted((chorales / "audio").rglob("*.*"))[:12]:
        shutil.copy(path, folder)
    return folder


@pytest.fixture
def index(songs, models, tmp_path):
    made = Index.create(tmp_path / "index", songs, models.own)
    made.update()
    return made


def scores(hits):
    return {hit.path: hit.score for hit in hits}


def test_a_taught_model_searches_the_index_with_its_own_texts(index, models, songs):
    taught = negclap.load(models.taught)
    searched = Index(index.folder, taught)
    text = taught.encode_text([QUERY])[0]
    windows = {number: embeddings @ text for number, _, embeddings in index.store.tracks()}
    for hit in searched.search(QUERY, top=50):
        assert hit.score == pytest.approx(windows[hit.track].max(), abs=1e-5)
    assert scores(searched.search(QUERY)) != scores(index.search(QUERY))
    like = [next(songs.iterdir())]
    assert searched.search(like=like, top=50) == index.search(like=like, top=50)
    assert searched.source == models.own


def test_the_commands_search_and_extend_an_index_with_a_taught_model(index, models, songs, capsys):
    before = list(index.store.tracks())
    given = ["search", str(index.folder), QUERY, "--model", models.taught, "--top", "1"]
    assert main(given) == 0
    (best,) = Index(index.folder, negclap.load(models.taught)).search(QUERY, top=1)
    assert f"{best.score:.3f}" in capsys.readouterr().out
    assert Index(index.folder).source == models.own  # a search changes nothing
    first = sorted(songs.iterdir())[0]
    shutil.copy(first, songs / f"new{first.suffix}")
    assert main(["index", str(songs), "--out", str(index.folder), "--model", models.taught]) == 0
    assert "1 encoded now, 0 moved, 12 unchanged" in " ".join(capsys.readouterr().out.split())
    *kept, (_, _, new) = index.store.tracks()
    for (_, _, one), (_, _, other) in zip(before, kept, strict=True):
        np.testing.assert_array_equal(one, other)
    np.testing.assert_allclose(new, before[0][2], atol=1e-5)
    assert index.source == models.taught
    assert scores(Index(index.folder).search(QUERY, top=1)) == scores([best])


def test_another_audio_encoder_is_refused_in_one_line(index, models, songs, capsys):
    folder, other = str(index.folder), ["--model", models.retrained]
    for command in (
        ["search", folder, QUERY, *other],
        ["index", str(songs), "--out", folder, *other],
        ["app", folder, *other],
    ):
        assert main(command) == 2
        error = capsys.readouterr().err
        assert "the audio encoder of this one differs" in error
        assert f"negclap index {songs} --out NEW --model MODEL" in error
        assert error.count("\n") == 1
    assert index.source == models.own


def test_the_sounds_tell_audio_encoders_apart_and_ignore_texts(models):
    own, taught, retrained = (
        embed_sounds(negclap.load(source), 4.0)
        for source in (models.own, models.taught, models.retrained)
    )
    np.testing.assert_array_equal(own, taught)
    assert not any(are_equal(own[[i]], retrained[[i]]) for i in range(len(own)))
    assert not are_equal(own, own[:, :-1])  # of another size


def test_an_index_of_an_earlier_version_is_told_apart_by_its_only_sound(index, models):
    sounds = embed_sounds(index.model, index.windowing.window_s)
    texts = index.model.encode_text(["calm piano", "rock without vocals", "drums"])
    answers = np.concatenate([texts, sounds[:1]]).astype("<f4").tobytes()
    database = sqlite3.connect(index.folder / "index.sqlite")
    with database:
        database.execute("UPDATE about SET key = 'answers', value = ? WHERE key = 'sounds'",
                         (answers,))  # fmt: skip
    database.close()
    assert len(Index(index.folder, negclap.load(models.taught)).search(QUERY)) == 10
    with pytest.raises(InputError, match="the audio encoder of this one differs"):
        Index(index.folder, negclap.load(models.retrained))


def test_the_page_shows_both_models_on_one_index(index, models, songs):
    columns = open_columns([index.folder], models.taught)
    assert list(columns) == ["own/exported", "taught/exported"]  # their last parts are equal
    left, right = Finder(columns).find(QUERY, [], AFTER, None)
    assert left != right
    assert '<p class="negclap-model">own/exported</p>' in left
    assert '<p class="negclap-model">taught/exported</p>' in right
    like = str(next(songs.iterdir()))
    left, right = Finder(columns).find(None, [], AFTER, like)
    assert left.replace("own/", "taught/").replace("audio/0/", "audio/1/") == right


def test_a_page_of_three_columns_or_of_the_same_model_twice_is_one_line(index, models, capsys):
    folder = str(index.folder)
    for command, message in (
        (["app", folder, folder, "--model", models.taught], "two indices and --model"),
        (["app", folder, "--model", models.own], f"both columns are of the model {models.own}"),
    ):
        assert main(command) == 2
        error = capsys.readouterr().err
        assert message in error
        assert error.count("\n") == 1


@pytest.fixture
def pointing(tmp_path):
    file = tmp_path / "pointing.py"
    file.write_text(POINTING)
    return {name: f"{file}:{name}" for name in ("Own", "Taught")}


@pytest.fixture
def clustered(tmp_path, pointing):
    """An approximate index of 20,000 windows in 200 clusters, tuned with the queries of ``Own``."""
    music = tmp_path / "music"
    music.mkdir()
    index = Index.create(tmp_path / "index", music, pointing["Own"])
    rng = np.random.default_rng(1)
    centres = np.random.default_rng(0).standard_normal((200, 32))
    windows = centres[rng.integers(200, size=20_000)] + 0.6 * rng.standard_normal((20_000, 32))
    windows /= np.linalg.norm(windows, axis=1, keepdims=True)
    starts = np.arange(10, dtype=np.float32)
    tracks = []
    for i, part in enumerate(np.split(windows.astype(np.float32), 2_000)):
        (music / f"{i}.wav").touch()  # never read, it counts as unchanged
        stamp = Stamp.of(music / f"{i}.wav")
        tracks.append(IndexedTrack(f"{i}.wav", stamp, 12.0, starts, part))
    index.store.put(tracks)
    index.update(approximate=True)
    return index


def recall(index, texts):
    """Return the share of the ten best tracks that the stored approximate search finds."""
    vectors = load_newest(index.folder, index.store)
    found = 0
    for query in index.model.encode_text(texts):
        near, exact = (vectors.rank(query, 10, way).tracks.tolist() for way in (False, True))
        found += len(set(near) & set(exact))
    return found / (10 * len(texts))


def is_exact(index, monkeypatch):
    """Whether a search of the index scores every window."""
    with monkeypatch.context() as patched:
        calls = []
        rank = Vectors._rank_all
        patched.setattr(Vectors, "_rank_all", lambda *given: calls.append(1) or rank(*given))
        assert len(index.search(QUERY)) == 10
    return bool(calls)


def test_an_approximate_search_serves_the_model_that_it_was_tuned_with(
    clustered, pointing, monkeypatch
):
    """The taught model's negations point between the clusters, where it finds too little."""
    affirming = [f"a fast waltz {i}" for i in range(60)]  # none of them was used for tuning
    negating = [f"a fast waltz {i} without drums" for i in range(60)]
    taught = Index(clustered.folder, negclap.load(pointing["Taught"]))
    assert recall(clustered, affirming + negating) >= 0.98
    assert recall(taught, affirming) >= 0.98
    assert recall(taught, negating) < 0.9
    assert is_exact(taught, monkeypatch)
    assert not is_exact(clustered, monkeypatch)

    update = Index.create(clustered.folder, clustered.root, pointing["Taught"]).update()
    assert (update.processed, update.unchanged) == (0, 2_000)
    assert recall(taught, affirming + negating) >= 0.98
    for texts in typical_texts():
        assert recall(taught, texts) >= 0.99  # of tracks; it is tuned to find windows
    own, taught = (Index(taught.folder, negclap.load(pointing[name])) for name in pointing)
    assert not is_exact(taught, monkeypatch)
    assert is_exact(own, monkeypatch)


def test_an_update_with_the_same_model_keeps_the_approximate_search(clustered, monkeypatch):
    monkeypatch.setattr("negclap.search.vectors.tune_nprobe", pytest.fail)
    clustered.update()
    assert len(Index(clustered.folder).search(QUERY)) == 10
