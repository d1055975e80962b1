"""`negclap prepare` for every source, on small data sets in the real formats."""

import csv
import datetime
import io
import json
import os
import tarfile
from pathlib import Path

import mutagen
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import soundfile as sf

from negclap.audio import read_excerpt
from negclap.cli import main
from negclap.data.tracks import read_manifest, read_vocabulary

from .conftest import clip_of, read_lines, write_audio


def prepare(out: Path, name: str, audio: Path, *options: object) -> dict:
    """Run `negclap prepare` and return its summary."""
    arguments = ["prepare", name, "--out", out, "--audio", audio, *options]
    assert main([str(argument) for argument in arguments]) == 0
    summary = json.loads((out / "summary.json").read_text())
    rejected = read_lines(out / "rejected.jsonl")
    assert summary["read"] == sum(summary["tracks"].values()) + len(rejected)
    assert sum(summary["rejected"].values()) == len(rejected)
    assert sum(summary["tracks"].values()) == len(read_manifest(out / "manifest.jsonl"))
    return summary


def error_of(capfd, *arguments: object) -> str:
    assert main([str(argument) for argument in arguments]) == 2
    return capfd.readouterr().err


def test_msd_in_its_three_audio_layouts(msd, tmp_path):
    summary = prepare(tmp_path, "lp-musiccaps-msd", msd.audio, "--metadata", msd.metadata)
    assert summary["tracks"] == {"test": 10, "train": 40, "valid": 10}
    assert summary["captions"] == {"writing": 60, "summary": 60}
    assert summary["dropped_captions"] == {"paraphrase: empty": 60}
    assert summary["mention_rate"] > 0.9
    assert not summary["rejected"]
    tracks = read_manifest(tmp_path / "manifest.jsonl")
    suffixes = {track.audio[track.audio.rindex(".") :] for track in tracks}
    assert suffixes == {".mp3", ".npy"}
    assert {round(track.duration_s) for track in tracks} == {10}
    assert tracks[0].meta["artist_name"] == "A Choir"
    assert all(set(track.tags) <= set(read_vocabulary(tmp_path / "m").names) for track in tracks)


def test_the_ecals_split_overrides_the_split_of_the_files(msd, tmp_path):
    ids = [
        row["track_id"]
        for name in ("train", "valid", "test")
        for row in pq.read_table(msd.metadata / f"{name}.parquet").to_pylist()
    ]
    ecals = {"train_track": ids[:30], "extra_track": ids[30:40], "valid_track": ids[40:45]}
    (tmp_path / "ecals.json").write_text(json.dumps(ecals | {"test_track": ids[45:55]}))
    options = ("--metadata", msd.metadata, "--ecals", tmp_path / "ecals.json")
    summary = prepare(tmp_path / "out", "lp-musiccaps-msd", msd.audio, *options)
    assert summary["tracks"] == {"train": 30, "extra": 10, "valid": 5, "test": 10}
    assert summary["rejected"] == {"not in any split": 5}


def test_malformed_ecals_splits_are_read_or_reported(msd, tmp_path, capfd):
    options = ("--metadata", msd.metadata, "--ecals", tmp_path / "ecals.json")
    rows = pq.read_table(msd.metadata / "train.parquet").to_pylist()
    ids = {"train_track": [row["track_id"] for row in rows], "test_track": 5}
    (tmp_path / "ecals.json").write_text(json.dumps(ids))
    summary = prepare(tmp_path / "out", "lp-musiccaps-msd", msd.audio, *options)
    assert summary["tracks"] == {"train": 40}
    (tmp_path / "ecals.json").write_text("[" * 100_000)
    arguments = ("--out", tmp_path / "out", "--audio", msd.audio, *options)
    assert "cannot be read as JSON" in error_of(capfd, "prepare", "lp-musiccaps-msd", *arguments)


