"""Tags that no stem tells (genres, moods, tempo), as far as musicnn's taggers are sure of them.

They teach, and no test uses them: a tagger's opinion is no truth.
"""

from pathlib import Path

import torch
import yaml
from torch import Tensor

from negclap.models.musicnn import NETS, load_musicnn

HEADS = Path(__file__).with_name("heads.yaml")
SURE_YES, SURE_NO = 0.15, 0.02
"""Probabilities from which on, and up to which, an output counts."""
LEAST = 30
"""Clips with and without a tag that it needs."""


def tags_of_heads() -> list[str]:
    """Return the tags of heads.yaml."""
    return list(yaml.safe_load(HEADS.read_text(encoding="utf-8"))["tags"])


@torch.no_grad()
def pseudo_labels(outputs: Tensor) -> dict[str, Tensor]:
    """Return for each tag of heads.yaml whether clips have it (1), lack it (-1), or may have it.

    A clip has a tag if one of the tag's outputs is sure of it, and lacks it if all are sure of
    that. Tags that too few clips have, or lack, are left out.

    Args:
        outputs: ``(clips, 400)``, the penultimate layers of both taggers.
    """
    heads = yaml.safe_load(HEADS.read_text(encoding="utf-8"))
    probable = {}
    for net, own in zip(NETS, outputs.chunk(len(NETS), dim=1), strict=True):
        columns = load_musicnn(net).tags(own).sigmoid().unbind(dim=1)
        names = heads["outputs"][net]
        probable |= {(net, name): one for name, one in zip(names, columns, strict=True)}
    labels = {}
    for tag, names in heads["tags"].items():
        several = [probable[net, name] for net, own in names.items() for name in own]
        highest = torch.stack(several).amax(dim=0)
        signs = (highest >= SURE_YES).float() - (highest <= SURE_NO).float()
        if min((signs > 0).sum(), (signs < 0).sum()) >= LEAST:
            labels[tag] = signs
    return labels
