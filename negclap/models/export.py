"""`negclap export`: a trained run as a folder for others, with a model card."""

import json
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Literal

import torch
from torch import Tensor, nn
from torch.export import Dim

from negclap.errors import InputError, reason
from negclap.models.audio_encoders import AudioEncoder
from negclap.models.checkpoint import Trained
from negclap.models.clap import NegClap
from negclap.models.clap_model import write_clap_model
from negclap.models.exported import write_exported

Format = Literal["negclap", "clap", "torch"]
CARD = "README.md"
_MARK = ".negclap-export"  # lists the files of an export, which alone may be replaced
_MOST_AT_ONCE = 4096  # rows that an exported program takes

_USE = {
    "negclap": """import negclap

model = negclap.load("{name}")  # this folder, or its name on the hub
texts = model.encode_text(["calm piano, no drums"])
clips = model.encode_audio(["song.mp3"])
print(texts @ clips.T)""",
    "clap": """from transformers import AutoProcessor, ClapModel

model = ClapModel.from_pretrained("{name}")
processor = AutoProcessor.from_pretrained("{name}")""",
    "torch": """import torch

audio = torch.export.load("{name}/audio.pt2").module()  # (n, samples) at {sample_rate} Hz
text = torch.export.load("{name}/text.pt2").module()  # input_ids, attention_mask of text/""",
}


def export(trained: Trained, run: Path, out: Path, form: Format, figures: Sequence[str]) -> None:
    """Write a model and its card into a folder, whole or not at all.

    Args:
        trained: The model.
        run: Its run folder, for what it was found to do.
        out: The folder; an earlier export there is replaced.
        form: "negclap", for `negclap.load`; "clap", a plain ClapModel of `transformers` with its
            processor; "torch", both towers as programs of `torch.export`.
        figures: Keys of ``results.json`` that the card shows.

    Raises:
        InputError: If the folder holds something else, or the model has no such form.
    """
    write: Callable[[Path], None] = {
        "negclap": lambda folder: write_exported(trained, folder),
        "clap": lambda folder: write_clap_model(
            trained.model, trained.description.excerpt_s, folder
        ),
        "torch": lambda folder: write_programs(
            trained.model, trained.description.excerpt_s, folder
        ),
    }[form]
    if run.resolve().is_relative_to(out.resolve()):
        raise InputError(f"{out}: the run lies in there; name another folder")
    with _replacing(out.resolve()) as folder:
        write(folder)
        (folder / CARD).write_text(card(trained, run, out.name, form, figures), encoding="utf-8")


@contextmanager
def _replacing(out: Path) -> Iterator[Path]:
    """A folder beside ``out`` that takes its place when it is whole."""
    if out.exists() and not (out.is_dir() and _files(out) <= _listed(out)):
        raise InputError(f"{out}: holds something else than an earlier export; name another folder")
    out.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=f".{out.name}-", dir=out.parent) as temporary:
        folder = Path(temporary) / "new"
        folder.mkdir()
        yield folder
        (folder / _MARK).write_text("\n".join(sorted(_files(folder) | {_MARK})), encoding="utf-8")
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


def _listed(folder: Path) -> set[str]:
    mark = folder / _MARK
    return set(mark.read_text(encoding="utf-8").splitlines()) if mark.is_file() else set()


class _Audio(nn.Module):
    def __init__(self, model: NegClap) -> None:
        super().__init__()
        self.model = model

    def forward(self, waveform: Tensor) -> Tensor:
        return self.model.embed_audio(waveform)


class _Text(nn.Module):
    def __init__(self, model: NegClap) -> None:
        super().__init__()
        self.model = model

    def forward(self, input_ids: Tensor, attention_mask: Tensor) -> Tensor:
        tokens = {"input_ids": input_ids, "attention_mask": attention_mask}
        return self.model.embed_text(tokens)


def write_programs(model: NegClap, excerpt_s: float, folder: Path) -> None:
    """Write ``audio.pt2``, ``text.pt2`` and the tokenizer: what runs without negclap.

    Both take any number of rows; clips last ``excerpt_s``.
    """
    model = model.eval()
    audio: AudioEncoder = model.audio_encoder
    waveform = torch.zeros(2, round(excerpt_s * audio.sample_rate))
    rows = Dim("rows", min=1, max=_MOST_AT_ONCE)
    program = torch.export.export(_Audio(model), (waveform,), dynamic_shapes=({0: rows},))
    torch.export.save(program, folder / "audio.pt2")
    tokens = model.text_encoder.tokenize(["no drums", "calm piano, no drums"])
    length = Dim("length", min=2, max=model.text_encoder.max_tokens)
    program = torch.export.export(
        _Text(model),
        (tokens["input_ids"], tokens["attention_mask"]),
        dynamic_shapes=({0: rows, 1: length}, {0: rows, 1: length}),
    )
    torch.export.save(program, folder / "text.pt2")
    model.text_encoder.tokenizer.save_pretrained(folder / "text")


