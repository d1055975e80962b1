"""Export a trained run in a format for others, with a model card, and upload it."""

import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import torch
from torch import Tensor, nn
from torch.export import Dim

from negclap.errors import InputError, reason
from negclap.models.card import Format, model_card
from negclap.models.checkpoint import TrainedModel
from negclap.models.clap import NegClap
from negclap.models.clap_model import write_clap_model
from negclap.models.exported import write_exported

_FILE_LIST = ".negclap-export"  # names the files of an export, the only ones that may be replaced


def export(trained: TrainedModel, run: Path, out: Path, form: Format, keys: Sequence[str]) -> None:
    """Write a model and its card into a folder, completely or not at all.

    Args:
        trained: The model.
        run: Its run folder.
        out: The folder; an earlier export in it is replaced.
        form: "negclap", for `negclap.load`; "clap", a ClapModel of `transformers` with its
            processor; "torch", both encoders as programs of `torch.export`.
        keys: Keys of the run's ``results.json`` to show in the card.

    Raises:
        InputError: If the folder contains other files, or the model does not fit the format.
    """
    writers = {"negclap": write_exported, "clap": write_clap_model, "torch": _write_programs}
    if run.resolve().is_relative_to(out.resolve()):
        raise InputError(f"{out}: contains the run itself; choose another folder")
    with _replacing(out.resolve()) as folder:
        writers[form](trained, folder)
        card = model_card(trained, run, out.name, form, keys)
        (folder / "README.md").write_text(card, encoding="utf-8")


@contextmanager
def _replacing(out: Path) -> Iterator[Path]:
    """Yield a temporary folder, which replaces ``out`` at the end."""
    if out.exists() and not (out.is_dir() and _files(out) <= _listed_files(out)):
        raise InputError(f"{out}: contains more than an earlier export; choose another folder")
    out.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=f".{out.name}-", dir=out.parent) as temporary:
        folder = Path(temporary) / "new"
        folder.mkdir()
        yield folder
        files = sorted(_files(folder) | {_FILE_LIST})
        (folder / _FILE_LIST).write_text("\n".join(files), encoding="utf-8")
        old = Path(temporary) / "old"
        if out.exists():
            out.rename(old)
        try:
            folder.rename(out)
        except OSError:
            if old.exists():
                old.rename(out)
            raise


def _files(folder: Path) -> set[str]:
    return {str(path.relative_to(folder)) for path in folder.rglob("*") if not path.is_dir()}


def _listed_files(folder: Path) -> set[str]:
    path = folder / _FILE_LIST
    return set(path.read_text(encoding="utf-8").splitlines()) if path.is_file() else set()


class _Program(nn.Module):
    def __init__(self, model: NegClap) -> None:
        super().__init__()
        self.model = model


class _Audio(_Program):
    def forward(self, waveform: Tensor) -> Tensor:
        return self.model.embed_audio(waveform)


class _Text(_Program):
    def forward(self, input_ids: Tensor, attention_mask: Tensor) -> Tensor:
        tokens = {"input_ids": input_ids, "attention_mask": attention_mask}
        return self.model.embed_text(tokens)


def _write_programs(trained: TrainedModel, folder: Path) -> None:
    """Write ``audio.pt2``, ``text.pt2`` and ``text/`` (the tokenizer), to use without negclap.

    The programs take up to 4096 rows; clips must last as long as in training.
    """
    model, excerpt_s = trained.model.eval(), trained.description.excerpt_s
    rows = Dim("rows", min=1, max=4096)
    waveform = torch.zeros(2, round(excerpt_s * model.audio_encoder.sample_rate))
    program = torch.export.export(_Audio(model), (waveform,), dynamic_shapes=({0: rows},))
    torch.export.save(program, folder / "audio.pt2")
    tokens = model.text_encoder.tokenize(["no drums", "calm piano, no drums"])
    inputs = tokens["input_ids"], tokens["attention_mask"]
    shape = {0: rows, 1: Dim("length", min=2, max=model.text_encoder.max_tokens)}
    program = torch.export.export(_Text(model), inputs, dynamic_shapes=(shape, shape))
    torch.export.save(program, folder / "text.pt2")
    model.text_encoder.tokenizer.save_pretrained(folder / "text")


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
