"""The model card of an export: data, recipe, results, limits, and how to use the model."""

import json
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Literal

from negclap.errors import InputError
from negclap.models.checkpoint import TrainedModel
from negclap.models.onnx_export import OPSET, TOLERANCE
from negclap.models.text_tower import TextTower, text_tower

Format = Literal["negclap", "small", "clap", "torch", "onnx"]

_LOAD = """import negclap

model = negclap.load("{name}")  # this folder, or its name on the hub
texts = model.encode_text(["calm piano, no drums"])
clips = model.encode_audio(["song.mp3"])
print(texts @ clips.T)"""
_ONNX_TEXTS = """import numpy as np
from onnxruntime import InferenceSession
from tokenizers import Tokenizer

tokenizer = Tokenizer.from_file("{name}/text/tokenizer.json")  # pads and truncates
tokens = tokenizer.encode_batch(["calm piano, no drums", "drums"])
ids = np.array([text.ids for text in tokens], np.int64)
mask = np.array([text.attention_mask for text in tokens], np.int64)
inputs = {{"input_ids": ids, "attention_mask": mask}}
texts = InferenceSession("{name}/text.onnx").run(None, inputs)[0]"""
_USE = {
    "negclap": _LOAD,
    "small": _LOAD,
    "clap": """from transformers import AutoProcessor, ClapModel

model = ClapModel.from_pretrained("{name}")
processor = AutoProcessor.from_pretrained("{name}")""",
    "torch": """import torch

audio = torch.export.load("{name}/audio.pt2").module()  # (n, samples) at {sample_rate} Hz
text = torch.export.load("{name}/text.pt2").module()  # input_ids, attention_mask of text/""",
    "onnx": _ONNX_TEXTS
    + """
waveform = np.zeros((1, {samples}), np.float32)  # (clips, samples) at {sample_rate} Hz, mono
clips = InferenceSession("{name}/audio.onnx").run(None, {{"waveform": waveform}})[0]
print(texts @ clips.T)  # cosines""",
}
_ONNX_TEXT_FILES = """\
- `text.onnx`: `input_ids` and `attention_mask`, int64 of shape (texts, tokens), to `embedding`.
- `text/tokenizer.json`: the tokenizer, which pads, and truncates to {max_tokens} tokens."""
_ONNX_FILES = (
    """

## Files

- `audio.onnx`: `waveform`, float32 of shape (clips, {samples}), mono at {sample_rate:,} Hz in
  [-1, 1], to `embedding`. It contains the log-mel spectrogram. A clip has exactly {samples:,}
  samples ({excerpt_s:g} s).
"""
    + _ONNX_TEXT_FILES
    + """

An `embedding` is float32 of shape (clips or texts, {dim}), with rows of unit length. The batch is
dynamic, and so is the number of tokens, up to {max_tokens}. The files use ONNX opset {opset}. Their
embeddings were compared with torch's on noise and texts: they differ by at most {tolerance:g}.

To use another text encoder that was trained with the same audio encoder, replace `text.onnx` and
`text/` by those of its export."""
)
_CARD = """\
---
library_name: {library}
tags: [music, clap, audio-text, negation]
---
# {name}

{origin}

```python
{use}
```{files}

## Model

- {parameters:,} parameters, {dim} dimensions; clips of {excerpt_s:g} s at {sample_rate:,} Hz.
- Audio encoder `{audio_encoder}`, text encoder `{text_encoder}`.
{training}"""
_TRAINED = """\
A joint audio-text model for music that was trained to understand negation ("rock without
vocals") with negclap (arXiv 2601.13931 and extensions)."""
_CONVERTED = """\
A joint audio-text model for music, converted by `negclap export` from `{source}`, whose
card says what it was trained on. Its licence holds for this copy."""
_TRAINING = """- Trained on `{manifest}`, split `{split}`.

## Recipe

{recipe}
- Revision `{revision}`, seed {seed}.

## Results

{results}

## Limits

{limits}
"""


_TEXT_CARD = (
    """\
---
library_name: negclap
tags: [music, clap, audio-text, negation]
---
# {name}

The text encoder of the joint audio-text model `{source}`, converted by `negclap export`. The
licence of `{source}` holds for this copy.

```python
"""
    + _ONNX_TEXTS
    + """
```

## Files

"""
    + _ONNX_TEXT_FILES
    + """

An `embedding` is float32 of shape (texts, {dim}), with rows of unit length. The numbers of texts
and of tokens are dynamic. The file uses ONNX opset {opset}; its embeddings differ from torch's by
at most {tolerance:g} on test texts.

It replaces the text encoder of an application that runs the same audio encoder. Audio embeddings
of `{source}` remain valid.
"""
)


