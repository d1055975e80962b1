"""The model that comes with negclap."""

import json
import random
import zlib
from pathlib import Path

import finish
import numpy as np
import pytest
import soundfile as sf
from render_songs import PLAYERS, draw_score, play_midi

import negclap
from negclap.audio import resample
from negclap.cli import main
from negclap.data.sources.chorales.render import SOUNDFONT
from negclap.models.musicnn import WEIGHTS
from negclap.models.pretrained import BUILT_IN, BUILT_IN_FOLDER, load
from negclap.search import Index

MOST_BYTES = 12e6  # in git and in a wheel, which compress
RATE = 16_000


@pytest.fixture(scope="module")
def model():
    return negclap.load()


@pytest.fixture(scope="module")
def clips(tmp_path_factory):
    """Drums, a piano, and both, rendered by a SoundFont that the model was not trained on."""
    rng = random.Random(1)
    score = draw_score(rng)

    def play(name):
        player = PLAYERS[name][0]
        notes = player.play(score, rng)
        sound, rate = play_midi(name == "drums", player, notes, score, (SOUNDFONT,), rng)
        return resample(sound, rate, RATE)[: 10 * RATE]

    drums, piano = play("drums"), play("piano")
    folder = tmp_path_factory.mktemp("clips")
    both = drums / np.abs(drums).max() + piano / np.abs(piano).max()
    paths = {}
    for name, sound in (("drums", drums), ("piano", piano), ("both", both)):
        paths[name] = folder / f"{name}.wav"
        sf.write(paths[name], 0.5 * sound / np.abs(sound).max(), RATE)
    return paths


def test_it_is_small(model):
    files = [*BUILT_IN_FOLDER.iterdir(), *WEIGHTS.iterdir()]
    assert sum(len(zlib.compress(path.read_bytes())) for path in files) < MOST_BYTES
    assert (model.sample_rate, model.dim, model.excerpt_s) == (RATE, 256, 10.0)
    assert 0 < model.threshold < 1


def test_it_has_a_name():
    texts = ["no drums"]
    np.testing.assert_array_equal(
        load(BUILT_IN).encode_text(texts), negclap.load(BUILT_IN_FOLDER).encode_text(texts)
    )


def test_it_understands_negation(model, clips):
    drums, piano, both = model.encode_audio([clips[name] for name in ("drums", "piano", "both")])

    def prefers(text, right, wrong):
        (vector,) = model.encode_text([text])
        return vector @ right > vector @ wrong

    assert prefers("drums", both, piano)
    assert prefers("no drums", piano, both)
    assert prefers("piano", both, drums)
    assert prefers("music without a piano", drums, both)
    assert prefers("music without a piano", drums, piano)  # not just fewer sounds
    assert prefers("piano without drums", piano, both)
    assert prefers("I don't want any drums", piano, drums)
    assert prefers("drums but no piano", drums, both)


def test_hits_are_explained_by_calibrated_tags(model, clips, tmp_path, capsys):
    index = Index.create(tmp_path / "index", clips["drums"].parent)
    index.update()
    hits = {Path(hit.path).stem: hit for hit in index.search("piano without drums")}
    for name, hit in hits.items():
        assert list(hit.tags)[:2] == ["piano", "drums"]
        assert len(hit.tags) <= 4
        assert (hit.tags["drums"] > 0.5) == (name != "piano")
        assert (hit.tags["piano"] > 0.5) == (name != "drums")
    assert not main(["search", str(tmp_path / "index"), "piano without drums", "--top=1"])
    shown = capsys.readouterr().out
    assert "drums: unlikely" in " ".join(shown.split())
    assert not main(["search", str(tmp_path / "index"), "piano", "--not=drums", "--json"])
    found = json.loads(capsys.readouterr().out)
    assert list(found[0]["tags"])[:2] == ["piano", "drums"]


def test_what_is_not_read_of_a_long_text_is_said(clips, tmp_path, capsys):
    index = Index.create(tmp_path / "index", clips["drums"].parent)
    index.update()
    text = "A calm piece for piano and strings. " * 12 + "Absolutely no drums."
    assert not main(["search", str(tmp_path / "index"), text, "--json"])
    out, err = capsys.readouterr()
    assert len(json.loads(out)) == 3
    assert "negclap: the text is too long; the model does not read:" in err
    assert err.rstrip().endswith("Absolutely no drums.")


def test_its_card_says_what_it_is_made_of():
    card = (BUILT_IN_FOLDER / "README.md").read_text(encoding="utf-8")
    names = ("musicnn", "MagnaTagATune", "Million Song Dataset", "ISC", "MiniLM", "ledger.json")
    assert all(name in card for name in names)
    assert card == Path(finish.__file__).with_name("card.md").read_text(encoding="utf-8")
