"""Export a model in a format for others, with a model card, and upload it."""

from collections.abc import Sequence
from pathlib import Path

from negclap.errors import InputError, reason
from negclap.models.card import Format, model_card, text_card
from negclap.models.checkpoint import CONFIG as RUN_CONFIG
from negclap.models.checkpoint import TrainedModel, read_run
from negclap.models.clap_model import read_clap_model, write_clap_model
from negclap.models.encoder import Encoder, NegClapEncoder
from negclap.models.exported import read_exported, write_exported, write_small
from negclap.models.onnx_export import write_onnx, write_text_onnx
from negclap.models.output import replacing_folder
from negclap.models.pretrained import ClapEncoder, LaionEncoder, find_folder, load
from negclap.models.programs import write_programs
from negclap.models.text_tower import copy_text_tower


def export(source: str, out: Path, form: Format, keys: Sequence[str]) -> None:
    """Write a model and its card into a folder, completely or not at all.

    Args:
        source: The model, as for `negclap.load`.
        out: The folder; an earlier export in it is replaced.
        form: "negclap", for `negclap.load`; "small", the same without the weights that packages
            have; "clap", a ClapModel of `transformers` with its processor; "torch", both encoders
            as programs of `torch.export`; "onnx", both for onnxruntime. Of a LAION-CLAP checkpoint,
            only the text encoder can be written, as "onnx".
        keys: Keys of the run's ``results.json`` to show in the card.

    Raises:
        InputError: If the folder contains other files, or the model does not fit the format.
    """
    writers = {
        "negclap": write_exported,
        "small": write_small,
        "clap": write_clap_model,
        "torch": write_programs,
        "onnx": write_onnx,
    }
    if Path(source).resolve().is_relative_to(out.resolve()):
        raise InputError(f"{out}: contains the model itself; choose another folder")
    is_run = (Path(source) / RUN_CONFIG).is_file()
    model = read_run(Path(source)) if is_run else load(source)
    with replacing_folder(out) as folder:
        if isinstance(model, LaionEncoder) and form == "onnx":
            tower = copy_text_tower(model, source)
            write_text_onnx(tower, folder)
            card = text_card(tower, source, out.name)
        else:
            trained = model if isinstance(model, TrainedModel) else _trained(model, source)
            writers[form](trained, folder)
            card = model_card(trained, source, out.name, form, keys)
        (folder / "README.md").write_text(card, encoding="utf-8")


def _trained(model: Encoder, source: str) -> TrainedModel:
    """Return a loaded model that is not a run with what the formats need."""
    match model:
        case NegClapEncoder():
            return read_exported(find_folder(source))
        case ClapEncoder():
            return read_clap_model(model)
        case LaionEncoder():
            raise InputError(f"{source}: only the text encoder can be exported, by --format onnx")
        case _:
            raise InputError(
                f"{source}: this model cannot be exported; expected a run, an exported folder, a "
                "ClapModel or a LAION-CLAP checkpoint"
            )


def push(folder: Path, name: str, private: bool) -> str:
    """Upload a folder to the Hugging Face hub as a model, and return its address.

    Raises:
        InputError: If the name is invalid or the upload fails.
    """
    from huggingface_hub import HfApi
    from huggingface_hub.errors import HFValidationError

    api = HfApi()
    try:
        address = str(api.create_repo(name, private=private, exist_ok=True))
        api.upload_folder(repo_id=name, folder_path=folder)
    except (HFValidationError, OSError) as error:
        raise InputError(f"{name}: upload to the hub failed ({reason(error)})") from None
    return address