def test_metadata_may_have_any_type(msd, tmp_path):
    rows = pq.read_table(msd.metadata / "train.parquet").to_pylist()[:1]
    rows[0] |= {"year": datetime.date(1999, 4, 1), "title": b"caf\xe9"}
    pq.write_table(pa.Table.from_pylist(rows), tmp_path / "train.parquet")
    options = ("--metadata", tmp_path / "train.parquet")
    prepare(tmp_path / "out", "lp-musiccaps-msd", msd.audio, *options)
    (track,) = read_manifest(tmp_path / "out" / "manifest.jsonl")
    assert track.meta["year"] == "1999-04-01"
    assert track.meta["title"] == "b'caf\\xe9'"


def test_missing_audio_is_counted_or_an_error(msd, tmp_path, capfd):
    rows = pq.read_table(msd.metadata / "train.parquet").to_pylist()
    rows[3]["path"], rows[3]["track_id"] = "9/9/none.clip.mp3", "TRZZZZZ12903CF0000"
    rows[5]["caption_writing"] = rows[5]["caption_summary"] = None
    rows[6]["tag"] = None
    schema = pq.read_schema(msd.metadata / "train.parquet")
    (tmp_path / "m").mkdir()
    pq.write_table(pa.Table.from_pylist(rows, schema), tmp_path / "m" / "train.parquet")
    arguments = ("--metadata", tmp_path / "m")
    summary = prepare(tmp_path / "out", "lp-musiccaps-msd", msd.audio, *arguments)
    assert summary["rejected"] == {"no audio": 1, "no caption": 1}
    assert summary["tracks"] == {"train": 38}
    listed = {line["reason"]: line for line in read_lines(tmp_path / "out" / "rejected.jsonl")}
    assert listed["no audio"]["place"].endswith("train.parquet:4")
    assert "Z/Z/Z/TRZZZZZ12903CF0000.mp3" in listed["no audio"]["detail"]
    files = [tmp_path / "out" / name for name in ("manifest.jsonl", "vocabulary.json")]
    before = [file.read_bytes() for file in files]
    line = error_of(
        capfd, "prepare", "lp-musiccaps-msd", "--out", tmp_path / "out", "--audio", msd.audio,
        *arguments, "--require_audio", "--min_tracks", "20",
    )  # fmt: skip
    assert "1 of 40 recordings have no audio" in line
    assert [file.read_bytes() for file in files] == before  # the earlier manifest is kept


def test_attribute_predictions_are_used_only_on_request(msd, tmp_path):
    options = ("--metadata", msd.metadata, "--captions", "[writing,attribute_prediction]")
    summary = prepare(tmp_path, "lp-musiccaps-msd", msd.audio, *options)
    assert summary["captions"] == {"writing": 60, "attribute_prediction": 60}


def test_mtt_converts_negated_tags_to_absent_tags(tmp_path, chorales, tracks):
    rows = [
        ("831", ["guitar", "noVocals", "newAge"], "f/a.mp3"),
        ("832", ["female", "no voice", "drums"], "f/b.mp3"),
        ("833", ["no vocals"], "f/c.mp3"),
        ("834", [], "f/d.mp3"),
    ]
    schema = pa.schema(
        [("track_id", pa.string()), ("tag_top50", pa.list_(pa.string()))]
        + [("tag_top188", pa.list_(pa.string()))]
        + [(f"caption_{kind}", pa.string()) for kind in ("writing", "summary", "paraphrase")]
        + [("pseudo_attribute", pa.list_(pa.string())), ("path", pa.string())]
    )
    table = [
        {"track_id": name, "tag_top50": tags, "tag_top188": tags, "path": path}
        | {"caption_writing": "A slow tune.", "caption_summary": "", "caption_paraphrase": None}
        for name, tags, path in rows
    ]
    (tmp_path / "m").mkdir()
    pq.write_table(pa.Table.from_pylist(table, schema), tmp_path / "m" / "test-00000.parquet")
    for (_, _, path), track in zip(rows, tracks, strict=False):
        write_audio(tmp_path / "a" / path, clip_of(chorales, track, 16_000), 16_000)
    options = ("--metadata", tmp_path / "m")
    summary = prepare(tmp_path / "out", "lp-musiccaps-mtt", tmp_path / "a", *options)
    found = {
        t.track_id: (t.tags, t.absent_tags) for t in read_manifest(tmp_path / "out/manifest.jsonl")
    }
    assert found == {
        "831": (("guitar", "new age"), ("vocals",)),
        "832": (("female vocals", "drums"), None),
        "833": ((), ("vocals",)),
        "834": ((), None),
    }
    assert summary["contradicted"] == 1
    assert summary["without_tags"] == 2


