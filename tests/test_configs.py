"""All configurations in configs/ can be instantiated."""

import re
import shlex
import subprocess
from dataclasses import replace

import pytest
from transformers import RobertaConfig, RobertaModel

from negclap.commands.training import parse, parse_teaching
from negclap.models.text_encoders import TextEncoder
from tests.conftest import CONFIGS

BASES = sorted(CONFIGS.glob("*.yaml"))
TEACH = CONFIGS / "methods" / "teach.yaml"
OVERLAYS = sorted(
    path
    for path in CONFIGS.rglob("*.yaml")
    if path.parent.name not in ("configs", "sweeps", "cluster") and path != TEACH
)  # sweeps: tests/training/test_sweep.py; cluster: tests/catalogue/test_examples.py


@pytest.fixture
def small(chorales, tmp_path):
    """Arguments for the tiny set."""
    return [f"--run_dir={tmp_path}", f"--data.manifest={chorales / 'manifest.jsonl'}"]


@pytest.fixture(scope="session")
def tiny_roberta(tmp_path_factory):
    """A folder as `save_pretrained` writes it, in place of a download from a hub."""
    folder = tmp_path_factory.mktemp("roberta")
    config = RobertaConfig(hidden_size=16, num_hidden_layers=1, num_attention_heads=2)
    RobertaModel(config).save_pretrained(folder)
    TextEncoder(scratch=(16, 1)).tokenizer.save_pretrained(folder)
    return folder


@pytest.mark.parametrize("base", BASES, ids=lambda path: path.stem)
def test_base_is_instantiated(base, small, tiny_roberta):
    arguments = ["fit", "-c", str(base), *small]
    if "roberta" in base.read_text():
        arguments.append(f"--model.text_encoder.init_args.name={tiny_roberta}")
    cli = parse(arguments)
    assert cli.trainer.max_epochs > 0
    assert cli.model.model.audio_encoder.dim > 0


@pytest.mark.parametrize("overlay", OVERLAYS, ids=lambda path: path.stem)
def test_overlay_is_instantiated_and_has_a_comment(overlay, small, clap_folder, monkeypatch):
    monkeypatch.setenv("WANDB_SWEEP_ID", "sweep")
    monkeypatch.setenv("WANDB_RUN_ID", "run")
    arguments = ["fit", "-c", str(CONFIGS / "chorales.yaml"), "-c", str(overlay), *small]
    if "laion/" in overlay.read_text():  # on a hub
        arguments += [f"--model.clap={clap_folder}"]
    cli = parse(arguments)
    assert cli.datamodule.insert.p in (0.0, 0.6)
    assert overlay.read_text().startswith("#")
    assert "- " not in overlay.read_text()  # overlays have no lists


def test_teaching_is_instantiated_and_has_a_comment(clap_folder, tmp_path):
    arguments = [f"--model.teacher={clap_folder}", f"--run_dir={tmp_path}"]
    cli = parse_teaching(["fit", "-c", str(TEACH), *arguments])
    assert cli.model.student.encoder.pretrained
    assert cli.datamodule.n_lessons > 0
    assert TEACH.read_text().startswith("#")


def test_command_of_the_training_script_is_parsed(small, tiny_roberta):
    """That of the other scripts: tests/catalogue/test_examples.py."""
    script = CONFIGS / "cluster" / "slurm.sbatch"
    subprocess.run(["bash", "-n", str(script)], check=True)
    text = script.read_text().replace("\\\n", " ").replace("$METHOD", "combined")
    (command,) = re.findall(r"negclap (fit .*)", text)
    arguments = shlex.split(command.replace("$SLURM_NNODES", "1").replace("$RUN", "run"))
    assert arguments[-2:] == ["--ckpt_path", "last"]
    arguments = [
        str(CONFIGS.parent / part) if part.endswith(".yaml") else part for part in arguments[:-2]
    ]
    devices = ["--trainer.devices=1", "--trainer.accelerator=cpu"]
    roberta = f"--model.text_encoder.init_args.name={tiny_roberta}"
    cli = parse([*arguments, *devices, roberta, *small])
    assert cli.trainer.num_nodes == 1


def test_methods_have_the_terms_of_their_names(small):
    def weights(method):
        overlay = str(CONFIGS / "methods" / f"{method}.yaml")
        cli = parse(["fit", "-c", str(CONFIGS / "chorales.yaml"), "-c", overlay, *small])
        losses = cli.model.losses
        return (
            cli.datamodule.insert.p > 0,
            losses.dissimilarity.weight > 0,
            losses.exclusion.weight > 0,
        )

    methods = ("baseline", "insert", "dissimilarity", "combined", "negclap")
    assert [weights(m) for m in methods] == [
        (False, False, False),
        (True, False, False),
        (False, True, False),
        (True, True, False),
        (False, False, True),
    ]


def test_form_of_the_contrastive_loss_is_an_option_of_its_own(small):
    arguments = ["fit", "-c", str(CONFIGS / "chorales.yaml"), *small]
    default = parse(arguments).model.losses.contrastive
    assert (default.weight, default.form) == (1.0, "dense")
    chosen = parse([*arguments, "--model.losses.contrastive.form=tiled"]).model.losses.contrastive
    assert chosen == replace(default, form="tiled")
