"""The data of the plots match the suite, and all plots are written."""

from dataclasses import replace

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from negclap.evaluation.metrics.toys import TOYS
from negclap.evaluation.plots import PLOT_NAMES, pareto_front, plot_data, plot_models
from negclap.evaluation.suite import Suite
from negclap.text.probes import Probe


@pytest.fixture(scope="module")
def models(exam_clips):
    """Plot data of the oracle and of a bag of words."""
    exam, _ = exam_clips
    columns = {name: index for index, name in enumerate(exam.vocabulary.names)}
    known = exam.statements()
    data = {}
    for name in ("oracle", "bag of words"):
        toy = TOYS[name]
        audio = torch.stack([toy.clip(track, columns) for track in exam.tracks])

        def embed(texts, toy=toy):
            return torch.stack([toy.text(known[text], columns) for text in texts])

        values = Suite(64, 1, at=5).run_toy(exam, toy).values
        data[name] = plot_data(exam, F.normalize(audio, dim=1), embed, values)
    return data


def test_only_the_oracle_is_less_similar_to_negated_captions(models):
    oracle, bag = models.values()
    medians = [np.median(oracle.similarity[level]) for level in ("original", "half", "fully")]
    assert medians[0] > medians[1] > medians[2]
    np.testing.assert_allclose(bag.similarity["original"], bag.similarity["fully"], atol=1e-6)


def test_heat_map_has_the_violations_of_all_queries(models, exam_clips):
    exam, _ = exam_clips
    oracle, bag = models.values()
    cells = ~np.isnan(oracle.violation)
    assert cells.sum() == len({(query.wanted, query.unwanted) for query in exam.queries})
    assert np.nanmean(oracle.violation) < 0.05
    assert np.nanmean(bag.violation) > 0.8
    assert oracle.cues["no"] == 1.0
    assert bag.cues["no"] == 0.0


def test_plots_without_negatable_captions(exam_clips, tmp_path):
    exam, _ = exam_clips
    probes = tuple(Probe(probe.original) for probe in exam.probes)
    audio = F.normalize(torch.randn(len(exam.tracks), 8, generator=torch.Generator()), dim=1)

    def embed(texts):
        return torch.stack([F.normalize(torch.ones(8), dim=0) for _ in texts])

    data = plot_data(replace(exam, probes=probes), audio, embed, {})
    assert all(len(texts) == 0 for texts in data.captions.values())
    assert len(plot_models({"any": data}, tmp_path)) == len(PLOT_NAMES)


def test_plots_are_written_as_png_and_svg(models, tmp_path):
    paths = plot_models(models, tmp_path)
    assert [path.stem for path in paths] == list(PLOT_NAMES)
    for path in paths:
        assert path.stat().st_size > 10_000
        assert path.with_suffix(".svg").read_text().startswith("<?xml")


def test_pareto_front_has_all_points_that_are_not_dominated():
    points = [(0.1, 0.9), (0.5, 0.5), (0.4, 0.4), (0.9, 0.1), (0.5, 0.2), (0.1, 0.9)]
    assert pareto_front(points) == [(0.1, 0.9), (0.5, 0.5), (0.9, 0.1)]
