"""The model card of a taught model: what was taught, from which words, and the limits."""

from collections.abc import Mapping
from typing import Any

_CARD = """\
---
library_name: negclap
tags: [music, clap, audio-text, negation]
---
# {name}

`{teacher}` with a text encoder that was taught negation ("rock without vocals") by negclap, from
text alone. The audio encoder is unchanged: audio that `{teacher}` embedded stays valid.

## What was taught

- Words: {words}.
- {lessons:,} texts, {epochs} times, batch size {batch_size}, seed {seed}; trained: {trained}.
- A text that denies nothing keeps its embedding. A text that denies has the target `{form}` with
  weight {weight:g}: the embedding of what it affirms, moved away from that of what it denies.
- Denials by {cues} of negclap's inventory; never trained on: {held_out}.

## Validation, on texts alone

| score | value |
|---|---|
{scores}

`agreement` is the mean cosine of texts and their targets; `unseen` has ways to deny that were not
trained on, `affirmed` texts that deny nothing. None of it is measured on music: use
`negclap benchmark`.

## Limits

- The model can deny what its audio encoder can recognise, and nothing else.
- English. Wordings unlike the trained ones may be read as if they affirmed.
- The licence of `{teacher}` holds for this model. negclap's vocabulary and wordings are Apache-2.0.
"""


def taught_card(name: str, settings: Mapping[str, Any], scores: Mapping[str, float]) -> str:
    """Return the card as Markdown, from the configuration of the teaching and its validation."""
    model, data = settings["model"], settings["data"]
    return _CARD.format(
        name=name,
        teacher=model["teacher"],
        words=_words(data),
        lessons=data["lessons"],
        epochs=settings["trainer"]["max_epochs"],
        batch_size=data["batch_size"],
        seed=settings["seed_everything"],
        trained=_trained(model),
        form=model["target"]["form"],
        weight=model["target"]["weight"],
        cues={"all": "all families", "many": "many cues", "seen": "the seen cues"}[data["words"]],
        held_out=", ".join((*data["held_out"], *data["unseen"])) or "none",
        scores="\n".join(f"| `{key}` | {value:.3f} |" for key, value in scores.items()),
    )


def _words(data: Mapping[str, Any]) -> str:
    tags = f"`{data['vocabulary']}`" if data["vocabulary"] else ""
    captions = f"`{data['captions']}`" if data["captions"] else ""
    return " and ".join(filter(None, (tags, captions))) or "negclap's general music vocabulary"


def _trained(model: Mapping[str, Any]) -> str:
    student = "another text encoder, " if model["text_encoder"] else ""
    if model["lora"]:
        return f"{student}low-rank adapters and the projection"
    layers = model["trained_layers"]
    which = "all layers" if layers is None else f"at most {layers} upper layers"
    return f"{student}{which} and the projection"
