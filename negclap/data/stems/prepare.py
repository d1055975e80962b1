"""Write a set of stems: their audio, ``stems.jsonl``, and mixes for validation and test.

Everything of the source that is not used becomes a line in ``rejected.jsonl`` with a reason.
"""

import json
import random
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import Any, Literal, NamedTuple

import numpy as np
import soundfile as sf

from negclap.audio import AudioError, Waveform, resample
from negclap.audio.ffmpeg import decode
from negclap.data.manifest import Caption, Track, write_manifest
from negclap.data.stems.layouts import LAYOUTS, FoundSong, FoundStem
from negclap.data.stems.mixing import Claims, Mixer, Mixing, Part, levelled
from negclap.data.stems.names import StemNames
from negclap.data.stems.rendering import render
from negclap.data.stems.songs import FRAME_S, SILENT_DB, Song, Stem, write_songs
from negclap.data.tables import Rejection
from negclap.errors import InputError
from negclap.progress import Progress
from negclap.rng import derive_seed, stream
from negclap.storage import atomic_write
from negclap.text.templates import write_captions
from negclap.text.vocabulary import Vocabulary, music_vocabulary

Layout = Literal["folder", "musdb", "medleydb", "moisesdb", "slakh", "fretsonfire"]
SONGS = "stems.jsonl"
TWIN_SPLIT = "test_twin"
ADDED, EXCHANGED = "added", "exchanged"
"""Kinds of twins: one has a part more, or another part instead."""
_SILENT = 1e-4  # a peak of -80 dB
_SAYS_NOTHING = "instruments"  # the broadest tag, of nearly every mix
_UNEQUAL_S = 1.0
_CAPTIONS = 3
_DRAWS = 40


@dataclass(frozen=True)
class StemsPlan:
    """Prepare multitrack music: stems to mix in training, and mixes for validation and test.

    Attributes:
        audio: Folder of the set.
        out: Folder to write.
        layout: Form of the set: folder (SONG/STEM.wav or ARTIST/SONG/STEM.wav), musdb, medleydb,
            moisesdb, slakh or fretsonfire.
        mapping: YAML file that names stems (tags by name or glob), what they hide, and groups.
        sample_rate: Of the stems and mixes that are written, Hz: the model's.
        excerpt_s: Length of the mixes, seconds.
        validation_mixes: Mixes for validation.
        test_mixes: Mixes for test; every second one has a twin.
        shares: Share of each split among groups of songs, for sets without splits.
        groups: Groups (artists) of splits, instead of drawn ones: {test: [NAME, ...]}.
        seed: Seed of splits and mixes.
    """

    audio: Path
    out: Path
    layout: Layout = "folder"
    mapping: Path | None = None
    sample_rate: int = 16_000
    excerpt_s: float = 10.0
    validation_mixes: int = 256
    test_mixes: int = 1024
    shares: Mapping[str, float] = field(
        default_factory=lambda: {"train": 0.7, "validation": 0.1, "test": 0.2}
    )
    groups: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    seed: int = 0

    @property
    def frames(self) -> int:
        """Frames of an excerpt."""
        return round(self.excerpt_s / FRAME_S)


@dataclass
class StemsSummary:
    """Counts over a prepared set: songs and mixes by split, stems by tag, rejections by reason."""

    songs: Counter[str] = field(default_factory=Counter)
    mixes: Counter[str] = field(default_factory=Counter)
    stems: Counter[str] = field(default_factory=Counter)
    rejected: Counter[str] = field(default_factory=Counter)


class _Converted(NamedTuple):
    song: Song
    rejected: tuple[Rejection, ...]


def prepare_stems(plan: StemsPlan, jobs: int, progress: Progress) -> StemsSummary:
    """Write a set of stems with ``jobs`` processes.

    Raises:
        InputError: If the set has no songs in this layout, the mapping is bad, or a split that
            mixes are wanted of has no usable stem.
    """
    names = StemNames.read(plan.mapping) if plan.mapping else StemNames()
    if not plan.audio.is_dir():
        raise InputError(f"{plan.audio}: folder not found")
    found = list(LAYOUTS[plan.layout](plan.audio, names))
    songs = [song for song in found if isinstance(song, FoundSong)]
    rejected = [one for one in found if isinstance(one, Rejection)]
    splits = split_songs(songs, plan)
    (plan.out / "audio").mkdir(parents=True, exist_ok=True)
    with ProcessPoolExecutor(jobs) as pool:
        convert = partial(_convert, plan=plan, splits=splits)
        done = list(progress("decoding songs", len(songs), pool.map(convert, songs)))
        rejected += [one for each in done for one in each.rejected]
        usable = [each.song for each in done if each.song.stems]
        _write_rejections(plan.out / "rejected.jsonl", rejected)
        vocabulary = vocabulary_of(usable)
        mixes = list(_mixes(plan, usable, vocabulary))
        rendered = pool.map(partial(_render_to_file, plan), mixes, chunksize=8)
        for _ in progress("rendering mixes", len(mixes), rendered):
            pass
    vocabulary.save(plan.out / "vocabulary.json")
    write_songs(plan.out / SONGS, usable)
    write_manifest(plan.out / "manifest.jsonl", [mix.track for mix in mixes])
    return StemsSummary(
        Counter(song.split for song in usable),
        Counter(mix.track.split for mix in mixes),
        Counter(tag for s in usable for stem in s.stems for tag in stem.contents.tags or ("",)),
        Counter(one.reason for one in rejected),
    )


