"""Convert musicnn's taggers from TensorFlow's checkpoints to the weights that ship with negclap.

    pip download --no-deps musicnn==0.1.0
    python experiments/musicnn/convert.py musicnn-0.1.0-py3-none-any.whl

Neither musicnn nor TensorFlow is needed: a checkpoint is a table of entries (``.index``) and their
raw values (``.data``).
"""

import argparse
import struct
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from constant_filters import without_constants
from safetensors.torch import save_file

from negclap.errors import InputError
from negclap.models.musicnn import NETS, WEIGHTS, Musicnn

WHEEL = "musicnn-0.1.0-py3-none-any.whl"
_FOOTER = 48  # bytes: two block handles, padding, and a magic number
_MAGIC = 0xDB4775248B80FB57  # of a LevelDB table
_FLOAT32 = 1  # TensorFlow's DT_FLOAT
_CONVOLUTIONS = (
    *("timbral.0", "timbral.1", "temporal.0", "temporal.1", "temporal.2"),
    *("middle.0", "middle.1", "middle.2"),
)
"""Our names of the convolutions, in the order in which musicnn makes them."""
_NORMS = ("normalize", *(f"{name}.norm" for name in _CONVOLUTIONS), "pooled_norm", "hidden_norm")
_DENSE = ("hidden", "tags")
ALL = (204, 204, 51, 51, 51)
"""Numbers of filters of the first layers."""
_OF_A_NORM = {
    "weight": "gamma",
    "bias": "beta",
    "running_mean": "moving_mean",
    "running_var": "moving_variance",
}


class Reader:
    """Reads varints and bytes of a buffer."""

    def __init__(self, data: bytes) -> None:
        self.data, self.at = data, 0

    def __bool__(self) -> bool:
        """Whether bytes are left."""
        return self.at < len(self.data)

    def varint(self) -> int:
        """Read an integer of 7 bits a byte, the lowest first."""
        value = shift = 0
        while True:
            byte = self.data[self.at]
            self.at += 1
            value |= (byte & 127) << shift
            if byte < 128:
                return value
            shift += 7

    def take(self, size: int) -> bytes:
        """Read the next bytes."""
        self.at += size
        return self.data[self.at - size : self.at]


class Entry(NamedTuple):
    """Where the values of a variable are."""

    shape: tuple[int, ...]
    offset: int
    size: int


def read_checkpoint(index: bytes, data: bytes) -> dict[str, np.ndarray]:
    """Return the float32 variables of a checkpoint by name.

    Raises:
        InputError: If the index is no table, or does not fit the data.
    """
    if len(index) < _FOOTER or struct.unpack("<Q", index[-8:])[0] != _MAGIC:
        raise InputError("the index is no LevelDB table")
    footer = Reader(index[-_FOOTER:])
    _meta = footer.varint(), footer.varint()
    found = {}
    for _, handle in _block(index, footer.varint(), footer.varint()):
        place = Reader(handle)
        for key, value in _block(index, place.varint(), place.varint()):
            if key and (entry := _entry(value)):
                found[key.decode()] = _values(key.decode(), entry, data)
    return found


def _block(index: bytes, offset: int, size: int) -> Iterator[tuple[bytes, bytes]]:
    """Yield the keys and values of a block; a key lists only how it differs from the last one."""
    if index[offset + size]:
        raise InputError("the index is compressed, expected an uncompressed one")
    (restarts,) = struct.unpack_from("<I", index, offset + size - 4)
    reader = Reader(index[offset : offset + size - 4 * (restarts + 1)])
    key = b""
    while reader:
        shared, rest, length = reader.varint(), reader.varint(), reader.varint()
        key = key[:shared] + reader.take(rest)
        yield key, reader.take(length)


def _fields(message: bytes) -> Iterator[tuple[int, int | bytes]]:
    """Yield the numbers and values of a protocol buffer's fields."""
    reader = Reader(message)
    while reader:
        number, wire = divmod(reader.varint(), 8)
        if wire == 0:
            yield number, reader.varint()
        else:
            yield number, reader.take(4 if wire == 5 else reader.varint())


