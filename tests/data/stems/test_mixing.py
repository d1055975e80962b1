import random
from collections import Counter, defaultdict

import numpy as np
import pytest

from negclap.data.stems.mixing import (
    Mixer,
    Mixing,
    Part,
    active_starts,
    excerpt_level,
    kinds_of,
    level_of,
    levelled,
)
from negclap.data.stems.prepare import vocabulary_of
from negclap.data.stems.songs import Contents, Song, Stem
from negclap.errors import InputError

KINDS = ("vocals", "drums", "bass guitar", "electric guitar", "piano")
FRAMES = 8


def stem(*tags, levels=(-20,) * 40, hides=(), lacks=()):
    return Stem("-".join(tags) or "other", "x.wav", Contents(tags, hides, lacks), levels)


def song(name, *stems, tempo=None, group=None):
    return Song(name, group or name, "train", tempo, stems)


SONGS = tuple(
    song(f"{artist}{i}", *map(stem, KINDS), group=artist, tempo=tempo)
    for artist, tempo in (("a", 100.0), ("b", 103.0), ("c", 140.0))
    for i in range(2)
)


def mixer(*songs, **kwargs):
    return Mixer(songs, vocabulary_of((*SONGS, *songs)), FRAMES, **kwargs)


def parts_of(*stems, gains=None):
    one = song("s", *stems)
    gains = gains or [0.0] * len(stems)
    return [
        Part(one, (*each.contents.tags, "")[0], (each,), 0, gain)
        for each, gain in zip(stems, gains, strict=True)
    ]


def claims(*stems, gains=None):
    return mixer(song("s", *stems)).claims(parts_of(*stems, gains=gains))


def test_a_mix_has_what_is_in_it_and_lacks_the_rest():
    present, absent = claims(stem("vocals"), stem("electric guitar"))
    assert {*present} == {"vocals", "electric guitar", "guitar"}
    assert {*absent} == {"drums", "percussion", "bass guitar", "bass", "piano", "keyboard"}


def test_quiet_parts_are_unknown_and_silent_ones_absent():
    stems = stem("vocals"), stem("drums")
    assert {*claims(*stems, gains=(0, -19))[0]} >= {"vocals", "drums", "percussion"}
    present, absent = claims(*stems, gains=(0, -40))
    assert "drums" not in (*present, *absent)
    assert "percussion" not in (*present, *absent)
    assert "drums" in claims(*stems, gains=(0, -60))[1]


def test_a_part_that_is_too_short_is_unknown():
    once = stem("drums", levels=(-20, *(-120,) * 39))  # half a second
    present, absent = claims(stem("vocals"), once)
    assert "drums" not in (*present, *absent)
    twice = stem("drums", levels=(-20, -20, *(-120,) * 38))
    assert "drums" in claims(stem("vocals"), twice)[0]


def test_frames_that_a_slow_mix_does_not_reach_prove_nothing():
    late = stem("drums", levels=(*(-120,) * 6, -20, -20, -20))
    parts = parts_of(stem("vocals"), late)
    songs = (song("s", stem("vocals"), late),)
    assert "drums" in mixer(*songs).claims(parts).present
    present, absent = mixer(*songs, sure=6).claims(parts)
    assert "drums" not in (*present, *absent)


def test_stems_that_hide_anything_prove_no_absence():
    present, absent = claims(stem("vocals"), stem(hides=("*",)))
    assert {*present} == {"vocals"}
    assert absent == ()


def test_what_a_stem_surely_lacks_is_absent():
    present, absent = claims(stem("vocals"), stem(hides=("*",), lacks=("drums", "bass")))
    assert {*present} == {"vocals"}
    assert {*absent} == {"drums", "bass", "bass guitar"}  # percussion may be there


def test_a_general_tag_leaves_the_narrower_ones_unknown():
    present, absent = claims(stem("guitar"))
    assert present == ("guitar",)
    assert "electric guitar" not in absent