def _write_rejections(path: Path, rejected: Iterable[Rejection]) -> None:
    with atomic_write(path) as file:
        for one in rejected:
            file.write(json.dumps(one._asdict()) + "\n")


def split_songs(songs: Sequence[FoundSong], plan: StemsPlan) -> dict[str, str]:
    """Return the split of each song: the source's, or drawn by group.

    A source that has a training split but none for validation gives some of its training groups.

    Raises:
        InputError: If a group of the plan is unknown, or has no split although the plan gives
            groups to each split.
    """
    groups = {song.group for song in songs}
    given = {name: split for split, names in plan.groups.items() for name in names}
    if unknown := sorted(given.keys() - groups):
        raise InputError(f"groups: {unknown[0]!r} is no group of {', '.join(sorted(groups))}")
    own = {song.split for song in songs}
    shares = {split: share for split, share in plan.shares.items() if split not in plan.groups}
    if "train" in own and "validation" not in own:
        shares = {name: shares.get(name, 0.0) for name in ("train", "validation")}
        songs = [FoundSong(s.song_id, s.group, (), s.split.replace("train", "")) for s in songs]
    order = sorted(groups - given.keys(), key=lambda name: derive_seed(plan.seed, name))
    drawn = dict(given)
    if not shares:  # each split has groups of the plan
        if order:
            raise InputError(f"groups: {min(order)!r} has no split")
        return {song.song_id: song.split or drawn[song.group] for song in songs}
    smaller = sorted(shares, key=lambda name: shares[name])
    per_share = len(order) / sum(shares.values())
    for split in smaller[:-1]:  # at least one group; the largest split has the rest
        size = max(1, round(shares[split] * per_share)) if shares[split] else 0
        drawn |= dict.fromkeys(order[:size], split)
        order = order[size:]
    drawn |= dict.fromkeys(order, smaller[-1])
    return {song.song_id: song.split or drawn[song.group] for song in songs}


def _convert(song: FoundSong, plan: StemsPlan, splits: Mapping[str, str]) -> _Converted:
    """Decode the stems of a song, and write them in one form."""
    stems, rejected = [], []
    lengths: dict[str, float] = {}
    for number, found in enumerate(song.stems):
        name = f"audio/{derive_seed(song.song_id):016x}-{number:02d}.wav"
        try:
            samples, rate = _decode(found)
        except AudioError as error:
            rejected.append(_rejection(found, song, "unreadable audio", str(error)))
            continue
        if np.abs(samples).max(initial=0.0) < _SILENT:
            rejected.append(_rejection(found, song, "silent stem", "below -80 dB throughout"))
            continue
        mono = resample(samples, rate, plan.sample_rate)
        lengths[found.name] = len(mono) / plan.sample_rate
        peak = max(1.0, float(np.abs(mono).max()))  # decoders of lossy audio overshoot
        with atomic_write(plan.out / name, "wb") as file:
            sf.write(file, mono / peak, plan.sample_rate, subtype="PCM_16", format="WAV")
        stems.append(Stem(found.name, name, found.contents, frame_levels(mono, plan.sample_rate)))
    rejected += _unequal(song, lengths)
    made = Song(song.song_id, song.group, splits[song.song_id], song.tempo, tuple(stems))
    return _Converted(made, tuple(rejected))


def _decode(found: FoundStem) -> tuple[Waveform, int]:
    """Return ``(samples,)`` and their rate."""
    mono, rate = decode(found.file, found.stream)
    if not np.isfinite(mono).all():
        raise AudioError(f"{found.file}: has NaN or infinite samples")
    return mono, rate


def _rejection(found: FoundStem, song: FoundSong, reason: str, detail: str) -> Rejection:
    return Rejection(str(found.file), song.song_id, reason, detail)


def _unequal(song: FoundSong, lengths: Mapping[str, float]) -> Iterator[Rejection]:
    """Yield a note for each stem that is used, but ends before the others."""
    longest = max(lengths.values(), default=0.0)
    for found in song.stems:
        length_s = lengths.get(found.name, longest)
        if length_s < longest - _UNEQUAL_S:
            detail = f"used, silent after its end: {length_s:.1f} s of {longest:.1f} s"
            yield _rejection(found, song, "shorter than its song", detail)


def frame_levels(mono: Waveform, rate: int) -> tuple[int, ...]:
    """Return the RMS level of each frame, dB of full scale."""
    size = round(FRAME_S * rate)
    padded = np.pad(mono, (0, -len(mono) % size)).reshape(-1, size)
    power = np.mean(padded.astype(np.float64) ** 2, axis=1)
    return tuple(int(level) for level in np.round(10 * np.log10(power + 10 ** (SILENT_DB / 10))))