def _entry(message: bytes) -> Entry | None:
    """Return a BundleEntry, or None if it is not of float32."""
    fields = dict(_fields(message))
    if fields.get(1) != _FLOAT32:
        return None
    dims = (dict(_fields(bytes(size))) for _, size in _fields(bytes(fields.get(2, b""))))
    shape = tuple(int(dim.get(1, 0)) for dim in dims)
    return Entry(shape, int(fields.get(4, 0)), int(fields.get(5, 0)))


def _values(name: str, entry: Entry, data: bytes) -> np.ndarray:
    count = int(np.prod(entry.shape))
    if entry.size != 4 * count or entry.offset + entry.size > len(data):
        raise InputError(f"{name}: {entry} does not fit {len(data)} bytes of data")
    return np.frombuffer(data, "<f4", count, entry.offset).reshape(entry.shape)


def _numbered(kind: str, names: tuple[str, ...]) -> Iterator[tuple[str, str]]:
    """Yield TensorFlow's names of the layers of a kind, with ours."""
    for number, name in enumerate(names):
        yield (f"{kind}_{number}" if number else kind), name


def convert(variables: dict[str, np.ndarray]) -> dict[str, torch.Tensor]:
    """Return the weights of a `Musicnn` with all filters from the variables of its checkpoint.

    Raises:
        InputError: If a variable is missing.
    """
    found: dict[str, np.ndarray] = {}
    try:
        for theirs, ours in _numbered("batch_normalization", _NORMS):
            found |= {f"{ours}.{k}": variables[f"{theirs}/{v}"] for k, v in _OF_A_NORM.items()}
        for theirs, ours in _numbered("dense", _DENSE):
            found[f"{ours}.weight"] = variables[f"{theirs}/kernel"].T
            found[f"{ours}.bias"] = variables[f"{theirs}/bias"]
        for theirs, ours in _numbered("conv2d", _CONVOLUTIONS):
            kernel, bias = variables[f"{theirs}/kernel"], variables[f"{theirs}/bias"]
            if ours.startswith("middle"):  # (frames, width, 1, filters)
                ones = int(ours == "middle.0")  # a channel that the checkpoint does not have
                padded = np.pad(kernel[:, :, 0], ((0, 0), (0, ones), (0, 0)))
                ours = f"{ours}.convolution"
                found[f"{ours}.weight"] = padded.transpose(2, 1, 0)
            else:  # (frames, bands, 1, filters)
                found[f"{ours}.weight"] = kernel.reshape(-1, kernel.shape[-1])
            found[f"{ours}.bias"] = bias
    except KeyError as error:
        raise InputError(f"the checkpoint has no variable {error}") from None
    return {name: torch.from_numpy(array.copy(order="C")) for name, array in found.items()}


def main() -> None:
    """Convert the taggers of a wheel."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("wheel", type=Path, help=WHEEL)
    parser.add_argument("--out", type=Path, default=WEIGHTS, help="folder of the weights")
    options = parser.parse_args()
    if options.wheel.name != WHEEL:
        raise SystemExit(f"{options.wheel}: expected {WHEEL}")
    options.out.mkdir(parents=True, exist_ok=True)
    with zipfile.ZipFile(options.wheel) as wheel:
        for net in NETS:
            index, data = (
                wheel.read(f"musicnn/{net}/{name}") for name in (".index", ".data-00000-of-00001")
            )
            whole = Musicnn(ALL)
            whole.load_state_dict(convert(read_checkpoint(index, data)))
            filters, weights = without_constants(whole)
            print(f"{net}: filters {filters} of {ALL}")
            save_file(weights, options.out / f"{net}.safetensors")
        licence = wheel.read("musicnn-0.1.0.dist-info/LICENSE.md")
        (options.out / "LICENSE.md").write_bytes(licence)


if __name__ == "__main__":
    main()
