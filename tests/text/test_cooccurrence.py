import math
from collections import Counter

import pytest

from negclap.text.cooccurrence import Cooccurrence
from negclap.text.negate import insert_negation
from negclap.text.vocabulary import Tag, Vocabulary

VOCABULARY = Vocabulary(tuple(map(Tag, ("rock", "guitar", "harp", "drums", "unseen"))))
LISTS = [["rock", "guitar"]] * 6 + [["rock", "drums", "unknown"]] * 2 + [["harp"]] * 2


@pytest.fixture(scope="module")
def lifts() -> Cooccurrence:
    return Cooccurrence.count(LISTS, VOCABULARY)


def test_lift_is_the_exponential_of_pmi(lifts):
    def pmi(one, other):
        n = len(LISTS)
        both = sum(one in tags and other in tags for tags in LISTS) / n
        alone = [sum(tag in tags for tags in LISTS) / n for tag in (one, other)]
        return math.log(both / (alone[0] * alone[1]))

    place = lifts.names.index
    for pair in (("rock", "guitar"), ("rock", "drums"), ("harp", "harp")):
        row, column = map(place, pair)
        assert lifts.lift[row, column] == pytest.approx(math.exp(pmi(*pair)))
    assert lifts.lift[place("rock"), place("harp")] == 0
    assert lifts.lift[place("unseen"), place("rock")] == 1


def test_thin_keeps_tags_with_probability_one_over_lift(lifts):
    kept = Counter()
    for seed in range(4000):
        kept.update(lifts.thin(VOCABULARY.names, ["rock"], str(seed)))
    assert kept["harp"] == kept["unseen"] == 4000
    assert kept["guitar"] / 4000 == pytest.approx(1 / 1.25, abs=0.03)
    assert lifts.thin(VOCABULARY.names, ["rock"], "5") == lifts.thin(
        VOCABULARY.names, ["rock"], "5"
    )


def test_thin_keeps_at_least_one_tag(lifts):
    assert all(lifts.thin(["guitar"], ["guitar"], str(seed)) == ("guitar",) for seed in range(50))
    assert lifts.thin(["guitar", "harp"], [], "0") == ("guitar", "harp")


def test_insertions_avoid_tags_that_co_occur_with_the_caption(lifts):
    drawn = {name: Counter() for name in ("plain", "thinned")}
    for seed in range(3000):
        for name, cooccurrence in (("plain", None), ("thinned", lifts)):
            insertion = insert_negation(
                "a harp", VOCABULARY, seed, p=1.0, cooccurrence=cooccurrence, tags=["rock"]
            )
            drawn[name][insertion.tag] += 1
    assert drawn["plain"]["guitar"] / 3000 == pytest.approx(1 / 4, abs=0.03)
    assert drawn["thinned"]["guitar"] < drawn["plain"]["guitar"]
    assert drawn["thinned"]["harp"] == 0
