"""The web server without a browser: only indexed files are served, bad requests are rejected."""

import os
import subprocess
import sys

import numpy as np
import pytest
import soundfile as sf
from fastapi.testclient import TestClient

from negclap.app.cards import EMPTY, HINT, find_movements
from negclap.app.page import AFTER, BEFORE, LONGEST_TEXT, Finder
from negclap.app.server import LARGEST_UPLOAD, build, open_columns
from negclap.cli import main
from negclap.errors import InputError
from negclap.search import Hit, Index
from tests.music import RATE, tone


@pytest.fixture
def client(index):
    with TestClient(build({"tones": index}, None), raise_server_exceptions=False) as made:
        yield made


def track_number(index, path):
    return next(hit.track for hit in index.search("0", top=50, every_file=True) if hit.path == path)


def test_an_indexed_file_is_served_whole_and_in_ranges(client, index, music):
    track = track_number(index, "album/band1.wav")
    whole = client.get(f"/audio/0/{track}")
    assert whole.status_code == 200
    assert whole.content == (music / "album" / "band1.wav").read_bytes()
    part = client.get(f"/audio/0/{track}", headers={"Range": "bytes=0-99"})
    assert (part.status_code, len(part.content)) == (206, 100)


@pytest.mark.parametrize(
    "path",
    [
        "/audio/0/999",
        "/audio/1/1",
        "/audio/0/..%2F..%2Fetc%2Fpasswd",
        "/audio/0/../../../etc/passwd",
        "/audio/0/1/../../../../etc/passwd",
        "/gradio_api/file=/etc/passwd",
        "/gradio_api/file=../../../etc/passwd",
        "/file=/etc/passwd",
    ],
)
def test_nothing_else_is_served(client, path):
    answer = client.get(path)
    assert answer.status_code in (403, 404, 422), answer.text
    assert "root:" not in answer.text


def test_files_of_the_music_folder_that_are_not_indexed_are_not_served(client, music):
    assert client.get(f"/gradio_api/file={music / 'notes.txt'}").status_code == 403
    assert client.get(f"/gradio_api/file={music / 'album' / 'band1.wav'}").status_code == 403


def test_a_file_that_was_replaced_is_not_served(client, index, music):
    track = track_number(index, "album/band2.wav")
    secret = music.parent / "secret.txt"
    secret.write_text("secret")
    file = music / "album" / "band2.wav"
    file.unlink()
    assert client.get(f"/audio/0/{track}").status_code == 410
    file.symlink_to(secret)
    assert client.get(f"/audio/0/{track}").status_code == 410
    file.unlink()
    file.write_text("secret")
    answer = client.get(f"/audio/0/{track}")
    assert answer.status_code == 410
    assert "changed since it was indexed" in answer.text


def test_a_link_to_a_file_elsewhere_is_played(tmp_path, tone_model):
    pool, music = tmp_path / "pool", tmp_path / "music"
    for folder in (pool, music):
        folder.mkdir()
    sf.write(pool / "a.wav", tone(1, 3.0), RATE)
    (music / "a.wav").symlink_to(pool / "a.wav")
    index = Index.create(tmp_path / "index", music, tone_model)
    index.update()
    with TestClient(build({"tones": index}, None)) as client:
        answer = client.get(f"/audio/0/{track_number(index, 'a.wav')}")
    assert answer.content == (pool / "a.wav").read_bytes()


def test_types_do_not_depend_on_the_machine(tmp_path, tone_model):
    """A slim container has no table of types; Python then knows few."""
    music = tmp_path / "music"
    music.mkdir()
    for pitch, name in enumerate(("a.flac", "b.ogg", "c.mp3", "d.wav", "e.aiff")):
        sf.write(music / name, tone(pitch, 3.0), RATE)
    np.save(music / "f.npy", tone(7, 3.0).astype(np.float32))
    index = Index.create(tmp_path / "index", music, tone_model)
    index.update()
    script = (
        "import mimetypes, sys; mimetypes.knownfiles.clear(); mimetypes.init()\n"
        "from fastapi.testclient import TestClient\n"
        "from gradio_client.utils import is_valid_file\n"
        "from negclap.app.server import build\n"
        "from negclap.search import Index\n"
        f"index = Index({str(tmp_path / 'index')!r})\n"
        "with TestClient(build({'tones': index}, None)) as client:\n"
        "    for hit in index.search('1', top=9, every_file=True):\n"
        "        kind = client.get(f'/audio/0/{hit.track}').headers['content-type']\n"
        "        print(hit.path, kind, is_valid_file(hit.path, ['audio', '.npy']))\n"
    )
    command = [sys.executable, "-c", script]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    kinds = {line.split()[0]: line.split()[1:] for line in done.stdout.splitlines()}
    assert {name: kind for name, (kind, _) in kinds.items() if name != "f.npy"} == {
        "a.flac": "audio/flac", "b.ogg": "audio/ogg", "c.mp3": "audio/mpeg", "d.wav": "audio/wav",
        "e.aiff": "audio/aiff",
    }  # fmt: skip
    assert all(taken == "True" for _, taken in kinds.values())
    (shown,) = Finder({"tones": index}).find("1", [], AFTER, None)
    assert shown.count("<audio") == 4
    assert shown.count("Browsers cannot play it.") == 2


