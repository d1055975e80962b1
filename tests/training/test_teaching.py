"""`negclap teach`: any kind of model comes out as the same kind, with the same audio embeddings."""

import csv
import json
import shutil
import types

import numpy as np
import pytest
import torch
from safetensors.torch import load_file
from transformers import ClapModel

import negclap
from negclap.cli import main
from negclap.errors import InputError
from negclap.evaluation.baselines import spherical
from negclap.models.checkpoint import read_run
from negclap.models.exported import read_exported, write_exported
from negclap.models.frozen_layers import FrozenOutputs
from negclap.models.text_encoders import TextEncoder
from negclap.models.text_tower import copy_text_tower
from negclap.progress import quiet
from negclap.text.lessons import Lesson
from negclap.training.resume import newest_checkpoint
from negclap.training.teacher import Target, Teacher
from tests.conftest import CONFIGS

RECIPE = str(CONFIGS / "methods" / "teach.yaml")
TEXTS = ["calm piano", "rock without vocals", "no drums", "a slow piece with guitar, " * 20]
SMALL = (
    *("data.lessons=128", "data.validation_lessons=32", "data.batch_size=16"),
    *("trainer.max_epochs=2", "trainer.log_every_n_steps=1"),
    *("trainer.enable_progress_bar=false", "trainer.enable_model_summary=false"),
)


def teach(model, out, *options, small=SMALL):
    return main(["teach", "--model", str(model), "--out", str(out), *map(str, options), *small])


def noise(model):
    seconds = model.excerpt_s or 1.0
    draw = np.random.default_rng(0).standard_normal((3, round(seconds * model.sample_rate)))
    return (0.1 * draw).astype(np.float32)


def assert_only_texts_differ(taught, untaught, least=1e-3):
    """Audio embeddings are bit-equal, text embeddings are not."""
    one, other = negclap.load(taught), negclap.load(untaught)
    np.testing.assert_array_equal(
        one.encode_audio(noise(one)).view(np.uint32),
        other.encode_audio(noise(other)).view(np.uint32),
    )
    assert np.abs(one.encode_text(TEXTS) - other.encode_text(TEXTS)).max(axis=1).min() > least


@pytest.fixture(scope="module")
def captions(chorales):
    return ("--captions", chorales / "manifest.jsonl")


@pytest.fixture(scope="module")
def taught_run(tiny_run, captions, tmp_path_factory):
    out = tmp_path_factory.mktemp("taught") / "run"
    assert teach(tiny_run, out, *captions) == 0
    return out


def test_a_taught_run_is_a_run(taught_run, tiny_run, chorales, capsys):
    assert_only_texts_differ(taught_run, tiny_run)
    capsys.readouterr()
    assert main(["test", "-c", str(taught_run / "config.yaml")]) == 0
    results = json.loads((taught_run / "results.json").read_text())
    assert results["method"] == "taught"
    data, out = str(chorales / "manifest.jsonl"), str(taught_run / "benchmark")
    assert main(["benchmark", "--model", str(taught_run), "--data", data, "--out", out]) == 0


def test_what_was_taught_is_in_the_card_and_in_the_folder_of_the_training(taught_run, chorales):
    card = (taught_run / "README.md").read_text()
    training = taught_run.with_name("run-training")
    scores = json.loads((training / "validation.json").read_text())
    for name in ("agreement", "agreement/unseen", "agreement/affirmed"):
        assert f"| `{name}` | {scores[f'val/{name}']:.3f} |" in card
    assert "`subtract` with\n  weight 0.75" in card
    assert str(chorales / "manifest.jsonl") in card
    assert "never trained on: free, minus, devoid, less, sans, zero, skip, nothing, refuse" in card
    assert (training / "metrics.csv").stat().st_size
    assert (training / "config.yaml").is_file()


def test_an_exported_model_gets_another_text_encoder(tiny_run, clap_folder, captions, tmp_path):
    (tmp_path / "exported").mkdir()
    write_exported(read_run(tiny_run), tmp_path / "exported")
    out = tmp_path / "taught"
    student = ("--text_encoder", clap_folder, "--layers", "1")
    assert teach(tmp_path / "exported", out, *captions, *student) == 0
    assert_only_texts_differ(out, tmp_path / "exported")
    student = read_exported(out).model.text_encoder
    assert student.pretrained
    assert student.n_layers == 2


