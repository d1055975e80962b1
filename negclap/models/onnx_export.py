"""The ONNX format of ``negclap export``: both encoders for onnxruntime, without torch."""

import copy
import logging
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import torch
from tokenizers import Tokenizer
from torch import Tensor

from negclap.errors import InputError
from negclap.models.checkpoint import TrainedModel
from negclap.models.clap import NegClap
from negclap.models.frontend import ConvLogMel
from negclap.models.programs import Program, audio_program, text_program
from negclap.models.text_encoders import TextEncoder
from negclap.models.text_tower import TextTower, text_tower

OPSET = 20
TOLERANCE = 1e-4  # greatest difference of an embedding's element from torch's
_PACKAGES = ("onnx", "onnxscript", "onnxruntime")
_AUDIO, _TEXT, _TOKENIZER = "audio.onnx", "text.onnx", "text/tokenizer.json"
_OUTPUT = "embedding"
_TEXTS = ["drums", "calm piano, no drums", "rock without vocals, guitars or drums, " * 100]


def write_onnx(trained: TrainedModel, folder: Path) -> None:
    """Write ``audio.onnx`` and the files of `write_text_onnx`, and compare them with torch.

    ``waveform``, ``(rows, samples)`` float32, to ``embedding``, ``(rows, embed_dim)`` float32, unit
    length. Clips must last as long as in training.

    Raises:
        InputError: If a package is missing, or onnxruntime returns other embeddings than torch.
    """
    _check_packages()
    audio = audio_program(_with_convolutions(trained.model), trained.description.excerpt_s)
    _write(audio, folder / _AUDIO)
    check_audio_onnx(trained, folder)
    write_text_onnx(text_tower(trained.model), folder)


def write_text_onnx(tower: TextTower, folder: Path) -> None:
    """Write ``text.onnx`` and ``text/tokenizer.json``, and compare them with torch.

    ``input_ids`` and ``attention_mask``, ``(rows, length)`` int64, to ``embedding``,
    ``(rows, embed_dim)`` float32, unit length. The tokenizer pads, and truncates to `max_tokens`.

    Raises:
        InputError: If a package is missing, or onnxruntime returns other embeddings than torch.
    """
    _check_packages()
    _write(text_program(tower), folder / _TEXT)
    _write_tokenizer(tower.encoder, folder / _TOKENIZER)
    check_text_onnx(tower, folder)


def _check_packages() -> None:
    if missing := [name for name in _PACKAGES if find_spec(name) is None]:
        message = f"format onnx needs the package {missing[0]}: pip install negclap[onnx]"
        raise InputError(message)


def _with_convolutions(model: NegClap) -> NegClap:
    """Return a copy whose front end has no Fourier transform.

    That of onnxruntime 1.32 runs only on CPUs, and for window lengths that are not a power of two,
    weak bands are wrong by up to 27 dB.
    """
    model = copy.deepcopy(model)
    encoder = model.audio_encoder
    encoder.log_mel = ConvLogMel(encoder.mel, encoder.log_mel.compress)
    return model


def _write(program: Program, path: Path) -> None:
    from onnx_ir.passes.common import ClearMetadataAndDocStringPass, NameFixPass

    with _quiet():
        exported = torch.onnx.export(
            program.function,
            tuple(program.inputs.values()),
            dynamic_shapes=program.shapes,
            input_names=list(program.inputs),
            output_names=[_OUTPUT],
            opset_version=OPSET,
            verbose=False,
        )
    assert exported is not None  # torch's older exporter returns None
    NameFixPass()(exported.model)  # an inner value can be called "embedding", too
    ClearMetadataAndDocStringPass()(exported.model)  # paths of this machine
    exported.save(path)


@contextmanager
def _quiet() -> Iterator[None]:
    """Hide the exporter's messages about packages and axis names that are not used here."""
    logger = logging.getLogger("torch.onnx")
    level = logger.level
    logger.setLevel(logging.ERROR)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        logger.setLevel(level)


def _write_tokenizer(encoder: TextEncoder, path: Path) -> None:
    tokenizer = encoder.tokenizer
    core = tokenizer.backend_tokenizer
    core.enable_truncation(encoder.max_tokens)
    core.enable_padding(pad_id=tokenizer.pad_token_id, pad_token=tokenizer.pad_token)
    path.parent.mkdir()
    core.save(str(path))


@torch.inference_mode()
def check_audio_onnx(trained: TrainedModel, folder: Path) -> None:
    """Compare ``audio.onnx`` with the model for several numbers of clips.

    Raises:
        InputError: If an element of an embedding differs by more than `TOLERANCE`.
    """
    model = trained.model.eval()
    samples = round(trained.description.excerpt_s * model.audio_encoder.sample_rate)
    noise = torch.randn(4, samples, generator=torch.Generator().manual_seed(0))
    loudness = torch.tensor([0.1, 0.2, 0.01, 0.001]).unsqueeze(1)
    for clips in (noise * loudness).split((1, 3)):
        _compare(folder / _AUDIO, {"waveform": clips}, model.embed_audio(clips))


@torch.inference_mode()
def check_text_onnx(tower: TextTower, folder: Path) -> None:
    """Compare ``text.onnx`` and its tokenizer with the model for several lengths of texts.

    Raises:
        InputError: If an element of an embedding differs by more than `TOLERANCE`.
    """
    tokenizer = Tokenizer.from_file(str(folder / _TOKENIZER))
    for texts in (_TEXTS[:1], _TEXTS[:2], _TEXTS):
        encoded = tokenizer.encode_batch(texts)
        ids = torch.tensor([text.ids for text in encoded])
        mask = torch.tensor([text.attention_mask for text in encoded])
        inputs = {"input_ids": ids, "attention_mask": mask}
        _compare(folder / _TEXT, inputs, tower.embed(texts))


def _compare(path: Path, inputs: dict[str, Tensor], expected: Tensor) -> None:
    from onnxruntime import InferenceSession

    session = InferenceSession(path, providers=["CPUExecutionProvider"])
    (output,) = session.run([_OUTPUT], {name: values.numpy() for name, values in inputs.items()})
    difference = float(np.abs(output - expected.numpy()).max())
    if not difference <= TOLERANCE:
        found = f"embeddings of onnxruntime and torch differ by {difference:.1e}"
        raise InputError(f"{path.name}: {found}, expected at most {TOLERANCE:g}")