def test_large_requests_are_rejected_with_a_message(client):
    answer = client.post("/gradio_api/run/find", content=b"x" * 10 * 2**20)
    assert answer.status_code == 413
    assert "too large: 10485760 bytes" in answer.text
    size = str(LARGEST_UPLOAD + 1)
    answer = client.post("/gradio_api/upload", content=b"x", headers={"content-length": size})
    assert answer.status_code == 413
    answer = client.post("/gradio_api/upload", files={"files": ("a.wav", b"x" * 10 * 2**20)})
    assert answer.status_code == 200  # an upload of one minute of music


def test_an_empty_query_gives_a_hint_and_exclusions_move_tracks(index):
    finder = Finder({"tones": index})
    (hint,) = finder.find("  ", [], AFTER, None)
    assert HINT in hint
    (plain,) = finder.find("1 2", [], AFTER, None)
    assert plain.count("<li>") == 10
    assert "from" not in plain
    (after,) = finder.find("1 2", ["2"], AFTER, None)
    (before,) = finder.find("1 2", ["2"], BEFORE, None)
    assert after.index("band1") < after.index("band2")
    assert "▼ from" in after
    assert before.count("▲") > 0
    assert before.count("band") == plain.count("band")


def test_what_the_words_of_a_query_exclude_is_shown(index):
    finder = Finder({"tones": index})
    (shown,) = finder.find("piano <b> -drums", ["2"], AFTER, None)
    assert "Read as: piano &lt;b&gt;; without drums" in shown
    (plain,) = finder.find("piano, no drums until the chorus", [], AFTER, None)
    assert "Read as" not in plain


def test_movements_give_the_rank_in_the_other_ranking():
    hits = [Hit(track, "x", 0.0, 0.0, 1.0, 1.0) for track in range(4)]
    assert find_movements([hits[2], hits[1], hits[0], hits[3]], hits[:3]) == [
        "▲ from 3",
        "=",
        "▼ from 1",
        "▲ from below 3",
    ]


def test_invalid_input_gives_a_message(index, tmp_path):
    finder = Finder({"tones": index})
    (long,) = finder.find("x" * (LONGEST_TEXT + 1), [], AFTER, None)
    assert 'role="alert"' in long
    assert f"at most {LONGEST_TEXT} allowed" in long
    wrong = tmp_path / "song.wav"
    wrong.write_text("not audio")
    (answer,) = finder.find(None, [], AFTER, str(wrong))
    assert "the uploaded file: " in answer
    (like,) = finder.find(None, [], AFTER, str(index.root / "short.ogg"))
    assert "short" in like


def test_file_names_are_escaped(tmp_path, tone_model):
    music = tmp_path / "odd"
    music.mkdir()
    name = "<img src=x onerror=alert(1)>&.wav"
    sf.write(os.fsencode(music / name), tone(1, 2.0), RATE, format="WAV")
    index = Index.create(tmp_path / "odd-index", music, tone_model)
    index.update()
    (found,) = Finder({"<b>": index}).find("1", [], AFTER, None)
    assert "&lt;img src=x onerror=alert(1)&gt;&amp;" in found
    assert "<img" not in found
    assert "<b>" not in found


def test_an_empty_index_gives_advice(tmp_path, tone_model):
    (tmp_path / "empty").mkdir()
    index = Index.create(tmp_path / "i", tmp_path / "empty", tone_model)
    index.update()
    (found,) = Finder({"tones": index}).find("1", [], AFTER, None)
    assert EMPTY in found


def test_user_errors_of_the_command(index, tmp_path, capsys):
    assert main(["app", str(tmp_path)]) == 2
    assert "not an index" in capsys.readouterr().err
    assert main(["app", *["x"] * 3]) == 2
    assert "two at most" in capsys.readouterr().err
    with pytest.raises(InputError, match=r"both columns are of the model .*adapter\.py:Pitch"):
        open_columns([index.folder, index.folder])