@pytest.mark.parametrize("options", [("--layers", "1"), ("--layers", "all"), ("--lora",)])
def test_only_text_weights_of_a_clap_model_differ(clap_folder, captions, tmp_path, options):
    if "--lora" in options:
        pytest.importorskip("peft")
    out = tmp_path / "taught"
    assert teach(clap_folder, out, *captions, *options) == 0
    assert_only_texts_differ(out, clap_folder)
    ClapModel.from_pretrained(out)
    before, after = (load_file(folder / "model.safetensors") for folder in (clap_folder, out))
    assert after.keys() == before.keys()
    changed = {name for name in after if not torch.equal(after[name], before[name])}
    assert changed
    assert all(name.startswith(("text_model.", "text_projection.")) for name in changed)
    if "1" in options:
        frozen = ("text_model.embeddings.", "text_model.encoder.layer.0.")
        assert not any(name.startswith(frozen) for name in changed)
    for path in clap_folder.iterdir():
        if path.name != "model.safetensors":
            assert (out / path.name).is_file()


def test_only_text_weights_of_a_laion_checkpoint_differ(laion, captions, tmp_path):
    out = tmp_path / "taught"
    untaught = negclap.load(laion)
    tower = copy_text_tower(untaught, str(laion))
    np.testing.assert_allclose(tower.embed(TEXTS), untaught.encode_text(TEXTS), atol=2e-5)
    assert teach(laion, out, *captions) == 0
    assert_only_texts_differ(out / laion.name, laion, least=1e-4)
    before, after = (torch.load(path) for path in (laion, out / laion.name))
    assert (after["epoch"], after["state_dict"].keys()) == (3, before["state_dict"].keys())
    same = [n for n, value in before["state_dict"].items() if "audio" in n]
    assert all(torch.equal(before["state_dict"][n], after["state_dict"][n]) for n in same)


def test_teaching_brings_texts_to_their_targets(tiny_run, captions, tmp_path):
    rates = ("model.learning_rate=3e-3", "trainer.max_epochs=10", "data.lessons=512")
    assert teach(tiny_run, tmp_path / "out", *captions, small=(*SMALL, *rates)) == 0
    with (tmp_path / "out-training" / "metrics.csv").open() as file:
        losses = [float(row["train/loss"]) for row in csv.DictReader(file) if row["train/loss"]]
    assert np.mean(losses[-32:]) < 0.7 * np.mean(losses[:32])  # last and first epoch


def test_a_resumed_teaching_equals_an_uninterrupted_one(
    clap_folder, captions, tmp_path, monkeypatch
):
    assert teach(clap_folder, tmp_path / "whole", *captions) == 0
    steps = 0

    def interrupt(self, *_, original=negclap.training.teaching.TeachModule.training_step):
        nonlocal steps
        steps += 1
        if steps == 12:  # 8 steps per epoch
            raise KeyboardInterrupt
        return original(self, *_)

    out = tmp_path / "resumed"
    with monkeypatch.context() as patch:
        patch.setattr("negclap.training.teaching.TeachModule.training_step", interrupt)
        with pytest.raises(SystemExit):
            teach(clap_folder, out, *captions, small=(*SMALL, "save_every_n_steps=3"))
    assert not out.exists()
    assert newest_checkpoint(tmp_path / "resumed-training" / "checkpoints")
    assert teach(clap_folder, out, *captions, "--resume") == 0
    one, other = (load_file(tmp_path / name / "model.safetensors") for name in ("whole", "resumed"))
    assert all(torch.equal(value, other[name]) for name, value in one.items())


