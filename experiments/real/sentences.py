"""Captions of several sentences, as a language model writes them from tags (LP-MusicCaps)."""

import random
from collections.abc import Sequence

_FRAMES = (
    "This piece features {}.",
    "The song opens with {} and keeps a steady pace.",
    "It is built around {}, which carry the arrangement from beginning to end.",
    "Listeners will notice {} in the foreground.",
    "There is {} throughout the recording.",
    "A track with {} that invites the listener to stay.",
    "The arrangement relies on {}, played with confidence.",
    "Underneath, {} add depth to the sound.",
    "We can also make out {} in the mix.",
    "It blends {} into one coherent sound.",
    "The sound of {} gives the composition its character.",
    "What stands out is the use of {}.",
)
_FILLERS = (
    "The overall mood is engaging and would suit a film about everyday life.",
    "The recording has a warm quality.",
    "It could be played on a long drive or at home in the evening.",
    "The structure is simple, but it holds the attention.",
    "The production is clean and well balanced.",
    "The tempo and the dynamics change little over time.",
    "It evokes memories of travels and of people met on the way.",
    "The atmosphere is inviting, and the melody is easy to remember.",
    "This could be the soundtrack of a documentary.",
    "The rhythm is regular and easy to follow.",
)


def sentences(tags: Sequence[str], rng: random.Random) -> str:
    """Return a caption of two to five sentences that mentions up to four of the tags."""
    chosen = rng.sample(list(tags), min(len(tags), rng.randint(1, 4)))
    texts = [rng.choice(_FILLERS)]
    frames = rng.sample(_FRAMES, len(_FRAMES))
    while chosen:
        size = min(len(chosen), rng.randint(1, 2))
        texts.append(frames.pop().format(" and ".join(chosen[:size])))
        chosen = chosen[size:]
    if rng.random() < 0.5:
        texts.append(rng.choice([one for one in _FILLERS if one not in texts]))
    rng.shuffle(texts)
    return " ".join(texts)