def model_card(
    trained: TrainedModel, source: str, name: str, form: Format, keys: Sequence[str]
) -> str:
    """Return the model card as Markdown.

    Of a run, it has the recipe, and these keys of ``results.json`` in its folder, if there is one.

    Raises:
        InputError: If ``results.json`` or ``environment.json`` is broken.
    """
    description = trained.description
    is_run = "trainer" in trained.config
    interface = _interface(text_tower(trained.model), name) | {
        "sample_rate": trained.model.audio_encoder.sample_rate,
        "samples": round(description.excerpt_s * trained.model.audio_encoder.sample_rate),
        "excerpt_s": description.excerpt_s,
    }
    return _CARD.format(
        **interface,
        library="transformers" if form == "clap" else "negclap",
        origin=_TRAINED if is_run else _CONVERTED.format(source=source),
        use=_USE[form].format(**interface),
        files=_ONNX_FILES.format(**interface) if form == "onnx" else "",
        parameters=sum(p.numel() for p in trained.model.parameters()),
        audio_encoder=_encoder(description.audio_encoder),
        text_encoder=_encoder(description.text_encoder),
        training=_training(trained, Path(source), keys) if is_run else "",
    )


def text_card(tower: TextTower, source: str, name: str) -> str:
    """Return the card of an ONNX export that has only the text encoder, as Markdown."""
    return _TEXT_CARD.format(**_interface(tower, name), source=Path(source).name)


def _interface(tower: TextTower, name: str) -> dict[str, Any]:
    return {
        "name": name,
        "max_tokens": tower.encoder.max_tokens,
        "dim": tower.embed(["music"]).shape[1],
        "opset": OPSET,
        "tolerance": TOLERANCE,
    }


def _training(trained: TrainedModel, run: Path, keys: Sequence[str]) -> str:
    config, results = trained.config, _read(run / "results.json")
    return _TRAINING.format(
        manifest=config["data"]["manifest"],
        split=config["data"].get("train_split", "train"),
        recipe="\n".join(f"- {line}" for line in _recipe(config)),
        revision=_read(run / "environment.json").get("git_revision", "unknown"),
        seed=config.get("seed_everything"),
        results="\n".join(_results(results, keys)),
        limits="\n".join(f"- {line}" for line in _limits(results, trained.description.excerpt_s)),
    )


def _read(path: Path) -> dict[str, Any]:
    """Read a JSON object; empty if there is no file."""
    try:
        content: Any = json.loads(path.read_text("utf-8")) if path.is_file() else {}
    except ValueError as error:
        raise InputError(f"{path}: not JSON ({error})") from None
    if not isinstance(content, dict):
        raise InputError(f"{path}: contains {type(content).__name__}, expected an object")
    return content


def _encoder(config: Mapping[str, Any]) -> str:
    arguments = config.get("init_args", {})
    source = arguments.get("path") or (not arguments.get("scratch") and arguments.get("name"))
    kind = str(config["class_path"]).rpartition(".")[2]
    return f"{kind} ({source})" if source else f"{kind}, from scratch"


def _recipe(config: Mapping[str, Any]) -> Iterator[str]:
    trainer, data, losses = config["trainer"], config["data"], config["model"]["losses"]
    weights = {name: term["weight"] for name, term in losses.items() if term["weight"]}
    yield "Loss: " + ", ".join(f"{name} {weight:g}" for name, weight in weights.items()) + "."
    insert, exclude = data["insert"], data["exclude"]
    yield f"Negation insert: p = {insert['p']:g}, absent from {insert['absent_from']}."
    if weights.keys() & {"exclusion", "choice"}:
        yield (
            f"{exclude['per_clip']} exclusion captions per clip, cues: {exclude['words']}, "
            f"absent from {exclude['absent_from']}."
        )
    yield f"At most {trainer['max_epochs']} epochs, batch size {data['batch_size']}."


def _results(results: Mapping[str, float], keys: Sequence[str]) -> Iterator[str]:
    if not results:
        yield "None: the run was not tested (`negclap test`)."
        return
    yield "Negation suite on the test split; 95 % confidence intervals, tracks resampled."
    yield ""
    yield "| metric | value | interval | chance | oracle |"
    yield "|---|---|---|---|---|"
    for key in (key for key in keys if key in results):
        names = (key, f"{key}/low", f"{key}/high", f"{key}/chance", f"{key}/oracle")
        value, low, high, chance, oracle = (_cell(results.get(name)) for name in names)
        interval = f"{low} to {high}" if low else ""
        yield f"| `{key}` | {value} | {interval} | {chance} | {oracle} |"


def _cell(value: object) -> str:
    return f"{value:.3f}" if isinstance(value, float | int) else ""


def _limits(results: Mapping[str, float], excerpt_s: float) -> Iterator[str]:
    yield (
        f"The model encodes {excerpt_s:g} s of audio at a time. It knows English texts in the "
        "style of its training captions, and only the sounds and words of its training data."
    )
    if results.get("assumed_absence"):
        yield "Absent tags of the test clips were derived from their tags, not annotated."
    for key, what in (
        ("true_absence", "negations of absent and of present tags"),
        ("cue/held_out/true_absence", "negations with cues that were not trained"),
        ("double_negation", "double negations"),
    ):
        if isinstance(results.get(key), float | int):
            yield f"Accuracy on {what}: {100 * results[key]:.0f} % (chance 50 %)."