class TestTargets:
    """The targets of teaching, computed by hand."""

    texts = types.MappingProxyType(
        {
            "rock": [1.0, 0.0, 0.0], "music": [0.0, 0.0, 1.0],
            "drums": [0.6, 0.8, 0.0], "vocals": [0.0, 0.6, 0.8], "slow": [0.0, 1.0, 0.0],
        }
    )  # fmt: skip

    def embed(self, texts):
        self.embedded.extend(texts)
        words = ([word for word in self.texts if word in text][-1] for text in texts)
        return torch.tensor([self.texts[word] for word in words])

    @pytest.fixture
    def targets(self, vocabulary):
        self.embedded = []
        return lambda *given, lessons: Teacher(self.embed, vocabulary, Target(*given)).targets(
            lessons
        )

    def test_an_affirmation_keeps_its_embedding(self, targets):
        (one,) = targets(lessons=[Lesson("rock", "rock")])
        assert one.tolist() == pytest.approx(self.texts["rock"])

    def test_what_is_denied_is_subtracted(self, targets):
        lessons = [
            Lesson("rock, no drums", "rock", ("drums",)),
            Lesson("no drums or vocals", "music", ("drums", "vocals")),
            Lesson("rock, little drums", "rock", ("drums",), 0.5),
            Lesson("rock, some drums", "rock", ("drums",), -0.5),
        ]
        rock, music, drums, vocals = (
            np.array(self.texts[word]) for word in ("rock", "music", "drums", "vocals")
        )
        both = (drums + vocals) / np.linalg.norm(drums + vocals)
        expected = [
            rock - 0.25 * drums, music - 0.25 * both, rock - 0.125 * drums, rock + 0.125 * drums
        ]  # fmt: skip
        expected = [one / np.linalg.norm(one) for one in expected]
        found = targets("subtract", 0.25, lessons=lessons)
        np.testing.assert_allclose(found, np.stack(expected), atol=1e-6)
        assert len(self.embedded) == len(set(self.embedded))  # each text once

    def test_removal_leaves_nothing_along_what_is_denied(self, targets):
        (one,) = targets("removal", lessons=[Lesson("rock, no drums", "rock", ("drums",))])
        assert one @ torch.tensor(self.texts["drums"]) == pytest.approx(0, abs=1e-6)

    def test_the_spherical_form_is_that_of_the_baseline(self, targets):
        (one,) = targets("spherical", 0.5, lessons=[Lesson("rock, no drums", "rock", ("drums",))])
        rock, drums = (torch.tensor([self.texts[word]]) for word in ("rock", "drums"))
        np.testing.assert_allclose(one, spherical(rock, drums, 0.5)[0], atol=1e-6)

    def test_a_teacher_without_finite_embeddings_is_reported(self, vocabulary):
        teacher = Teacher(lambda texts: torch.full((len(texts), 3), np.nan), vocabulary, Target())
        with pytest.raises(InputError, match="embedding of 'rock' has NaN or infinite values"):
            teacher.targets([Lesson("rock", "rock")])


@pytest.mark.parametrize("pooling", ["mean", "cls", "pooler"])
def test_stored_outputs_of_frozen_layers_give_the_same_encodings(clap_folder, pooling):
    encoder = TextEncoder(str(clap_folder), pooling=pooling, trained_layers=1).eval()
    texts = [*TEXTS, *(f"{'very ' * n}slow" for n in range(30))]
    frozen = FrozenOutputs(encoder, texts, quiet)
    rows = [5, 0, 20, 3, 3, 33]
    expected = encoder(encoder.tokenize([texts[row] for row in rows]))
    found = frozen.encode(rows)
    torch.testing.assert_close(found, expected, atol=1e-6, rtol=0)
    gradients = []
    for output in (found, expected):
        encoder.zero_grad()
        output.square().sum().backward()
        trained = [p for p in encoder.parameters() if p.requires_grad]
        gradients.append([p.grad.clone() for p in trained])
    torch.testing.assert_close(gradients[0], gradients[1], atol=1e-5, rtol=1e-4)


def test_processes_share_the_lessons(chorales):
    """Two processes' validation batches have each lesson once; training batches are disjoint."""
    from negclap.training.lesson_data import LessonDataModule

    data = LessonDataModule(
        lambda texts: {"n": torch.tensor([len(texts)])}, captions=str(chorales / "manifest.jsonl"),
        lessons=64, validation_lessons=33, batch_size=8,
    )  # fmt: skip
    data.setup("fit")
    rows = {"train": [], "validation": []}
    for rank in range(2):
        data.trainer = types.SimpleNamespace(
            global_rank=rank, world_size=2, current_epoch=0,
            fit_loop=types.SimpleNamespace(
                epoch_loop=types.SimpleNamespace(
                    batch_progress=types.SimpleNamespace(current=types.SimpleNamespace(ready=0))
                )
            ),
        )  # fmt: skip
        assert data.batches_per_epoch == 4
        rows["train"] += [row for batch in data.train_dataloader() for row in batch.rows.tolist()]
        rows["validation"] += [row for b in data.val_dataloader() for row in b.rows.tolist()]
    assert sorted(rows["train"]) == list(range(64))
    assert sorted(rows["validation"]) == list(range(33))


