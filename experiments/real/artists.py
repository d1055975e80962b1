"""Leave one artist out: what does the built-in model understand of an artist that it never met?

    python experiments/real/artists.py data/built-in runs/built-in/pool-9000.npz --out runs/artists

For each artist of the pool (the folder of a song), the joint space is trained twice on equally many
mixes: on those without a song by the artist, and on any. Both are tested on the mixes of the test
that have songs by this artist alone. Denials are the targets of teaching.

Most mixes join songs of several artists. With ``--tested``, the test is that of another folder that
`negclap prepare stems` wrote: of the stems of this artist alone, say.
"""

import argparse
import random
import sys
from collections.abc import Sequence
from functools import partial
from pathlib import Path

import torch
import torch.nn.functional as F
from torch import Tensor

from negclap.data.manifest import Track
from negclap.data.tracks import read_manifest
from negclap.evaluation.exam import make_exam
from negclap.evaluation.scoring import cached
from negclap.evaluation.suite import Suite
from negclap.models.clap import NegClap
from negclap.storage import write_json
from negclap.text.vocabulary import Vocabulary
from negclap.training.teacher import Target

HERE = Path(__file__).parent
sys.path += [str(HERE.parent / "built_in"), str(HERE.parent / "teach")]
from methods import encode  # noqa: E402  of a neighbouring folder
from teach import oracle_of  # noqa: E402  of a neighbouring folder
from train import Pool, read_pool, train  # noqa: E402  of a neighbouring folder

LEAST = 20
"""Test mixes that an artist needs."""
KEYS = ("audio_ceiling", "true_absence", "exclusion/joint@10", "scope/accuracy")


def artists_of(track: Track) -> set[str]:
    """Return the artists of a mix."""
    return {song.partition("/")[0] for song in track.meta["songs"]}


def part_of(pool: Pool, rows: Sequence[int]) -> Pool:
    """Return some mixes of a pool."""
    return Pool([pool.tracks[row] for row in rows], pool.hidden[[*rows]], pool.pooled[[*rows]])


@torch.inference_mode()
def score(
    model: NegClap, tracks: list[Track], pooled: Tensor, vocabulary: Vocabulary
) -> dict[str, float]:
    """Test a model on mixes, given what musicnn makes of them."""
    encoder = model.audio_encoder
    normal = (pooled - encoder.mean) / encoder.scale
    audio = F.normalize(model.audio_projection(normal), dim=1)
    embed = cached(lambda texts: model.embed_text(model.text_encoder.tokenize(texts)))
    exam = make_exam(tracks, [], vocabulary, 0)
    values = Suite(len(tracks), 1).run(
        exam, audio, audio[:0], oracle_of(Target(), embed, vocabulary)
    )
    return {key: values.values[key] for key in KEYS if key in values.values}


def main() -> None:
    """Train, test, print and write."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("data", type=Path, help="folder that negclap prepare stems wrote")
    parser.add_argument("pool", type=Path, help="pool that experiments/built_in/train.py wrote")
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--tested", type=Path, help="folder that negclap prepare stems wrote")
    options = parser.parse_args()
    tested = options.tested or options.data
    vocabulary = Vocabulary.load(options.data / "vocabulary.json")
    pool = read_pool(options.data, options.pool, 0, 1)
    test = list(read_manifest(tested / "manifest.jsonl").split("test"))
    pooled = torch.from_numpy(encode(tested, test, "pooled"))
    found = {}
    for artist in sorted(set().union(*map(artists_of, test))):
        asked = [row for row, track in enumerate(test) if artists_of(track) == {artist}]
        if len(asked) < LEAST:
            print(f"{artist}: {len(asked)} test mixes of this artist alone, needs {LEAST}")
            continue
        others = [r for r, track in enumerate(pool.tracks) if artist not in artists_of(track)]
        any_of = random.Random(0).sample(range(len(pool.tracks)), len(others))
        tracks = [test[row] for row in asked]
        scored = partial(score, tracks=tracks, pooled=pooled[asked], vocabulary=vocabulary)
        found[artist] = {
            "mixes": {"test": len(asked), "training": len(others)},
            "left out": scored(train(part_of(pool, others), vocabulary)),
            "not left out": scored(train(part_of(pool, any_of), vocabulary)),
        }
        print(artist, found[artist])
    options.out.mkdir(parents=True, exist_ok=True)
    write_json(options.out / "artists.json", found)


if __name__ == "__main__":
    main()
