"""From what a source says to a manifest: audio found and looked into, tags in one vocabulary.

Everything that a source holds ends as a track of ``manifest.jsonl`` or as a line of
``rejected.jsonl`` with its reason; the summary counts both.
"""

import json
from collections import Counter, deque
from collections.abc import Callable, Iterable, Iterator, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import asdict, dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import IO

from negclap.audio import TOLERANCE_S, AudioError, Window, probe
from negclap.data.entries import Candidate, Entry, Rejection, Source
from negclap.data.manifest import (
    MAX_CAPTION_WORDS,
    Caption,
    Track,
    parse_line,
    parse_manifest,
    write_manifest,
)
from negclap.errors import InputError
from negclap.progress import Progress
from negclap.rng import derive_seed, stream
from negclap.storage import exists, is_pipe, join, writing
from negclap.text.detect import denied_spans
from negclap.text.negate import is_negated, stands_in
from negclap.text.tag_list import TagList, everyday_terms, read_tag_list
from negclap.text.templates import write_captions
from negclap.text.vocabulary import Vocabulary

_AHEAD = 256  # recordings whose audio is looked for at once
_CAPTIONS_PER_TRACK = 3
NO_AUDIO = "no audio"


@dataclass(frozen=True)
class Gathering:
    """How a source becomes a manifest.

    Attributes:
        out: Folder of the manifest.
        audio: Folder or URL that the source's audio lies in.
        require_audio: Whether a recording without any audio file is an error.
        min_duration_s: Shorter recordings are rejected.
        min_tracks: Tags of fewer tracks are left out.
        vocabulary: A vocabulary.json to read tags with; None makes one of the source's tags.
        shares: Share by split, for sources that name none; drawn by the entry's group.
        seed: Of that draw, and of captions that are written.
        threads: That look for audio.
    """

    out: Path
    audio: str
    require_audio: bool = False
    min_duration_s: float = 10.0
    min_tracks: int = 1
    vocabulary: Path | None = None
    shares: Mapping[str, float] = field(
        default_factory=lambda: {"train": 0.8, "validation": 0.1, "test": 0.1}
    )
    seed: int = 0
    threads: int = 8

    def __post_init__(self) -> None:
        """Refuse shares that leave something over."""
        if not self.shares or abs(sum(self.shares.values()) - 1) > 1e-6:
            raise InputError(f"the shares of the splits are {dict(self.shares)}, expected sum 1")


@dataclass
class Summary:
    """What came of a source.

    Attributes:
        read: Recordings and broken rows that the source holds: ``tracks`` and ``rejected`` add up.
        tracks: Tracks by split.
        hours: Hours of audio by split.
        captions: Captions by kind.
        dropped_captions: Captions that were none, by reason.
        without_tags: Tracks that have no tag.
        tags: Tags of the vocabulary.
        denied: Tracks with a tag that denies another ("no vocals").
        contradicted: Denials that another tag of the track contradicts; left out.
        left_out_tags: Why raw tags are none, by raw tag.
        mention_rate: Share of captions that mention at least one tag.
        rejected: Rejections by reason.
    """

    read: int = 0
    tracks: Counter[str] = field(default_factory=Counter)
    hours: dict[str, float] = field(default_factory=dict)
    captions: Counter[str] = field(default_factory=Counter)
    dropped_captions: Counter[str] = field(default_factory=Counter)
    without_tags: int = 0
    tags: int = 0
    denied: int = 0
    contradicted: int = 0
    left_out_tags: dict[str, str] = field(default_factory=dict)
    mention_rate: float = 0.0
    rejected: Counter[str] = field(default_factory=Counter)


def gather(source: Source, plan: Gathering, progress: Progress) -> Summary:
    """Write manifest, vocabulary and rejections of a source.

    Raises:
        InputError: If the source cannot be read, no track is left, or audio is missing where it
            is required.
    """
    plan.out.mkdir(parents=True, exist_ok=True)
    raw_path, made = plan.out / "raw.jsonl", plan.out / "manifest.jsonl.new"
    rejected_path = plan.out / "rejected.jsonl"
    try:
        with writing(rejected_path) as rejected:
            summary = Summary()
            reject = partial(_reject, rejected, summary)
            counts, categories = _find(source, plan, raw_path, summary, reject, progress)
            tags = _read_tags(counts, categories, plan)
            without = summary.rejected[NO_AUDIO] if plan.require_audio else 0
            if summary.read > summary.rejected.total() and not without:
                left = progress("reading tags", None, parse_manifest(raw_path))
                tracks = _canonical(left, tags, plan, summary, reject)
                write_manifest(made, tracks)
        _check(summary, without, plan.audio, rejected_path)
        tags.vocabulary.save(plan.out / "vocabulary.json")
        made.replace(plan.out / "manifest.jsonl")
    finally:
        raw_path.unlink(missing_ok=True)
        made.unlink(missing_ok=True)
    summary.tags = len(tags.vocabulary)
    summary.left_out_tags = dict(tags.left_out)
    return summary


