"""The exam: all questions about a split.

Choices between two texts cannot be answered from the text alone: each pair is posed for two clips
(a `Couple`), and each text is true of one and false of the other. They are about true absence with
each cue; scope ("no x, with y" against "with x, no y"; "no x or y" against "no x, with y"); double
negation ("not without x"); lexicalised ("instrumental") and pseudo negation ("not only x").
"""

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from negclap.data.manifest import Track, reference_caption
from negclap.errors import InputError
from negclap.rng import derive_seed, stream
from negclap.text.compose import compose
from negclap.text.cues import CUES, LEXICALISED
from negclap.text.detect import find_negations
from negclap.text.probes import (
    Couple,
    Probe,
    Statement,
    Subject,
    assumed_absent,
    build_probes,
    denials,
    match_couples,
    statement,
)
from negclap.text.rewrite import affirm
from negclap.text.vocabulary import Vocabulary

MIXED = "mixed seen cues"
"""The wording of exclusion queries with mixed seen cues; the other wordings are cue names."""
PLAIN = "plain"
"""The query "A" alone."""
_MAX_COUPLES = 256  # bounds the number of texts to encode
_MAX_QUERIES = 600


class Choice(NamedTuple):
    """Which of two texts, one true and one false, is closer to the clip (a row)?

    ``part`` is the key of the metric.
    """

    part: str
    clip: int
    true: Statement
    false: Statement


@dataclass(frozen=True)
class ExclusionQuery:
    """The query for clips with ``wanted`` and without ``unwanted``: "A without B".

    It has a text per wording: `MIXED`, `PLAIN`, and the name of each cue if B is a noun.
    """

    wanted: str
    unwanted: str
    texts: dict[str, Statement]


class TwinQuestion(NamedTuple):
    """Two clips that differ in one tag, a text that affirms the tag and one that negates it.

    A clip is (True, row of the test clip) or (False, row of the twin). ``kind`` is the twin's. If
    kinds are named, ``control`` is a text that negates a tag which neither clip has.
    """

    has: tuple[bool, int]
    lacks: tuple[bool, int]
    affirmed: Statement
    negated: Statement
    kind: str = ""
    control: Statement | None = None


class TwinClip(NamedTuple):
    """A counterfactual twin: a copy of a test clip in which one tag is added or removed.

    ``of`` is the row of the test clip; None if the exam does not have it, nor questions about it.
    Sets with several kinds of twins name the ``kind``: "added", or "exchanged" for another tag.
    """

    track: Subject
    of: int | None
    toggled: str
    kind: str = ""


@dataclass(frozen=True)
class Exam:
    """All questions about one split; ``probes`` has one probe per track.

    The absent tags of the tracks are known, or ``assumed`` (see `probes.assumed_absent`).
    """

    tracks: tuple[Subject, ...]
    vocabulary: Vocabulary
    assumed: bool
    probes: tuple[Probe, ...]
    choices: tuple[Choice, ...]
    queries: tuple[ExclusionQuery, ...]
    twin_tracks: tuple[Subject, ...]
    twins: tuple[TwinQuestion, ...]

    @property
    def fingerprint(self) -> str:
        """A hash that is equal for equal questions about equal tracks."""
        tracks = (track.track_id for track in self.tracks)
        return f"{derive_seed(*tracks, *self.statements()):016x}"

    def statements(self) -> dict[str, Statement]:
        """Return all statements of the exam by their text."""
        statements = [one for probe in self.probes for one in probe.statements()]
        statements += [side for choice in self.choices for side in (choice.true, choice.false)]
        statements += [text for query in self.queries for text in query.texts.values()]
        statements += [side for twin in self.twins for side in (twin.affirmed, twin.negated)]
        statements += [twin.control for twin in self.twins if twin.control]
        return {one.text: one for one in statements}


@dataclass(frozen=True)
class _AssumedTrack:
    track_id: str
    tags: tuple[str, ...]
    absent_tags: tuple[str, ...]


def make_exam(
    tracks: Sequence[Track],
    twins: Sequence[Track],
    vocabulary: Vocabulary,
    seed: int,
    by_cue: bool = True,
) -> Exam:
    """Build the exam about the tracks of a split, with their reference captions; see `build_exam`.

    Twins have ``twin_of`` and ``toggled`` in ``meta``, and ``twin`` if there are several kinds.

    Raises:
        InputError: If ``meta`` of a twin is incomplete.
    """
    rows = {track.track_id: row for row, track in enumerate(tracks)}
    captions = [reference_caption(track) for track in tracks]
    clips = [_twin(track, rows) for track in twins]
    return build_exam(tracks, captions, vocabulary, seed, twins=clips, by_cue=by_cue)


