"""`negclap teach`: teach negation to the text encoder of a finished model."""

import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from jsonargparse import ArgumentParser, Namespace

import negclap
from negclap.commands.options import new_parser
from negclap.errors import InputError

if TYPE_CHECKING:
    from negclap.commands.training import NegClapCLI

_RECIPE = Path(negclap.__file__).parents[1] / "configs" / "methods" / "teach.yaml"
_TEXT_ENCODER = "negclap.models.text_encoders.TextEncoder"


def parser() -> ArgumentParser:
    """Return the parser of the command."""
    parser = new_parser(
        "teach",
        "Teach negation to the text encoder of a finished model, from text alone.\n\n"
        "The audio encoder is unchanged, so clips that were embedded before stay valid.",
    )
    add = parser.add_argument
    add(
        "--model",
        required=True,
        help="A run folder, an exported folder, a ClapModel (folder or hub name), or a LAION-CLAP "
        ".pt.",
    )
    add("--out", type=Path, required=True, help="Folder to write: a model of the same kind.")
    add("--vocabulary", default="", metavar="FILE", help="Tags: vocabulary.json, or one a line.")
    add("--captions", default="", metavar="FILE", help="A manifest, a CSV, or one caption a line.")
    add("--text_encoder", metavar="NAME", help="Another encoder: minilm, a folder, a hub name.")
    add("--layers", metavar="N", help="Upper layers to train (default: 3), or all.")
    add("--lora", type=bool, help="Train low-rank adapters in all layers instead.")
    add("--run_dir", type=Path, help="Folder of checkpoints and logs (default: OUT-training).")
    add("--resume", type=bool, help="Continue an interrupted training.")
    add("--config", type=Path, default=_RECIPE, help="Configuration of the training.")
    add("changes", nargs="*", metavar="KEY=VALUE", help="Keys of the configuration to change.")
    return parser


def run(options: Namespace) -> None:
    """Run the command."""
    from negclap.models.output import check_replaceable

    if options.layers is not None and options.lora:
        raise InputError("--layers and --lora exclude each other")
    check_replaceable(options.out.resolve())
    if not options.config.is_file():
        raise InputError(f"{options.config}: no such file; run in a clone, or pass --config")
    run_dir = options.run_dir or options.out.with_name(f"{options.out.name}-training")
    from negclap.commands.training import teach

    cli = teach(_arguments(options, run_dir))
    if cli.trainer.is_global_zero:
        _write(cli, options, run_dir)


def _arguments(options: Namespace, run_dir: Path) -> list[str]:
    """Return the arguments of `fit` that the options stand for."""
    keys: dict[str, object] = {
        "run_dir": run_dir,
        "model.teacher": options.model,
        "data.vocabulary": options.vocabulary,
        "data.captions": options.captions,
    }
    if options.text_encoder:
        keys["model.text_encoder"] = _TEXT_ENCODER
        keys["model.text_encoder.init_args.name"] = options.text_encoder
    if options.layers is not None:
        keys["model.trained_layers"] = "null" if options.layers == "all" else options.layers
    if options.lora:
        keys["model.lora.towers"] = "[text]"
    if options.resume:
        keys["ckpt_path"] = "last"
    changes = [f"{key}={value}" for key, value in keys.items()]
    return ["-c", str(options.config), *(f"--{each}" for each in (*changes, *options.changes))]


def _write(cli: "NegClapCLI", options: Namespace, run_dir: Path) -> None:
    """Write the model with the best checkpoint's text half."""
    import torch

    from negclap.models.checkpoint import BEST_CHECKPOINT
    from negclap.models.lora import merge
    from negclap.models.output import replacing_folder
    from negclap.models.taught import write_taught
    from negclap.models.taught_card import taught_card

    module = cli.model
    checkpoint = torch.load(run_dir / BEST_CHECKPOINT, map_location="cpu", weights_only=True)
    module.load_state_dict(checkpoint["state_dict"])
    if options.lora:
        merge(module.student)
    settings = cli.config["fit"].as_dict()
    encoder = settings["model"]["text_encoder"]
    with replacing_folder(options.out) as folder:
        write_taught(options.model, module.student.cpu(), encoder, folder, options.out)
        card = taught_card(options.out.name, settings, _read_scores(run_dir))
        (folder / "README.md").write_text(card, encoding="utf-8")
    sys.stdout.write(f"wrote {options.out}\n")


def _read_scores(run_dir: Path) -> dict[str, float]:
    values: dict[str, float] = json.loads((run_dir / "validation.json").read_text())
    return {key.removeprefix("val/"): value for key, value in values.items() if key != "epoch"}
