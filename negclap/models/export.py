"""Export a trained run in a format for others, with a model card, and upload it."""

from collections.abc import Sequence
from pathlib import Path

from negclap.errors import InputError, reason
from negclap.models.card import Format, model_card
from negclap.models.checkpoint import TrainedModel
from negclap.models.clap_model import write_clap_model
from negclap.models.exported import write_exported, write_small
from negclap.models.onnx_export import write_onnx
from negclap.models.output import replacing_folder
from negclap.models.programs import write_programs


def export(trained: TrainedModel, run: Path, out: Path, form: Format, keys: Sequence[str]) -> None:
    """Write a model and its card into a folder, completely or not at all.

    Args:
        trained: The model.
        run: Its run folder.
        out: The folder; an earlier export in it is replaced.
        form: "negclap", for `negclap.load`; "small", the same without the weights that packages
            have; "clap", a ClapModel of `transformers` with its
            processor; "torch", both encoders as programs of `torch.export`; "onnx", both for
            onnxruntime.
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
    if run.resolve().is_relative_to(out.resolve()):
        raise InputError(f"{out}: contains the run itself; choose another folder")
    with replacing_folder(out) as folder:
        writers[form](trained, folder)
        card = model_card(trained, run, out.name, form, keys)
        (folder / "README.md").write_text(card, encoding="utf-8")


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