def _twin(track: Track, rows: dict[str, int]) -> TwinClip:
    try:
        of, toggled = rows.get(track.meta["twin_of"]), track.meta["toggled"]
        return TwinClip(track, of, toggled, track.meta.get("twin", ""))
    except KeyError as missing:
        where = f"twin {track.track_id!r} of split {track.split!r}"
        raise InputError(f"{where} has no {missing} in its meta") from None


def build_exam(
    tracks: Sequence[Subject],
    captions: Sequence[str],
    vocabulary: Vocabulary,
    seed: int,
    *,
    at: int = 10,
    twins: Sequence[TwinClip] = (),
    by_cue: bool = True,
) -> Exam:
    """Build the exam of a split, with one caption per track, and the twins in their order.

    If absent tags are unknown for any track, they are assumed for all. For each exclusion query, at
    least ``at`` clips have A and B, and A and not B. ``by_cue`` adds true absence and queries with
    each cue.
    """
    assumed = any(track.absent_tags is None for track in tracks)
    if assumed:
        tracks = [
            _AssumedTrack(track.track_id, track.tags, assumed_absent(track.tags, vocabulary))
            for track in tracks
        ]
    couples = match_couples(tracks, vocabulary, seed)
    nouns = [c for c in couples if vocabulary[c.x].part_of_speech == "noun"]
    choices: list[Choice] = []
    for couple in sorted(stream(seed, "asked").sample(nouns, min(len(nouns), _MAX_COUPLES))):
        choices += _choices(couple, tracks, vocabulary, seed, by_cue)
    choices += _lexicalised(nouns, vocabulary)
    choices += _natural(captions, vocabulary)
    return Exam(
        tuple(tracks),
        vocabulary,
        assumed,
        tuple(build_probes(tracks, captions, couples, vocabulary, seed)),
        tuple(choices),
        tuple(_queries(tracks, vocabulary, seed, at, by_cue)),
        tuple(twin.track for twin in twins),
        tuple(_twin_questions(tracks, twins, vocabulary, seed)),
    )


def _choices(
    couple: Couple, tracks: Sequence[Subject], vocabulary: Vocabulary, seed: int, by_cue: bool
) -> Iterator[Choice]:
    """Yield the choices that both clips of a couple share."""
    first, second = tracks[couple.first], tracks[couple.second]
    key = f"{seed}/choices/{first.track_id}"
    for cue in CUES if by_cue else ():
        no_x, no_y = denials(couple, vocabulary, key, cue)
        yield from _for_both(f"cue/{cue.name}/true_absence", couple, no_y, no_x)
    x, y = couple.x, couple.y
    cue_first = stream(key, "swap").random() < 0.5
    swapped = _with_without(x, y, cue_first), _with_without(y, x, not cue_first)
    yield from _for_both("scope/swap", couple, *swapped)
    absent = [tag for tag in first.absent_tags or () if tag in (second.absent_tags or ())]
    if rest := _unrelated_noun(absent, (x, y), vocabulary, f"{key}/absent"):
        one = Statement(f"no {rest}, with {x}", ((rest, False), (x, True)))
        neither = Statement(f"no {rest} or {x}", ((rest, False), (x, False)))
        yield from _for_both("scope/or", couple, one, neither)
    twice = Statement(f"music not without {x}", ((x, True),))
    once = Statement(f"music without {x}", ((x, False),))
    yield from _for_both("double_negation", couple, twice, once)
    present = [tag for tag in first.tags if tag in second.tags]
    if rest := _unrelated_noun(present, (x, y), vocabulary, f"{key}/present"):
        pseudo = Statement(f"not only {x} but also {rest}", ((x, True), (rest, True)))
        real = Statement(f"no {x} but {rest}", ((x, False), (rest, True)))
        yield from _for_both("pseudo/not_only", couple, pseudo, real)


def _with_without(present: str, absent: str, cue_first: bool) -> Statement:
    text = f"no {absent}, with {present}" if cue_first else f"with {present}, no {absent}"
    return Statement(text, ((present, True), (absent, False)))


def _for_both(part: str, couple: Couple, one: Statement, other: Statement) -> Iterator[Choice]:
    """Yield a choice per clip; ``one`` is true of the first clip, ``other`` of the second."""
    yield Choice(part, couple.first, one, other)
    yield Choice(part, couple.second, other, one)