@pytest.fixture
def musiccaps(tmp_path, chorales, tracks):
    """The public CSV, with a clip, a whole video, a truncated video and a missing one."""
    (tmp_path / "a").mkdir()
    clip = clip_of(chorales, tracks[0], 22_050)
    write_audio(tmp_path / "a" / "[-0SdAVK79lg]-[30-40].wav", clip, 22_050)
    write_audio(tmp_path / "a" / "whole000000.flac", np.tile(clip, 5), 22_050)
    write_audio(tmp_path / "a" / "short000000.wav", clip[:150_000], 22_050)
    rows = [
        ("-0SdAVK79lg", 30, "['guitar song', 'no voice', 'slow tempo']", "A guitar. No voices."),
        ("whole000000", 30, '["piano", "no other instruments"]', "Only a piano."),
        ("short000000", 30, "['piano']", "A piano."),
        ("nothere0000", 0, "['piano']", "A piano."),
        ("broken00000", 0, "['piano'", "A piano."),
    ]
    names = "ytid,start_s,end_s,audioset_positive_labels,aspect_list,caption,author_id"
    with (tmp_path / "mc.csv").open("w", newline="") as file:
        table = csv.writer(file)
        table.writerow([*names.split(","), "is_balanced_subset", "is_audioset_eval"])
        for ytid, start, aspects, caption in rows:
            table.writerow([ytid, start, start + 10, "/m/04rlf", aspects, caption, 4, False, True])
        table.writerow(["few", "fields"])
    return tmp_path


def test_musiccaps_csv(musiccaps):
    options = ("--metadata", musiccaps / "mc.csv")
    summary = prepare(musiccaps / "out", "musiccaps", musiccaps / "a", *options)
    assert summary["rejected"] == {"too short": 1, "no audio": 1, "malformed row": 2}
    clip, whole = read_manifest(musiccaps / "out" / "manifest.jsonl")
    assert (clip.start_s, whole.start_s) == (0.0, 30.0)
    assert (clip.duration_s, whole.duration_s) == (10.0, 10.0)
    assert (clip.tags, clip.absent_tags) == (("guitar song", "slow tempo"), ("vocals",))
    assert summary["left_out_tags"] == {"no other instruments": "negation, but not of a tag"}
    assert {track.split for track in (clip, whole)} == {"test"}


def test_musiccaps_from_lp_musiccaps(musiccaps):
    row = {
        "fname": "[-0SdAVK79lg]-[30-40]",
        "ytid": "-0SdAVK79lg",
        "aspect_list": ["guitar", "no voice"],
        "caption_ground_truth": "A guitar.",
        "caption_writing": "A guitar, written.",
        "is_audioset_eval": False,
    }
    table = pa.Table.from_pylist([row, row | {"fname": "whatever"}])
    pq.write_table(table, musiccaps / "mc.parquet")
    options = ("--metadata", musiccaps / "mc.parquet", "--captions", "[ground_truth,writing]")
    summary = prepare(musiccaps / "out", "musiccaps", musiccaps / "a", *options)
    assert summary["rejected"] == {"malformed row": 1}
    assert summary["captions"] == {"ground_truth": 1, "writing": 1}
    assert summary["tracks"] == {"train": 1}


