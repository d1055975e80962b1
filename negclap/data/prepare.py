"""Turn a source into a manifest: find and probe the audio, map the tags to one vocabulary.

Every item of a source becomes a track in ``manifest.jsonl`` or a line in ``rejected.jsonl`` with a
reason; the summary counts both.
"""

import json
import tempfile
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import IO, NamedTuple

from negclap.audio import TOLERANCE_S, AudioError, Window, probe
from negclap.data.entries import Candidate, Entry, Source
from negclap.data.manifest import (
    MAX_CAPTION_WORDS,
    Caption,
    Track,
    is_utf8,
    parse_line,
    parse_manifest,
    write_manifest,
)
from negclap.data.tables import Rejection
from negclap.errors import InputError
from negclap.parallel import map_ahead
from negclap.progress import Progress
from negclap.rng import derive_seed, stream
from negclap.storage import atomic_write, exists, is_command, join
from negclap.text.detect import DENYING, Negation, find_negations
from negclap.text.negate import is_within
from negclap.text.tag_list import TagList, everyday_terms, read_tag_list
from negclap.text.templates import write_captions
from negclap.text.vocabulary import Vocabulary

_AHEAD = 256  # recordings whose audio is looked up concurrently
_CAPTIONS_PER_TRACK = 3
NO_AUDIO = "no audio"


@dataclass(frozen=True)
class PrepareOptions:
    """Options for turning a source into a manifest.

    Attributes:
        out: Folder of the manifest.
        audio: Folder or URL of the source's audio.
        require_audio: Fail if any recording has no audio file.
        min_duration_s: Shorter recordings are rejected.
        min_tracks: Tags with fewer tracks are left out.
        vocabulary: A vocabulary.json to map tags to; by default it is built from the source's tags.
        shares: Share of each split, for sources without splits; drawn by artist or folder where
            the source has one.
        seed: Seed for the splits and for captions written from tags.
        threads: Threads that look for audio.
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
        """Check that the shares add up to 1."""
        if not self.shares or abs(sum(self.shares.values()) - 1) > 1e-6:
            raise InputError(f"the shares of the splits are {dict(self.shares)}, expected sum 1")


@dataclass
class Summary:
    """Counts over a prepared source; ``read`` is the sum of ``tracks`` and ``rejected``.

    Attributes:
        read: Recordings and malformed rows in the source.
        tracks: Tracks by split.
        hours: Hours of audio by split.
        captions: Captions by kind.
        dropped_captions: Unusable captions, by kind and reason.
        without_tags: Tracks without tags.
        tags: Size of the vocabulary.
        denied: Tracks with a tag that negates another one ("no vocals").
        contradicted: Negated tags that are left out because another tag contradicts them.
        unsure: Denials in captions that are left out because the caption may mean something else.
        left_out_tags: Reasons by raw tag that is left out.
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
    unsure: int = 0
    left_out_tags: dict[str, str] = field(default_factory=dict)
    mention_rate: float = 0.0
    rejected: Counter[str] = field(default_factory=Counter)


def prepare_manifest(source: Source, options: PrepareOptions, progress: Progress) -> Summary:
    """Write the manifest, the vocabulary and the rejections of a source.

    An earlier manifest in the folder is kept if this fails.

    Raises:
        InputError: If the source cannot be read, no track is left, or audio is missing and
            ``require_audio`` is set.
    """
    out, summary = options.out, Summary()
    out.mkdir(parents=True, exist_ok=True)
    rejected_path = out / "rejected.jsonl"
    with tempfile.TemporaryDirectory(prefix=".prepare-", dir=out) as folder:
        raw_path, manifest = Path(folder, "raw"), Path(folder, "manifest")
        with atomic_write(rejected_path) as rejected:
            reject = partial(_reject, rejected, summary)
            counts, categories = _find(source, options, raw_path, summary, reject, progress)
            tags = _read_tags(counts, categories, options)
            missing = summary.rejected[NO_AUDIO] if options.require_audio else 0
            if summary.read > summary.rejected.total() and not missing:
                raw_tracks = progress("reading tags", None, parse_manifest(raw_path))
                write_manifest(manifest, _canonical(raw_tracks, tags, options, summary, reject))
        _check(summary, missing, options.audio, rejected_path)
        tags.vocabulary.save(out / "vocabulary.json")
        manifest.replace(out / "manifest.jsonl")
    summary.tags = len(tags.vocabulary)
    summary.left_out_tags = dict(tags.left_out)
    return summary


def _check(summary: Summary, missing: int, audio: str, rejected_path: Path) -> None:
    if missing:
        raise InputError(
            f"{missing} of {summary.read} recordings have no audio under {audio}; "
            f"{rejected_path} lists them"
        )
    if not summary.tracks:
        reasons = ", ".join(f"{reason}: {n}" for reason, n in summary.rejected.most_common())
        raise InputError(
            f"none of {summary.read} recordings can be used ({reasons}); see {rejected_path}"
        )