def _unrelated_noun(
    names: Iterable[str], others: tuple[str, ...], vocabulary: Vocabulary, key: str
) -> str | None:
    """Draw a noun of ``names`` that none of ``others`` excludes or implies."""
    nouns = [
        name
        for name in names
        if name in vocabulary
        and vocabulary[name].part_of_speech == "noun"
        and not any(vocabulary.excludes(name, other) for other in others)
    ]
    return stream(key).choice(nouns) if nouns else None


def _lexicalised(couples: Sequence[Couple], vocabulary: Vocabulary) -> Iterator[Choice]:
    """Yield "..., instrumental" against "..., no y": true absence with the negation in a word."""
    words = {
        tag: word
        for word, tag in LEXICALISED.items()
        if tag in vocabulary and word not in vocabulary
    }
    for couple in couples:
        context, claims = couple.context
        for tag, other in ((couple.x, couple.y), (couple.y, couple.x)):
            if tag in words:
                word = Statement(f"{context}, {words[tag]}", (*claims, (tag, False)))
                plain = Statement(f"{context}, no {other}", (*claims, (other, False)))
                one, two = (plain, word) if tag == couple.x else (word, plain)
                yield from _for_both(f"lexicalised/{words[tag]}", couple, one, two)


def _natural(captions: Sequence[str], vocabulary: Vocabulary) -> Iterator[Choice]:
    """Yield human-written captions with a negation against their affirmative forms.

    These are not balanced: the human-written caption is always the true one. The text-only test of
    `mining` is the control.
    """
    for index, caption in enumerate(captions):
        for negation in find_negations(caption, vocabulary):
            if (affirmed := affirm(caption, negation)) is not None:
                true, false = (statement(text, vocabulary) for text in (caption, affirmed))
                yield Choice("natural/absence", index, true, false)


def _queries(
    tracks: Sequence[Subject], vocabulary: Vocabulary, seed: int, at: int, by_cue: bool
) -> Iterator[ExclusionQuery]:
    both, wanted_only = Counter[tuple[str, str]](), Counter[tuple[str, str]]()
    for track in tracks:
        present = [tag for tag in track.tags if tag in vocabulary]
        both.update((a, b) for a in present for b in present)
        wanted_only.update((a, b) for a in present for b in track.absent_tags or ())
    frequent = [pair for pair in sorted(both) if min(both[pair], wanted_only[pair]) >= at]
    eligible = [pair for pair in frequent if not vocabulary.excludes(*pair)]
    for a, b in sorted(stream(seed, "queries").sample(eligible, min(len(eligible), _MAX_QUERIES))):
        key = f"{seed}/query/{a}/{b}"
        claims = ((a, True), (b, False))
        texts = {
            MIXED: Statement(compose(claims, vocabulary, key), claims),
            PLAIN: Statement(compose(claims[:1], vocabulary, key), claims[:1]),
        }
        for cue in CUES if by_cue and vocabulary[b].part_of_speech == "noun" else ():
            texts[cue.name] = Statement(compose(claims, vocabulary, key, cue), claims)
        yield ExclusionQuery(a, b, texts)


def _twin_questions(
    tracks: Sequence[Subject], twins: Sequence[TwinClip], vocabulary: Vocabulary, seed: int
) -> Iterator[TwinQuestion]:
    for row, (twin_track, of, toggled, kind) in enumerate(twins):
        if of is None:
            continue
        track = tracks[of]
        if toggled not in vocabulary:
            twin_of = f"twin of track {track.track_id!r}"
            raise InputError(f"{twin_of}: toggled tag {toggled!r} is not in the vocabulary")
        both = [tag for tag in track.tags if tag in twin_track.tags and tag in vocabulary]
        common = [tag for tag in both if not vocabulary.excludes(tag, toggled)]
        key = f"{seed}/twin/{track.track_id}"
        context = [(stream(key).choice(common), True)] if common else []
        affirmed, negated = (
            Statement(compose(claims, vocabulary, key), tuple(claims))
            for claims in ([*context, (toggled, True)], [*context, (toggled, False)])
        )
        clip, twin = (True, of), (False, row)
        has, lacks = (clip, twin) if toggled in track.tags else (twin, clip)
        neither = [t for t in track.absent_tags or () if t in (twin_track.absent_tags or ())]
        name = _unrelated_noun(neither, (toggled,), vocabulary, f"{key}/control") if kind else None
        control = Statement(f"no {name}", ((name, False),)) if name else None
        yield TwinQuestion(has, lacks, affirmed, negated, kind, control)