def _check(summary: Summary, without: int, audio: str, rejected_path: Path) -> None:
    """Refuse a source that lacks audio, or has nothing that can be used."""
    if without:
        raise InputError(
            f"{without} of {summary.read} recordings have no audio under {audio}; "
            f"{rejected_path} lists them"
        )
    if not summary.tracks:
        reasons = ", ".join(f"{reason}: {n}" for reason, n in summary.rejected.most_common())
        raise InputError(
            f"none of {summary.read} recordings can be used ({reasons}); see {rejected_path}"
        )


def _reject(file: IO[str], summary: Summary, rejection: Rejection) -> None:
    summary.rejected[rejection.reason] += 1
    file.write(json.dumps(rejection._asdict()) + "\n")  # ASCII: names may be no UTF-8


def _find(
    source: Source,
    plan: Gathering,
    raw_path: Path,
    summary: Summary,
    reject: Callable[[Rejection], None],
    progress: Progress,
) -> tuple[Counter[str], dict[str, str]]:
    """Write what has audio and words, with its raw tags; count these, with their categories."""
    counts: Counter[str] = Counter()
    categories: dict[str, str] = {}
    places: dict[str, str] = {}
    with writing(raw_path) as raw:
        for one in progress("looking for audio", None, _located(source, plan)):
            summary.read += 1
            if isinstance(one, Rejection):
                reject(one)
                continue
            track = _track(one, plan, source, summary)
            if isinstance(track, Rejection):
                reject(track)
                continue
            line = json.dumps(asdict(track))
            try:
                parse_line(line, one.entry.place)
            except InputError as error:  # what one row says must not end all
                reject(Rejection(one.entry.place, track.track_id, "malformed row", str(error)))
                continue
            first = places.setdefault(track.track_id, one.entry.place)
            if first != one.entry.place:
                detail = f"stands already in {first}"
                reject(Rejection(one.entry.place, track.track_id, "track id twice", detail))
                continue
            counts.update(track.tags)
            categories |= one.entry.categories
            raw.write(line + "\n")
    return counts, categories


def _read_tags(counts: Counter[str], categories: Mapping[str, str], plan: Gathering) -> TagList:
    if plan.vocabulary:
        return TagList.of(Vocabulary.load(plan.vocabulary), counts)
    if counts:
        return read_tag_list(counts, categories, plan.min_tracks)
    return TagList.of(everyday_terms(), ())


@dataclass(frozen=True)
class _Located:
    """An entry with its audio."""

    entry: Entry
    audio: str
    start_s: float
    duration_s: float


def _located(source: Source, plan: Gathering) -> Iterator[_Located | Rejection]:
    """In the source's order, with some looked for ahead."""
    with ThreadPoolExecutor(plan.threads) as pool:
        waiting: deque[Future[_Located | Rejection]] = deque()
        for one in source.entries(plan.audio):
            waiting.append(pool.submit(_locate, one, plan))
            if len(waiting) >= _AHEAD:
                yield waiting.popleft().result()
        while waiting:
            yield waiting.popleft().result()


def _locate(one: Entry | Rejection, plan: Gathering) -> _Located | Rejection:
    if isinstance(one, Rejection):
        return one
    reasons: list[str] = []
    for candidate in one.audio:
        location = join(plan.audio, candidate.location)
        if is_pipe(location) and not is_pipe(plan.audio):  # commands are the user's to give
            return Rejection(one.place, one.track_id, "a command", f"not run: {location!a}")
        try:
            location.encode()
        except UnicodeEncodeError:
            return Rejection(one.place, one.track_id, "file name not UTF-8", ascii(location))
        window = Window.parse(location)
        if window and exists(location):
            return Rejection(one.place, one.track_id, "file name like a part of a shard", location)
        if not exists(window.file if window else location):
            continue
        try:
            span = _span(location, candidate)
        except AudioError as error:
            reasons.append(str(error))
            continue
        if span[1] < plan.min_duration_s - TOLERANCE_S:
            reasons.append(f"{location}: too short, {span[1]:.2f} s")
            continue
        return _Located(one, location, *span)
    if reasons:
        reason = "too short" if "too short" in reasons[-1] else "unreadable audio"
        return Rejection(one.place, one.track_id, reason, "; ".join(reasons))
    tried = ", ".join(candidate.location for candidate in one.audio)
    return Rejection(one.place, one.track_id, NO_AUDIO, f"tried {tried!a}")


def _span(location: str, candidate: Candidate) -> tuple[float, float]:
    """Where the recording begins in its file, and how long it is."""
    whole_s = probe(location).duration_s
    left_s = whole_s - candidate.start_s
    if candidate.duration_s is None:
        return candidate.start_s, left_s
    if left_s < candidate.duration_s - TOLERANCE_S:
        raise AudioError(
            f"{location}: ends at {whole_s:.2f} s, "
            f"expected {candidate.start_s + candidate.duration_s:.2f} s"
        )
    return candidate.start_s, min(candidate.duration_s, left_s)