def test_draws_are_pure_functions_of_their_seed():
    draw = [mixer(*SONGS).draw(Mixing(), random.Random(7)) for _ in range(2)]
    assert draw[0] == draw[1]


def test_the_number_of_parts_says_nothing_about_the_tags():
    """Each tag is as frequent in mixes of n parts as any other: n of five."""
    counts, tags = Counter(), defaultdict(Counter)
    for seed in range(3000):
        parts = mixer(*SONGS[:2]).draw(Mixing(most_parts=4), random.Random(seed))
        counts[len(parts)] += 1
        tags[len(parts)].update(part.kind for part in parts)
    for n, times in counts.items():
        assert times == pytest.approx(750, abs=100)
        for kind in KINDS:
            assert tags[n][kind] / times == pytest.approx(n / len(KINDS), abs=0.08)


def test_only_some_kinds_are_drawn():
    mixing = Mixing(most_parts=4, kinds=KINDS[:2])
    kinds = [
        {part.kind for part in mixer(*SONGS).draw(mixing, random.Random(seed))}
        for seed in range(50)
    ]
    assert {*KINDS[:2]} == set.union(*kinds)
    assert {len(one) for one in kinds} == {1, 2}


def test_groups_are_equally_likely():
    many = tuple(song(f"many{i}", *map(stem, KINDS), group="many") for i in range(9))
    few = song("few", *map(stem, KINDS))
    chosen = Counter(
        mixer(*many, few).part("drums", random.Random(seed)).song.group for seed in range(1000)
    )
    assert chosen["few"] == pytest.approx(500, abs=60)


def test_parts_of_one_song_are_at_one_place():
    mixing = Mixing(together=1.0, most_parts=5)
    for seed in range(50):
        parts = mixer(*SONGS).draw(mixing, random.Random(seed))
        assert len({(part.song.song_id, part.start) for part in parts}) == 1


def test_parts_of_other_songs_have_about_the_same_tempo():
    for seed in range(50):
        part = mixer(*SONGS).part("drums", random.Random(seed), tempo=100.0)
        assert part.song.group in "ab"


def test_excerpts_are_active_for_half_of_their_frames():
    levels = np.array([-120.0] * 10 + [-20.0] * 10 + [-120.0] * 10)
    expected = [
        start
        for start in range(len(levels) - FRAMES + 1)
        if (levels[start : start + FRAMES] > -50).sum() >= FRAMES / 2
    ]
    assert active_starts(levels, FRAMES).tolist() == expected
    assert not len(active_starts(levels[:5], FRAMES))


def test_levels_add_as_powers():
    one, other = stem("drums", levels=(-20, -20)), stem("drums", levels=(-20,))
    np.testing.assert_allclose(level_of((one, other)), (-16.99, -20.0), atol=0.01)


def test_levelled_parts_have_the_wanted_mean_level():
    quiet = stem("drums", levels=(-30, -120, -30, *(-120,) * 37))
    part = levelled(Part(song("s", quiet), "drums", (quiet,), 0, 5.0), FRAMES, 3.0)
    level = excerpt_level(part, FRAMES)
    assert level[0] == pytest.approx(3.0)
    assert level[1] < -80.0


def test_stems_of_a_kind_are_one_part():
    two = song("s", stem("drums"), stem("drums"), stem("vocals"), stem(hides=("*",)))
    assert {kind: len(stems) for kind, stems in kinds_of(two).items()} == {
        "drums": 2, "vocals": 1, "": 1,
    }  # fmt: skip


def test_songs_without_usable_stems_are_refused():
    silent = song("s", stem("drums", levels=(-120,) * 20), stem(hides=("*",)))
    with pytest.raises(InputError, match=r"none of 1 songs has a stem .* that is active for 4 s"):
        mixer(silent)


@pytest.mark.parametrize(
    "values", [{"mixes": 0}, {"most_parts": 0}, {"together": 1.5}, {"semitones": -1}]
)
def test_bad_values_are_named(values):
    (name,) = values
    with pytest.raises(InputError, match=rf"mixing\.{name} is"):
        Mixing(**values)