def _reject(file: IO[str], summary: Summary, rejection: Rejection) -> None:
    summary.rejected[rejection.reason] += 1
    file.write(json.dumps(rejection._asdict()) + "\n")  # ASCII: names may not be valid UTF-8


def _find(
    source: Source,
    options: PrepareOptions,
    raw_path: Path,
    summary: Summary,
    reject: Callable[[Rejection], None],
    progress: Progress,
) -> tuple[Counter[str], dict[str, str]]:
    """Write the tracks with their raw tags; return the counts and categories of the tags."""
    counts: Counter[str] = Counter()
    categories: dict[str, str] = {}
    places: dict[str, str] = {}
    with raw_path.open("w", encoding="utf-8") as raw:
        for item in progress("looking for audio", None, _located(source, options)):
            summary.read += 1
            if isinstance(item, Rejection):
                reject(item)
                continue
            track = _track(item, options, source, summary)
            if isinstance(track, Rejection):
                reject(track)
                continue
            place = item.entry.place
            line = json.dumps(asdict(track))
            try:
                parse_line(line, place)
            except InputError as error:  # one invalid row must not stop the others
                reject(Rejection(place, track.track_id, "malformed row", str(error)))
                continue
            first = places.setdefault(track.track_id, place)
            if first != place:
                detail = f"the first is {first}"
                reject(Rejection(place, track.track_id, "duplicate track id", detail))
                continue
            counts.update(track.tags)
            categories |= item.entry.categories
            raw.write(line + "\n")
    return counts, categories


def _read_tags(
    counts: Counter[str], categories: Mapping[str, str], options: PrepareOptions
) -> TagList:
    if options.vocabulary:
        return TagList.of(Vocabulary.load(options.vocabulary), counts)
    if counts:
        return read_tag_list(counts, categories, options.min_tracks)
    return TagList.of(everyday_terms(), ())


class _Located(NamedTuple):
    entry: Entry
    audio: str
    start_s: float
    duration_s: float


def _located(source: Source, options: PrepareOptions) -> Iterator[_Located | Rejection]:
    """Look up the audio of all entries concurrently; yield them in the source's order."""
    with ThreadPoolExecutor(options.threads) as pool:
        entries = source.entries(options.audio)
        yield from map_ahead(pool, partial(_locate, options=options), entries, _AHEAD)


def _locate(item: Entry | Rejection, options: PrepareOptions) -> _Located | Rejection:
    if isinstance(item, Rejection):
        return item
    reasons: list[str] = []
    for candidate in item.audio:
        location = join(options.audio, candidate.location)
        if is_command(location):
            detail = f"commands are not run: {location!a}"
            return Rejection(item.place, item.track_id, "command", detail)
        if not is_utf8(location):
            return Rejection(item.place, item.track_id, "file name not UTF-8", ascii(location))
        window = Window.parse(location)
        if window and exists(location):
            reason = "file name like a shard window"
            return Rejection(item.place, item.track_id, reason, location)
        if not exists(window.file if window else location):
            continue
        try:
            start_s, duration_s = _span(location, candidate)
        except AudioError as error:
            reasons.append(str(error))
            continue
        if duration_s < options.min_duration_s - TOLERANCE_S:
            reasons.append(f"{location}: too short, {duration_s:.2f} s")
            continue
        return _Located(item, location, start_s, duration_s)
    if reasons:
        reason = "too short" if "too short" in reasons[-1] else "unreadable audio"
        return Rejection(item.place, item.track_id, reason, "; ".join(reasons))
    tried = ", ".join(candidate.location for candidate in item.audio)
    return Rejection(item.place, item.track_id, NO_AUDIO, f"tried {tried!a}")


def _span(location: str, candidate: Candidate) -> tuple[float, float]:
    """Return start and duration of the recording in its file, in seconds."""
    file_s = probe(location).duration_s
    left_s = file_s - candidate.start_s
    if candidate.duration_s is None:
        return candidate.start_s, left_s
    if left_s < candidate.duration_s - TOLERANCE_S:
        raise AudioError(
            f"{location}: ends at {file_s:.2f} s, "
            f"expected {candidate.start_s + candidate.duration_s:.2f} s"
        )
    return candidate.start_s, min(candidate.duration_s, left_s)