def _track(
    located: _Located, plan: Gathering, source: Source, summary: Summary
) -> Track | Rejection:
    entry = located.entry
    captions = tuple(_usable(entry.captions, summary.dropped_captions))
    tags = tuple(tag for tag in dict.fromkeys(entry.tags) if tag.strip() and _is_utf8(tag))
    if not _is_utf8(entry.track_id) or not entry.track_id.strip():
        return Rejection(entry.place, ascii(entry.track_id), "no track id")
    if not captions and not (source.writes_captions and tags):
        reason = "neither captions nor tags" if source.writes_captions else "no caption"
        return Rejection(entry.place, entry.track_id, reason)
    return Track(
        track_id=entry.track_id,
        audio=_relative(located.audio, plan.out),
        start_s=located.start_s,
        duration_s=located.duration_s,
        captions=captions,
        tags=tags,
        absent_tags=None,
        split=entry.split.strip() or _draw_split(entry, plan),
        meta=entry.meta,
    )


def _usable(captions: Iterable[Caption], dropped: Counter[str]) -> Iterator[Caption]:
    for caption in dict.fromkeys(captions):
        n_words = len(caption.text.split())
        if not n_words:
            dropped[f"{caption.kind}: empty"] += 1
        elif n_words > MAX_CAPTION_WORDS:
            dropped[f"{caption.kind}: more than {MAX_CAPTION_WORDS} words"] += 1
        elif not _is_utf8(caption.text):
            dropped[f"{caption.kind}: not UTF-8"] += 1
        else:
            yield replace(caption, text=caption.text.strip())


def _is_utf8(text: str) -> bool:
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


def _relative(location: str, out: Path) -> str:
    """Relative to the manifest's folder where it lies below it; else absolute."""
    if "://" in location or is_pipe(location):
        return location
    path = Path(location).absolute()
    base = out.absolute()
    return str(path.relative_to(base)) if path.is_relative_to(base) else str(path)


def _draw_split(entry: Entry, plan: Gathering) -> str:
    at = derive_seed(plan.seed, "split", entry.group or entry.track_id) / 2**63
    for name, share in plan.shares.items():
        at -= share
        if at < 0:
            return name
    return list(plan.shares)[-1]


def _canonical(
    raw: Iterable[Track],
    tags: TagList,
    plan: Gathering,
    summary: Summary,
    reject: Callable[[Rejection], None],
) -> Iterator[Track]:
    """Tags by their canonical names; captions where there are none; everything counted."""
    mentioning = 0
    for one in raw:
        reading = tags.read(one.tags)
        present, denied = reading.present, reading.denied
        meta = dict(one.meta)
        if not one.tags:
            present, denied = _told(one.captions, tags.vocabulary)
            meta |= {"tags": "found in captions"} if present or denied else {}
        captions = one.captions or _write(one.track_id, present, tags.vocabulary, plan)
        if not captions:
            reject(Rejection("", one.track_id, "neither captions nor tags", "all tags left out"))
            continue
        summary.tracks[one.split] += 1
        hours = summary.hours.get(one.split, 0.0)
        summary.hours[one.split] = hours + one.duration_s / 3600
        summary.captions.update(caption.kind for caption in captions)
        summary.without_tags += not present
        summary.denied += bool(denied)
        summary.contradicted += len(reading.contradicted)
        mentioning += sum(bool(tags.vocabulary.find(caption.text)) for caption in captions)
        yield replace(one, captions=captions, tags=present, absent_tags=denied or None, meta=meta)
    summary.mention_rate = mentioning / max(1, summary.captions.total())


def _write(
    track_id: str, tags: tuple[str, ...], vocabulary: Vocabulary, plan: Gathering
) -> tuple[Caption, ...]:
    if not tags:
        return ()
    rng = stream(plan.seed, "caption", track_id)
    texts = write_captions(tags, vocabulary, rng, _CAPTIONS_PER_TRACK)
    return tuple(Caption(text, "template") for text in dict.fromkeys(texts))


def _told(
    captions: Iterable[Caption], vocabulary: Vocabulary
) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Tags that captions affirm, and tags that they deny."""
    affirmed: dict[str, None] = {}
    denied: dict[str, None] = {}
    for caption in captions:
        mentions = vocabulary.find(caption.text)
        spans = denied_spans(caption.text)
        for index, mention in enumerate(mentions):
            if stands_in(mention, spans):
                denied[mention.tag] = None
            elif not is_negated(caption.text, mentions, index):  # else a cue that may mean it
                affirmed[mention.tag] = None
    implied = set(affirmed).union(*map(vocabulary.ancestors, affirmed))
    return tuple(affirmed), tuple(tag for tag in denied if tag not in implied)
