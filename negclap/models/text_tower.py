"""The text half of a finished model, whatever library the model is of."""

import copy
from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from negclap.errors import InputError
from negclap.models.clap import NegClap
from negclap.models.encoder import TEXT_BATCH_SIZE, Encoder, NegClapEncoder, chunks
from negclap.models.pretrained import ClapEncoder, LaionEncoder
from negclap.models.text_encoders import TextEncoder

LAION_TEXT = "roberta-base"
"""Folder or hub name of LAION-CLAP's text model, for its configuration and tokenizer."""
_LAION_TOKENS = 77


class TextTower(nn.Module):
    """A text encoder and its projection into the joint space."""

    def __init__(self, encoder: TextEncoder, projection: nn.Module) -> None:
        super().__init__()
        self.encoder = encoder
        self.projection = projection

    def forward(self, tokens: dict[str, Tensor]) -> Tensor:
        """Embed n tokenized texts to ``(n, dim)`` float32, unit length."""
        return self.project(self.encoder(tokens))

    def project(self, encoded: Tensor) -> Tensor:
        """Map outputs of the encoder to ``(n, dim)`` float32, unit length."""
        return F.normalize(self.projection(encoded).float(), dim=-1)

    @torch.no_grad()
    def embed(self, texts: Sequence[str]) -> Tensor:
        """Embed texts to ``(n, dim)`` float32, unit length."""
        device = next(self.parameters()).device
        parts = []
        for chunk in chunks(texts, TEXT_BATCH_SIZE):
            tokens = self.encoder.tokenize(chunk)
            parts.append(self({name: tensor.to(device) for name, tensor in tokens.items()}))
        return torch.cat(parts)


def text_tower(model: NegClap) -> TextTower:
    """Return the text half of a model, which shares its weights."""
    return TextTower(model.text_encoder, model.text_projection)


def copy_text_tower(model: Encoder, source: str) -> TextTower:
    """Return a copy of the text half of a loaded model, in evaluation mode.

    ``source`` names the model in messages.

    Raises:
        InputError: If the model is none whose text encoder can be trained.
    """
    match model:
        case NegClapEncoder():
            return copy.deepcopy(text_tower(model.model)).eval()
        case ClapEncoder():
            folder, longest = str(model.folder), model.max_tokens
            encoder = TextEncoder(folder, pooling="pooler", max_tokens=longest)
            projection = copy.deepcopy(model.model.text_projection)
        case LaionEncoder():
            theirs = model.module.model
            encoder = TextEncoder(
                LAION_TEXT, pooling="pooler", max_tokens=_LAION_TOKENS, load_weights=False
            )
            encoder.model.load_state_dict(theirs.text_branch.state_dict())
            projection = copy.deepcopy(theirs.text_projection)
        case _:
            raise InputError(
                f"{source}: the text encoder of this model cannot be trained; expected a run, an "
                "exported folder, a ClapModel or a LAION-CLAP checkpoint"
            )
    return TextTower(encoder, projection).eval()