def vocabulary_of(songs: Iterable[Song]) -> Vocabulary:
    """Return the tags of the songs and all broader ones, from the general vocabulary."""
    music = music_vocabulary()
    own = {tag for song in songs for stem in song.stems for tag in stem.contents.tags}
    names = own.union(*(music.ancestors(tag) for tag in own)) - {_SAYS_NOTHING}
    tags = (tag for tag in music.tags if tag.name in names)
    known = (replace(t, broader=tuple(b for b in t.broader if b in names)) for t in tags)
    return Vocabulary(tuple(known), music.exclusive)


class _Mix(NamedTuple):
    """A mix for validation or test."""

    track: Track
    parts: tuple[Part, ...]


def _mixes(plan: StemsPlan, songs: Sequence[Song], vocabulary: Vocabulary) -> Iterator[_Mix]:
    """Yield the mixes of validation and test, each twin after its mix."""
    sizes = {"validation": plan.validation_mixes, "test": plan.test_mixes}
    for split, count in sizes.items():
        mine = tuple(song for song in songs if song.split == split)
        if not count:
            continue
        if not mine:
            raise InputError(
                f"{plan.audio}: no song of split {split!r} for {count} mixes; the groups are "
                f"{', '.join(sorted({song.group for song in songs})) or 'none'}"
            )
        mixer = Mixer(mine, vocabulary, plan.frames)
        for number in range(count):
            track_id = f"{split}-{number:05d}"
            rng = stream(plan.seed, "mix", track_id)
            parts = mixer.draw(_EVALUATION, rng)
            mix = _mix(track_id, split, parts, mixer.claims(parts), plan, vocabulary, {})
            yield mix
            if split == "test" and number % 2 == 0:
                yield from _twin(mix, mixer, (ADDED, EXCHANGED)[number // 2 % 2], rng, plan)


_EVALUATION = Mixing(together=0.8)


def _twin(
    mix: _Mix, mixer: Mixer, kind: str, rng: random.Random, plan: StemsPlan
) -> Iterator[_Mix]:
    """Yield a mix with a part less or more, or with another part in place of one.

    Nothing is yielded if no draw changes what is known of a tag.
    """
    for _ in range(_DRAWS):
        parts = list(mix.parts)
        other = mixer.part(rng.choice(mixer.kinds), rng, parts[0])
        other = levelled(other, mixer.frames, rng.gauss(0.0, _EVALUATION.level_db))
        if other.kind in {part.kind for part in parts}:
            continue
        if kind == EXCHANGED:
            parts[rng.randrange(len(parts))] = other
        elif len(parts) > 1 and rng.random() < 0.5:
            del parts[rng.randrange(len(parts))]
        else:
            parts.append(other)
        claims = mixer.claims(parts)
        had, has = {*mix.track.tags}, {*claims.present}
        changed = sorted((had & {*claims.absent}) | (has & {*(mix.track.absent_tags or ())}))
        specific = [tag for tag in changed if tag in mixer.kinds]
        if not specific:
            continue
        meta = {"twin_of": mix.track.track_id, "toggled": rng.choice(specific), "twin": kind}
        name = f"{mix.track.track_id}-twin"
        yield _mix(name, TWIN_SPLIT, parts, claims, plan, mixer.vocabulary, meta)
        return


def _mix(
    track_id: str,
    split: str,
    parts: Sequence[Part],
    claims: Claims,
    plan: StemsPlan,
    vocabulary: Vocabulary,
    meta: Mapping[str, str],
) -> _Mix:
    captions = captions_of(claims, vocabulary, stream(plan.seed, "caption", track_id), _CAPTIONS)
    track = Track(
        track_id,
        f"mixes/{track_id}.wav",
        0.0,
        plan.excerpt_s,
        captions,
        claims.present,
        claims.absent,
        split,
        {**about(parts), **meta},
    )
    return _Mix(track, tuple(parts))


def about(parts: Sequence[Part]) -> dict[str, Any]:
    """Return the songs of a mix by id, its number of parts, and the group of its first part."""
    songs = sorted({part.song.song_id for part in parts})
    return {"songs": songs, "parts": len(parts), "group": parts[0].song.group}


def captions_of(
    claims: Claims, vocabulary: Vocabulary, rng: random.Random, n: int
) -> tuple[Caption, ...]:
    """Return n captions of a mix from templates."""
    if not claims.present:
        return (Caption("music", "template"),)
    texts = write_captions(claims.present, vocabulary, rng, n)
    return tuple(Caption(text, "template") for text in dict.fromkeys(texts))


def _render_to_file(plan: StemsPlan, mix: _Mix) -> None:
    target = plan.out / mix.track.audio
    target.parent.mkdir(exist_ok=True)
    audio = render(mix.parts, plan.out, plan.excerpt_s, plan.sample_rate)
    with atomic_write(target, "wb") as file:
        sf.write(file, audio, plan.sample_rate, subtype="PCM_16", format="WAV")
