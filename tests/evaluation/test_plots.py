"""The pictures that explain a model show what the suite measures."""

from dataclasses import replace

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from negclap.evaluation.metrics.toys import TOYS
from negclap.evaluation.pictures import NAMES, draw, portray
from negclap.evaluation.suite import Suite


@pytest.fixture(scope="module")
def portraits(exam_clips):
    """Of the oracle and of a bag of words, which know all tags."""
    exam, _ = exam_clips
    columns = {name: index for index, name in enumerate(exam.vocabulary.names)}
    known = exam.statements()
    made = {}
    for name in ("oracle", "bag of words"):
        toy = next(toy for given, toy in TOYS.items() if given.startswith(name))
        audio = torch.stack([toy.clip(track, columns) for track in exam.tracks])

        def embed(texts, toy=toy):
            return torch.stack([toy.text(known[text], columns) for text in texts])

        values = Suite(64, 1, at=5).run_toy(exam, toy).values
        made[name] = portray(exam, F.normalize(audio, dim=1), embed, values)
    return made


def test_similarity_falls_with_negation_for_who_knows_and_for_nobody_else(portraits):
    oracle, bag = portraits.values()
    medians = [np.median(oracle.similarity[level]) for level in ("original", "half", "fully")]
    assert medians[0] > medians[1] > medians[2]
    np.testing.assert_allclose(bag.similarity["original"], bag.similarity["fully"], atol=1e-6)


def test_the_heat_map_is_the_share_that_has_what_was_excluded(portraits, exam_clips):
    exam, _ = exam_clips
    oracle, bag = portraits.values()
    asked = ~np.isnan(oracle.violation)
    assert asked.sum() == len({query[:2] for query in map(wanted, exam.queries)})
    assert np.nanmean(oracle.violation) < 0.05
    assert np.nanmean(bag.violation) > 0.8
    assert oracle.cues["no"] == 1.0
    assert bag.cues["no"] == 0.0


def wanted(query):
    return query.wanted, query.unwanted


def test_without_captions_to_negate_the_other_pictures_are_drawn(exam_clips, tmp_path):
    exam, _ = exam_clips
    probes = tuple({"original": probe["original"]} for probe in exam.probes)
    audio = F.normalize(torch.randn(len(exam.tracks), 8, generator=torch.Generator()), dim=1)

    def embed(texts):
        return torch.stack([F.normalize(torch.ones(8), dim=0) for _ in texts])

    portrait = portray(replace(exam, probes=probes), audio, embed, {})
    assert all(len(found) == 0 for found in portrait.captions.values())
    assert len(draw({"any": portrait}, tmp_path)) == len(NAMES)


def test_every_picture_is_drawn_twice(portraits, tmp_path):
    drawn = draw(portraits, tmp_path)
    assert [path.stem for path in drawn] == list(NAMES)
    for path in drawn:
        assert path.stat().st_size > 10_000
        assert path.with_suffix(".svg").read_text().startswith("<?xml")