def card(trained: Trained, run: Path, name: str, form: Format, figures: Sequence[str]) -> str:
    """The model card: data, recipe, what the suite found, limits, how to use it."""
    config, description = trained.config, trained.description
    data, rate = config["data"], trained.model.audio_encoder.sample_rate
    results = _read(run / "results.json")
    environment = _read(run / "environment.json")
    parameters = sum(p.numel() for p in trained.model.parameters())
    lines = [
        "---",
        f"library_name: {'transformers' if form == 'clap' else 'negclap'}",
        "tags: [music, clap, audio-text, negation]",
        "---",
        f"# {name}",
        "",
        "A joint audio-text model for music, trained with negclap, which teaches and measures",
        'negation: "rock without vocals" (arXiv 2601.13931 and beyond).',
        "",
        "```python",
        _USE[form].format(name=name, sample_rate=rate),
        "```",
        "",
        "## Model and data",
        "",
        f"- {parameters:,} parameters, {description.embed_dim} dimensions; hears "
        f"{description.excerpt_s:g} s at {rate:,} Hz.",
        f"- Audio tower `{_kind(description.audio_encoder)}`, text tower "
        f"`{_kind(description.text_encoder)}`.",
        f"- Trained on `{data['manifest']}`, split `{data.get('train_split', 'train')}`.",
        "",
        "## Recipe",
        "",
        *(f"- {line}" for line in _recipe(config)),
        f"- Revision `{environment.get('git_revision', 'unknown')}`, seed "
        f"{config.get('seed_everything')}.",
        "",
        "## Results",
        "",
        *_results(results, figures),
        "",
        "## Limits",
        "",
        *(f"- {line}" for line in _limits(results, description.excerpt_s)),
        "",
    ]
    return "\n".join(lines)


def _read(path: Path) -> dict[str, Any]:
    try:
        read: Any = json.loads(path.read_text("utf-8")) if path.is_file() else {}
    except ValueError as error:
        raise InputError(f"{path}: not JSON ({error})") from None
    if not isinstance(read, dict):
        raise InputError(f"{path}: holds {type(read).__name__}, expected figures by name")
    return read


def _kind(specification: Mapping[str, Any]) -> str:
    arguments = specification.get("init_args", {})
    source = arguments.get("path") or (not arguments.get("scratch") and arguments.get("name"))
    kind = str(specification["class_path"]).rpartition(".")[2]
    return f"{kind} ({source})" if source else f"{kind}, from scratch"


def _recipe(config: Mapping[str, Any]) -> Iterator[str]:
    losses = config["model"]["losses"]
    weights = {name: term["weight"] for name, term in losses.items() if term["weight"]}
    yield "Loss: " + ", ".join(f"{name} {weight:g}" for name, weight in weights.items()) + "."
    insert, exclude = config["data"]["insert"], config["data"]["exclude"]
    yield f"Negation insert p = {insert['p']:g}, absent from {insert['absent_from']}."
    if weights.keys() & {"exclusion", "choice"}:
        yield (
            f"{exclude['per_clip']} exclusion-style captions a clip, cues: {exclude['words']}, "
            f"absent from {exclude['absent_from']}."
        )
    trainer, data = config["trainer"], config["data"]
    yield f"At most {trainer['max_epochs']} epochs, batches of {data['batch_size']}."


def _results(results: Mapping[str, float], figures: Sequence[str]) -> Iterator[str]:
    if not results:
        yield "Not measured: the run holds no results.json (`negclap test`)."
        return
    yield "The negation suite on the test split; 95 % intervals resample tracks."
    yield ""
    yield "| figure | value | interval | chance | oracle |"
    yield "|---|---|---|---|---|"
    for key in figures:
        if key not in results:
            continue
        interval = f"{_cell(results, f'{key}/low')} to {_cell(results, f'{key}/high')}"
        cells = (
            _cell(results, key),
            interval if f"{key}/low" in results else "",
            _cell(results, f"{key}/chance"),
            _cell(results, f"{key}/oracle"),
        )
        yield f"| `{key}` | " + " | ".join(cells) + " |"


def _cell(results: Mapping[str, float], key: str) -> str:
    value = results.get(key)
    return f"{value:.3f}" if isinstance(value, float | int) else ""


def _limits(results: Mapping[str, float], excerpt_s: float) -> Iterator[str]:
    yield (
        f"It hears {excerpt_s:g} s at a time, knows English texts like its captions, and only the "
        "sounds and words of its training data."
    )
    if results.get("assumed_absence"):
        yield "What the test clips lack was assumed from their tags, not known."
    for key, what in (
        ("true_absence", "what a clip lacks and what it has, said with a negation"),
        ("cue/held_out/true_absence", "negations by words that it was never trained on"),
        ("double_negation", "double negation"),
    ):
        if isinstance(results.get(key), float | int):
            yield f"It tells {what} in {100 * results[key]:.0f} % of the cases (chance 50 %)."


def push(folder: Path, name: str, private: bool) -> str:
    """Upload a folder to the hub as a model; returns its address.

    Raises:
        InputError: If the hub refuses.
    """
    from huggingface_hub import HfApi
    from huggingface_hub.errors import HfHubHTTPError, HFValidationError

    api = HfApi()
    try:
        address = str(api.create_repo(name, private=private, exist_ok=True))
        api.upload_folder(repo_id=name, folder_path=folder)
    except (HFValidationError, HfHubHTTPError, OSError) as error:
        raise InputError(f"{name}: the hub refused ({reason(error)})") from None
    return address