def _track(
    located: _Located, options: PrepareOptions, source: Source, summary: Summary
) -> Track | Rejection:
    entry = located.entry
    captions = tuple(_usable(entry.captions, summary.dropped_captions))
    tags = tuple(tag for tag in dict.fromkeys(entry.tags) if tag.strip() and is_utf8(tag))
    if not is_utf8(entry.track_id) or not entry.track_id.strip():
        return Rejection(entry.place, ascii(entry.track_id), "no track id")
    if not captions and not (source.writes_captions and tags):
        reason = "neither captions nor tags" if source.writes_captions else "no caption"
        return Rejection(entry.place, entry.track_id, reason)
    audio, start_s, duration_s = _relative(located.audio, options.out), *located[2:]
    split = entry.split.strip() or _draw_split(entry, options)
    return Track(
        entry.track_id, audio, start_s, duration_s, captions, tags, None, split, entry.meta
    )


def _usable(captions: Iterable[Caption], dropped: Counter[str]) -> Iterator[Caption]:
    for caption in dict.fromkeys(captions):
        n_words = len(caption.text.split())
        if not n_words:
            dropped[f"{caption.kind}: empty"] += 1
        elif n_words > MAX_CAPTION_WORDS:
            dropped[f"{caption.kind}: more than {MAX_CAPTION_WORDS} words"] += 1
        elif not is_utf8(caption.text):
            dropped[f"{caption.kind}: not UTF-8"] += 1
        else:
            yield replace(caption, text=caption.text.strip())


def _relative(location: str, out: Path) -> str:
    """Return a path relative to the manifest's folder if it is inside it, else absolute."""
    path, base = Path(location).absolute(), out.absolute()
    if "://" in location:
        return location
    return str(path.relative_to(base) if path.is_relative_to(base) else path)


def _draw_split(entry: Entry, options: PrepareOptions) -> str:
    at = derive_seed(options.seed, "split", entry.group or entry.track_id) / 2**63
    for name, share in options.shares.items():
        at -= share
        if at < 0:
            return name
    return list(options.shares)[-1]


def _canonical(
    raw: Iterable[Track],
    tags: TagList,
    options: PrepareOptions,
    summary: Summary,
    reject: Callable[[Rejection], None],
) -> Iterator[Track]:
    """Map tags to canonical names, write missing captions, and count everything."""
    mentioning = 0
    for track in raw:
        canonical = tags.read(track.tags)
        present, absent = canonical.present, canonical.denied
        meta = dict(track.meta)
        if not track.tags:
            doubted: list[Negation] = []
            present, absent = tags_in_captions(track.captions, tags.vocabulary, doubted.append)
            summary.unsure += len(doubted)
            meta |= {"tags": "found in captions"} if present or absent else {}
        captions = track.captions
        if present and not captions:
            rng = stream(options.seed, "caption", track.track_id)
            texts = write_captions(present, tags.vocabulary, rng, _CAPTIONS_PER_TRACK)
            captions = tuple(Caption(text, "template") for text in dict.fromkeys(texts))
        if not captions:
            detail = "all tags are left out"
            reject(Rejection("", track.track_id, "neither captions nor tags", detail))
            continue
        summary.tracks[track.split] += 1
        summary.hours.setdefault(track.split, 0.0)
        summary.hours[track.split] += track.duration_s / 3600
        summary.captions.update(caption.kind for caption in captions)
        summary.without_tags += not present
        summary.denied += bool(absent)
        summary.contradicted += len(canonical.contradicted)
        mentioning += sum(bool(tags.vocabulary.find(caption.text)) for caption in captions)
        yield replace(track, captions=captions, tags=present, absent_tags=absent or None, meta=meta)
    summary.mention_rate = mentioning / max(1, summary.captions.total())


def tags_in_captions(
    captions: Iterable[Caption],
    vocabulary: Vocabulary,
    doubt: Callable[[Negation], None] = lambda negation: None,
) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Return the tags that captions affirm, and those that they surely deny.

    A tag that one caption affirms and another denies counts as affirmed. Mentions in a negation
    that is neither ("no drums until the chorus", "drop the bass") count as neither.

    Args:
        captions: The captions of a track.
        vocabulary: The tags.
        doubt: Called with each denial of a tag that is not sure.
    """
    affirmed: dict[str, None] = {}
    negated: dict[str, None] = {}
    for caption in captions:
        negations = find_negations(caption.text, vocabulary)
        for negation in negations:
            tags = [tag for name in negation.names if (tag := vocabulary.name_of(name))]
            if negation.denies:
                negated |= dict.fromkeys(tags)
            elif negation.kind in DENYING and tags:
                doubt(negation)
        spans = [n.phrase_span for n in negations if not n.leaves_present]
        for mention in vocabulary.find(caption.text):
            if not is_within(mention, spans):
                affirmed[mention.tag] = None
    implied = set(affirmed).union(*map(vocabulary.ancestors, affirmed))
    return tuple(affirmed), tuple(tag for tag in negated if tag not in implied)