def test_song_describer_finds_tags_in_captions(tmp_path, chorales, tracks):
    for name, track in (("06/1.2min.mp3", tracks[0]), ("07/2.mp3", tracks[1])):
        write_audio(tmp_path / "a" / name, clip_of(chorales, track, 22_050), 22_050)
    (tmp_path / "sdd.csv").write_text(
        "caption_id,track_id,caption,is_valid_subset,familiarity,artist_id,album_id,path,duration\n"
        '1,1,"A calm guitar, no drums.",True,0,9,8,06/1.mp3,120\n'
        '2,1,"Guitar and flute without any singing",False,0,9,8,06/1.mp3,120\n'
        "3,2,Loud rock,True,0,9,8,07/2.mp3,120\n"
    )
    options = ("--metadata", tmp_path / "sdd.csv")
    prepare(tmp_path / "out", "song-describer", tmp_path / "a", *options)
    first, second = read_manifest(tmp_path / "out" / "manifest.jsonl")
    assert [caption.text for caption in first.captions] == [
        "A calm guitar, no drums.",
        "Guitar and flute without any singing",
    ]
    assert set(first.tags) == {"guitar", "flute"}
    assert set(first.absent_tags or ()) == {"drums", "vocals"}
    assert second.tags == ("rock",)
    summary = prepare(tmp_path / "out", "song-describer", tmp_path / "a", *options, "--valid_only")
    assert summary["rejected"] == {"not in the validated subset": 1}


def test_commands_in_a_table_are_not_run(tmp_path, chorales, tracks):
    write_audio(tmp_path / "a/1.wav", clip_of(chorales, tracks[0], 16_000), 16_000)
    command = f"pipe:touch {tmp_path / 'ran'}"
    header = "TRACK_ID\tARTIST_ID\tALBUM_ID\tPATH\tDURATION\tTAGS\n"
    rows = [f"{i}\tx\ty\t{path}\t10\tgenre---jazz" for i, path in enumerate(("1.wav", command))]
    (tmp_path / "tags.tsv").write_text(header + "\n".join(rows) + "\n")
    options = ("--metadata", tmp_path / "tags.tsv", "--min_duration_s", "1")
    summary = prepare(tmp_path / "out", "mtg-jamendo", tmp_path / "a", *options)
    assert summary["rejected"] == {"command": 1}
    assert not (tmp_path / "ran").exists()


def test_jamendo_writes_captions_from_its_tag_columns(tmp_path, chorales, tracks):
    header = "TRACK_ID\tARTIST_ID\tALBUM_ID\tPATH\tDURATION\tTAGS\n"
    rows = [
        ("track_1", "artist_1", "1/1.mp3", ["instrument---electricguitar", "mood/theme---calm"]),
        ("track_2", "artist_1", "2/2.mp3", ["genre---jazz"]),
        ("track_3", "artist_2", "3/3.mp3", []),
    ]
    lines = [
        "\t".join([name, artist, "album", path, "10.0", *tags]) for name, artist, path, tags in rows
    ]
    (tmp_path / "autotagging.tsv").write_text(header + "\n".join(lines) + "\n")
    write_audio(tmp_path / "a/1/1.mp3", clip_of(chorales, tracks[0], 22_050), 22_050)
    write_audio(tmp_path / "a/2/2.low.mp3", clip_of(chorales, tracks[1], 22_050), 22_050)
    write_audio(tmp_path / "a/3/3.mp3", clip_of(chorales, tracks[2], 22_050), 22_050)
    options = ("--metadata", tmp_path / "autotagging.tsv")
    summary = prepare(tmp_path / "out", "mtg-jamendo", tmp_path / "a", *options)
    assert summary["rejected"] == {"neither captions nor tags": 1}
    first, second = read_manifest(tmp_path / "out" / "manifest.jsonl")
    assert first.tags == ("electric guitar", "calm")
    assert first.split == second.split  # the same artist
    assert all("jazz" in caption.text for caption in second.captions)
    vocabulary = read_vocabulary(tmp_path / "out" / "manifest.jsonl")
    assert [vocabulary[name].category for name in ("electric guitar", "calm", "jazz")] == [
        "instrument",
        "mood",
        "genre",
    ]
    (tmp_path / "split-0").mkdir()
    for name in ("train", "test"):
        text = header + lines[0 if name == "train" else 1]
        (tmp_path / "split-0" / f"autotagging-{name}.tsv").write_text(text)
    options = ("--metadata", tmp_path / "split-0")
    summary = prepare(tmp_path / "out", "mtg-jamendo", tmp_path / "a", *options)
    assert summary["tracks"] == {"test": 1, "train": 1}