def test_the_words_of_users_are_read(tmp_path, chorales):
    from negclap.training.lesson_data import read_words

    (tmp_path / "tags.txt").write_text("kazoo\nlo-fi\n")
    (tmp_path / "captions.csv").write_text("caption,x\na kazoo,1\na lo-fi kazoo,2\na kazoo,3\n")
    (tmp_path / "captions.txt").write_text("a kazoo\n\nlo-fi\n")
    tags, texts = read_words(str(tmp_path / "tags.txt"), str(tmp_path / "captions.csv"), "caption")
    assert {*tags.names} == {"kazoo", "lo-fi"}
    assert texts == ("a kazoo", "a lo-fi kazoo")
    _, texts = read_words(str(tmp_path / "tags.txt"), str(tmp_path / "captions.txt"), "caption")
    assert texts == ("a kazoo", "lo-fi")
    tags, texts = read_words("", str(chorales / "manifest.jsonl"), "caption")
    assert "woodwind" in tags.names
    assert len(texts) > 50
    general, texts = read_words("", "", "caption")
    assert (len(general.names) > 1_000, texts) == (True, ())


class TestBadInput:
    """One line each, and nothing is written."""

    @pytest.fixture
    def complain(self, capfd, tmp_path):
        def run(model, *options, out=tmp_path / "out", small=SMALL):
            capfd.readouterr()
            assert teach(model, out, *options, small=small) == 2
            error = capfd.readouterr().err
            assert "Traceback" not in error
            return error.strip().splitlines()[-1]

        yield run
        assert not (tmp_path / "out").exists()

    def test_a_model_whose_text_encoder_cannot_be_trained(self, complain, tone_model):
        assert "the text encoder of this model cannot be trained; expected" in complain(tone_model)

    def test_a_clap_model_with_another_text_encoder(self, complain, clap_folder):
        message = complain(clap_folder, "--text_encoder", "minilm")
        assert "has no place for another text encoder" in message

    @pytest.mark.parametrize(
        ("name", "text", "message"),
        [
            ("v.txt", "", "v.txt"),
            ("v.txt", "slow\n", "expected at least 2"),
            ("v.json", "{", "v.json"),
        ],
    )
    def test_a_vocabulary_without_nouns(self, complain, clap_folder, tmp_path, name, text, message):
        (tmp_path / name).write_text(text)
        assert message in complain(clap_folder, "--vocabulary", tmp_path / name)

    def test_captions_without_tags(self, complain, clap_folder, tmp_path):
        (tmp_path / "captions.txt").write_text("hello\nworld\n")
        message = complain(clap_folder, "--captions", tmp_path / "captions.txt")
        assert "none of the 2 captions affirms a tag of the vocabulary" in message

    @pytest.mark.parametrize("files", ["missing.txt", "missing.csv", "missing.jsonl"])
    def test_captions_that_do_not_exist(self, complain, clap_folder, tmp_path, files):
        assert files in complain(clap_folder, "--captions", tmp_path / files)

    def test_a_csv_without_the_column(self, complain, clap_folder, tmp_path):
        (tmp_path / "c.csv").write_text("text\na piano\n")
        assert "caption" in complain(clap_folder, "--captions", tmp_path / "c.csv")

    def test_a_tokenizer_without_its_files(self, complain, clap_folder, tmp_path):
        broken = tmp_path / "clap"
        shutil.copytree(clap_folder, broken)
        for path in broken.glob("tokenizer*"):
            path.unlink()
        assert "the tokenizer has no vocabulary" in complain(broken)

    def test_a_folder_with_something_else(self, complain, clap_folder, tmp_path):
        other = tmp_path / "other"
        other.mkdir()
        (other / "thesis.txt").write_text("mine")
        message = complain(clap_folder, out=other)
        assert "contains more than an earlier export; choose another folder" in message
        assert [path.name for path in other.iterdir()] == ["thesis.txt"]

    def test_a_teacher_with_nan(self, complain, clap_folder, tmp_path):
        model = ClapModel.from_pretrained(clap_folder)
        model.text_projection.linear1.weight.data[0] = np.nan
        broken = tmp_path / "clap"
        shutil.copytree(clap_folder, broken)
        model.save_pretrained(broken)
        assert "has NaN or infinite values" in complain(broken)

    def test_layers_and_lora_together(self, complain, clap_folder):
        message = complain(clap_folder, "--layers", "1", "--lora")
        assert "--layers and --lora exclude each other" in message

    @pytest.mark.parametrize("change", ["data.lessons=0", "data.batch_size=0"])
    def test_sizes_below_one(self, complain, clap_folder, change):
        assert "expected at least 1" in complain(clap_folder, small=(*SMALL, change))
