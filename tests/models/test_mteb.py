"""mteb's retrieval tasks run on negclap's models."""

import mteb
import numpy as np
import pytest
from datasets import Dataset
from mteb.abstasks.retrieval import AbsTaskRetrieval
from mteb.abstasks.retrieval_dataset_loaders import RetrievalSplitData
from mteb.abstasks.task_metadata import TaskMetadata
from torch.utils.data import DataLoader

import negclap
from negclap.audio import read_excerpt
from negclap.errors import InputError
from negclap.models.mteb_model import MtebModel

CLIPS, RATE = 12, 16_000


@pytest.fixture
def task(chorales, tracks):
    """Text-to-audio retrieval on a few clips of the built-in data set."""
    chosen = tracks[:CLIPS]
    waveforms = [read_excerpt(chorales / track.audio, 0.0, 4.0, RATE) for track in chosen]
    texts = Dataset.from_dict(
        {"id": [f"t{i}" for i in range(CLIPS)], "text": [t.captions[0].text for t in chosen]}
    )
    clips = Dataset.from_dict(
        {
            "id": [f"a{i}" for i in range(CLIPS)],
            "audio": [{"array": w.tolist(), "sampling_rate": RATE} for w in waveforms],
        }
    )

    class TinyRetrieval(AbsTaskRetrieval):
        metadata = TaskMetadata(
            name="TinyT2ARetrieval",
            description="A few clips.",
            reference=None,
            dataset={"path": "none", "revision": "none"},
            type="Any2AnyRetrieval",
            category="t2a",
            modalities=["audio", "text"],
            eval_splits=["test"],
            eval_langs=["eng-Latn"],
            main_score="hit_rate_at_5",
            date=None,
            domains=None,
            task_subtypes=None,
            license=None,
            annotations_creators=None,
            dialect=None,
            sample_creation=None,
            bibtex_citation="",
        )

        def load_data(self, **_):
            split = RetrievalSplitData(
                corpus=clips,
                queries=texts,
                relevant_docs={f"t{i}": {f"a{i}": 1} for i in range(CLIPS)},
                top_ranked=None,
            )
            self.dataset = {"default": {"test": split}}
            self.data_loaded = True

    return TinyRetrieval(), texts["text"], np.stack(waveforms)


def test_scores_of_mteb_equal_those_of_the_embeddings(task, tiny_run):
    tiny, texts, waveforms = task
    results = mteb.evaluate(MtebModel(tiny_run), tiny, cache=None, show_progress_bar=False)
    (scores,) = results.task_results[0].scores["test"]
    model = negclap.load(tiny_run)
    sim = model.encode_text(list(texts)) @ model.encode_audio(waveforms).T
    ranks = (sim > np.diag(sim)[:, None]).sum(axis=1)
    for k in (1, 3, 5):
        assert scores[f"recall_at_{k}"] == pytest.approx((ranks < k).mean(), abs=1e-4)


def test_clips_of_any_sample_rate_and_length_are_encoded(task, tiny_run):
    _, _, waveforms = task
    whole = waveforms[0]
    clips = Dataset.from_dict(
        {
            "audio": [
                {"array": clip.tolist(), "sampling_rate": rate}
                for clip, rate in ((whole, RATE), (whole[:RATE], RATE), (whole[::2], RATE // 2))
            ]
        }
    )
    model = MtebModel(tiny_run)
    embeddings = model.encode(DataLoader(clips, batch_size=2))
    expected = model.model.encode_audio(np.stack([whole, np.resize(whole[:RATE], len(whole))]))
    np.testing.assert_allclose(embeddings[:2], expected, atol=1e-5)
    assert embeddings[2] @ embeddings[0] > 0.9  # decimated to 8 kHz without a filter


@pytest.mark.parametrize(
    ("audio", "problem"),
    [
        (None, "no audio"),
        ({"array": np.empty(0, np.float32), "sampling_rate": RATE}, "audio without samples"),
    ],
)
def test_an_item_without_audio_is_named(tiny_run, audio, problem):
    class Rows(list):
        column_names = ("id", "audio")

    rows = Rows([{"id": "clip-7", "audio": audio}])
    with pytest.raises(InputError, match=rf"{problem}; its other columns: .*clip-7"):
        MtebModel(tiny_run).encode(DataLoader(rows, batch_size=1))