def add(tar: tarfile.TarFile, name: str, data: bytes) -> None:
    info = tarfile.TarInfo(name)
    info.size = len(data)
    tar.addfile(info, io.BytesIO(data))


def write_laion_shard(path: Path, clips: list[np.ndarray], rate: int) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    with tarfile.open(path, "w") as tar:
        for number, samples in enumerate(clips):
            audio = io.BytesIO()
            sf.write(audio, samples, rate, format="FLAC")
            about = {"text": [f"clip {number} with piano", "no drums"], "tag": ["piano"]}
            add(tar, f"{number}.json", json.dumps(about).encode())
            add(tar, f"{number}.flac", audio.getvalue())


def test_webdataset_shards_are_read_in_place(tmp_path, chorales, tracks):
    clips = [clip_of(chorales, track, 22_050) for track in tracks[:6]]
    write_laion_shard(tmp_path / "a" / "train" / "000.tar", clips[:3], 22_050)
    write_laion_shard(tmp_path / "a" / "test" / "000.tar", clips[3:], 22_050)
    whole = (tmp_path / "a" / "test" / "000.tar").read_bytes()
    (tmp_path / "a" / "test" / "001.tar").write_bytes(whole[: len(whole) // 2])
    (tmp_path / "a" / "test" / "002.tar").write_bytes(b"no tar at all" * 100)
    summary = prepare(tmp_path / "out", "webdataset", tmp_path / "a")
    assert summary["tracks"]["train"] == 3
    assert summary["tracks"]["test"] in (4, 5)  # and the complete samples of the truncated shard
    assert summary["rejected"]["broken shard"] == 2
    found = read_manifest(tmp_path / "out" / "manifest.jsonl")
    by_id = {track.track_id: track for track in found}
    for number, clip in enumerate(clips):
        track = by_id[f"{'train' if number < 3 else 'test'}/000/{number % 3}"]
        samples = read_excerpt(track.audio, 1.0, 5.0, 22_050)
        assert np.allclose(samples, clip[22_050 : 6 * 22_050], atol=1e-4)
        assert track.tags == ("piano",)


def test_folder_with_a_table_of_captions(tmp_path, chorales, tracks):
    clip = clip_of(chorales, tracks[0], 22_050)
    for name in ("one.wav", "album/two.flac", "album/three.ogg", "loose.mp3"):
        write_audio(tmp_path / "a" / name, clip, 22_050)
    (tmp_path / "c.csv").write_text(
        "file,caption,tags,split\n"
        "one.wav,A quiet piece,quiet;piano,train\n"
        "./album/two.flac,A piano,,\n"
        "album/three.ogg,,drums,test\n"
        "gone.wav,Nothing,,train\n"
        "one.wav,Again,,train\n"
    )
    options = ("--captions", tmp_path / "c.csv")
    summary = prepare(tmp_path / "out", "folder", tmp_path / "a", *options)
    assert summary["rejected"] == {"no audio": 1, "duplicate track id": 1, "not in the table": 1}
    one, two, three = read_manifest(tmp_path / "out" / "manifest.jsonl")
    assert (one.split, three.split) == ("train", "test")
    assert one.tags == ("quiet", "piano")
    assert two.tags == ("piano",)
    assert three.captions[0].kind == "template"
    lines = [{"file": "one.wav", "captions": ["One", "Two"], "tags": ["piano"]}, {"file": 3}]
    (tmp_path / "c.jsonl").write_text("\n".join(map(json.dumps, lines)) + "\nnot JSON\n")
    options = ("--captions", tmp_path / "c.jsonl")
    summary = prepare(tmp_path / "out", "folder", tmp_path / "a", *options)
    assert summary["captions"] == {"human": 2}
    assert summary["rejected"] == {"malformed row": 2, "not in the table": 3}


def test_folder_without_captions_uses_the_metadata_of_the_files(tmp_path, chorales, tracks):
    beat = np.zeros(30 * 22_050, np.float32)
    for start in np.arange(0, 29, 60 / 170):  # a click track at 170 BPM
        at = int(start * 22_050)
        beat[at : at + 400] = np.hanning(400)
    write_audio(tmp_path / "a" / "fast.flac", beat, 22_050)
    metadata = mutagen.File(tmp_path / "a" / "fast.flac", easy=True)
    metadata["genre"], metadata["title"] = "Techno; House", "Clicks"
    metadata.save()
    summary = prepare(tmp_path / "out", "folder", tmp_path / "a")
    (track,) = read_manifest(tmp_path / "out" / "manifest.jsonl")
    assert track.tags == ("techno", "house", "fast")
    assert track.meta == {"title": "Clicks", "estimated": ["tempo"]}
    assert summary["captions"].keys() == {"template"}


def test_folder_with_unusual_names_and_links(tmp_path, chorales, tracks):
    clip = clip_of(chorales, tracks[0], 22_050)
    write_audio(tmp_path / "a" / "one.wav", clip, 22_050)
    (tmp_path / "a" / "loop").symlink_to(tmp_path / "a", target_is_directory=True)
    (tmp_path / "a" / "folder.mp3").mkdir()
    (tmp_path / "a" / "dangling.wav").symlink_to(tmp_path / "nowhere.wav")
    odd = os.fsencode(tmp_path / "a") + b"/caf\xe9.wav"
    Path(os.fsdecode(odd)).write_bytes((tmp_path / "a" / "one.wav").read_bytes())
    (tmp_path / "c.csv").write_text("file,caption\none.wav,A piece\n")
    summary = prepare(tmp_path / "out", "folder", tmp_path / "a", "--captions", tmp_path / "c.csv")
    assert summary["tracks"].keys() <= {"train", "validation", "test"}
    assert summary["rejected"] == {"not in the table": 2, "link to a folder": 1}
    summary = json.loads((tmp_path / "out" / "summary.json").read_text())
    assert summary["read"] == 4


@pytest.mark.parametrize(
    ("name", "options", "message"),
    [
        ("lp-musiccaps-msd", ("--metadata", "{}/none"), "no .parquet file found"),
        ("lp-musiccaps-msd", ("--metadata", "{}/bad.parquet"), "unknown split"),
        ("musiccaps", ("--metadata", "{}/bad.csv"), "missing columns ['ytid'"),
        ("song-describer", ("--metadata", "{}/latin.csv"), "latin.csv:2: not UTF-8"),
        ("mtg-jamendo", ("--metadata", "{}/bad.csv"), "missing columns ['TRACK_ID'"),
        ("webdataset", (), "no shards found"),
        ("folder", ("--captions", "{}/none.csv"), "none.csv"),
        ("folder", ("--captions", "{}"), "found 2 tables, expected one"),
        ("folder", (), "none of 0 recordings can be used"),
    ],
)
def test_unreadable_sources_are_reported(tmp_path, capfd, name, options, message):
    (tmp_path / "bad.parquet").write_bytes(b"no Parquet")
    (tmp_path / "bad.csv").write_text("a,b\n1,2\n")
    header = b"track_id,caption,path,is_valid_subset\n"
    (tmp_path / "latin.csv").write_bytes(header + "1,café,a.mp3,True\n".encode("latin-1"))
    (tmp_path / "a").mkdir()
    options = [option.format(tmp_path) for option in options]
    line = error_of(
        capfd, "prepare", name, "--out", tmp_path / "out", "--audio", tmp_path / "a", *options
    )
    assert message in line
