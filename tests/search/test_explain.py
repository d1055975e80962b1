"""The tags that explain a hit."""

import numpy as np
import pytest
import torch

from negclap.models.encoder import Encoder
from negclap.search.explain import explain, in_words

TAGS = ("vocals", "drums", "piano", "guitar", "flute", "violin")


class OneAxisPerTag(Encoder):
    """A model whose embedding of a tag is a unit vector, and whose tags have the same curve."""

    def __init__(self, curves=None):
        super().__init__(16_000, len(TAGS), 1.0, curves=curves)

    def _embed_audio(self, waveforms):
        return torch.zeros(len(waveforms), len(TAGS))

    def _embed_text(self, texts):
        return torch.eye(len(TAGS))[[TAGS.index(text) for text in texts]]


CALIBRATED = OneAxisPerTag(dict.fromkeys(TAGS, (20.0, -10.0)))  # 0.5 at a cosine of 0.5
WINDOW = np.array([[0.2, 0.9, 0.5, 0.95, 0.8, 0.7]], np.float32)


def tags(*texts):
    (found,) = explain(texts, WINDOW, CALIBRATED)
    return found


def test_tags_of_the_query_come_first_then_the_most_likely_ones():
    assert list(tags("flute without vocals")) == ["flute", "vocals", "guitar", "drums"]
    assert list(tags("rock")) == ["guitar", "drums", "flute", "violin"]
    assert list(tags("rock", "vocals", "drums")) == ["vocals", "drums", "guitar", "flute"]
    everything = "vocals, drums, piano, guitar, flute and violin"
    assert list(tags(everything)) == list(TAGS)


def test_other_names_of_a_tag_are_known():
    assert next(iter(tags("music without singing"))) == "vocals"
    assert next(iter(tags("an instrumental piece"))) == "vocals"


def test_probabilities_follow_the_curve():
    found = tags("piano without vocals")
    assert found["piano"] == pytest.approx(0.5)
    assert found["vocals"] == pytest.approx(1 / (1 + np.exp(6)), rel=1e-4)
    words = "piano: possible, vocals: unlikely, guitar: likely, drums: likely"
    assert in_words(found) == words


def test_a_model_without_calibrated_tags_explains_nothing():
    assert explain(["piano"], WINDOW, OneAxisPerTag()) == [{}]
    assert explain(["piano"], WINDOW[:0], CALIBRATED) == []
