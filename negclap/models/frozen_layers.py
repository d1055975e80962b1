"""Outputs of a text encoder's frozen layers, computed once for texts that are used many times."""

from collections.abc import Sequence

import torch
from torch import Tensor
from torch.nn.utils.rnn import pad_sequence

from negclap.models.encoder import chunks
from negclap.models.text_encoders import TextEncoder
from negclap.progress import Progress

_TEXTS_AT_ONCE = 64
_TEXTS_PER_PASS = 16


class FrozenOutputs:
    """The outputs of the frozen layers for n texts, in float32 and without padding.

    They take 4 * width bytes per token, on the CPU. The memory is the price for skipping the frozen
    layers, in every epoch.
    """

    def __init__(self, encoder: TextEncoder, texts: Sequence[str], progress: Progress) -> None:
        self.encoder = encoder
        self._outputs: list[Tensor] = [torch.empty(0)] * len(texts)
        by_length = sorted(range(len(texts)), key=lambda row: len(texts[row]))
        parts = list(chunks(by_length, _TEXTS_AT_ONCE))
        for rows in progress("encoding lessons", len(parts), parts):
            self._encode(rows, [texts[row] for row in rows])

    @torch.no_grad()
    def _encode(self, rows: Sequence[int], texts: Sequence[str]) -> None:
        device = next(self.encoder.parameters()).device
        tokens = {name: t.to(device) for name, t in self.encoder.tokenize(texts).items()}
        hidden, lengths = self.encoder.encode_frozen(tokens).cpu(), tokens["attention_mask"].sum(1)
        for row, output, length in zip(rows, hidden, lengths.tolist(), strict=True):
            self._outputs[row] = output[:length].clone()

    def encode(self, rows: Sequence[int]) -> Tensor:
        """Encode b of the texts with the other layers, as the encoder does: ``(b, dim)``.

        Texts of similar length are encoded together, so that there is little padding.
        """
        device = next(self.encoder.parameters()).device
        order = sorted(range(len(rows)), key=lambda place: len(self._outputs[rows[place]]))
        encoded = []
        for places in chunks(order, _TEXTS_PER_PASS):
            outputs = [self._outputs[rows[place]] for place in places]
            lengths = torch.tensor([len(output) for output in outputs])
            mask = torch.arange(int(lengths.max())) < lengths.unsqueeze(1)
            hidden = pad_sequence(outputs, batch_first=True).to(device)
            encoded.append(self.encoder.encode_rest(hidden, mask.long().to(device)))
        return torch.cat(encoded)[torch.tensor(order).argsort().to(device)]
