"""Train the built-in model, but for its negation: a joint space for musicnn and MiniLM.

    python experiments/built_in/train.py data/built-in runs/built-in/untaught

Both encoders are frozen, only the projections are trained. So what musicnn makes of a pool of mixes
is computed once. `negclap teach` does the rest.
"""

import argparse
import json
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from dataclasses import asdict, replace
from functools import cache
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
import torch.nn.functional as F
from pseudo_labels import pseudo_labels, tags_of_heads
from torch import Tensor, nn

from negclap.data.batch import ClipTexts
from negclap.data.dataset import Excerpts
from negclap.data.manifest import Track, parse_line
from negclap.data.mixes import MixDataset
from negclap.data.stems.mixing import Claims, Mixing
from negclap.data.stems.prepare import captions_of
from negclap.losses.contrastive import Pairs, dense
from negclap.models.checkpoint import TrainedModel
from negclap.models.clap import NegClap
from negclap.models.description import Description
from negclap.models.exported import write_exported
from negclap.models.musicnn import MUSICNN_MEL, MusicnnEncoder
from negclap.models.output import replacing_folder
from negclap.models.text_encoders import TextEncoder
from negclap.progress import progress
from negclap.rng import derive_seed, stream
from negclap.text.rewrite import NEUTRAL
from negclap.text.vocabulary import Vocabulary, music_vocabulary
from negclap.training.optimizer import parameter_groups, warmup_cosine
from negclap.training.teacher import Target

MIXING = Mixing(most_parts=6)
BAND = ("drums", "bass guitar", "acoustic guitar", "electric guitar", "distorted guitar", "vocals",
        "piano")  # fmt: skip
BAND_EVERY = 3
"""Every third mix has only kinds of `BAND`, which most songs are played with."""
POOL_S = 6.0
"""Length of the mixes of the pool: two patches."""
EXCERPT_S = 10.0
DIM = 256
EPOCHS = 15
BATCH = 128
RATE = 1e-3
WEIGHT_DECAY = 0.05
CAPTIONS = 5
"""Captions of each mix; epochs take turns."""
NOISE = 0.7
"""Standard deviation of the noise on the normalised outputs of musicnn in training."""
FORMS = ("{}", "a song with {}", "music with {}", "{} music")
PSEUDO_WEIGHT = 0.3
"""Of tags that musicnn's taggers tell, relative to those of stems."""
DENIED_OF_PRESENT, DENIED_OF_ABSENT, DENIAL_WEIGHT = -0.25, 0.1, 20.0
"""Cosines of denials with clips that have and that lack the tag; weight of their squared error."""
DESCRIPTION = Description(
    {"class_path": "negclap.models.musicnn.MusicnnEncoder", "init_args": {"layer": "pooled"}},
    {"class_path": "negclap.models.text_encoders.TextEncoder", "init_args": {"name": "minilm"}},
    DIM,
    EXCERPT_S,
    "mlp",
)


def _caption(track: Track, epoch: int) -> ClipTexts:
    return ClipTexts(track.captions[0].text)


class Pool(NamedTuple):
    """Mixes, and two layers of musicnn's taggers of each.

    Attributes:
        tracks: The mixes.
        hidden: ``(mixes, 400)``; tells genres and moods.
        pooled: ``(mixes, 1538)``; what the model reads.
    """

    tracks: list[Track]
    hidden: Tensor
    pooled: Tensor


@cache
def taggers() -> MusicnnEncoder:
    """Return the taggers, once in each worker process."""
    torch.set_num_threads(1)
    return MusicnnEncoder().eval()


def encode_mix(index: int, dataset: MixDataset) -> tuple[Track, np.ndarray, np.ndarray]:
    """Return a mix, and both layers of it, each the mean of its patches."""
    track, waveform = dataset.mix((0, index))
    encoder = taggers()
    with torch.inference_mode():
        patches = encoder.cut(encoder.log_mel(torch.from_numpy(waveform)[None]))[0]
        pooled = [net.pool(patches) for net in encoder.nets]
        hidden = [net.head(one) for net, one in zip(encoder.nets, pooled, strict=True)]
        both = [torch.cat(each, dim=1).mean(dim=0).numpy() for each in (hidden, pooled)]
    return track, both[0], both[1]


def read_pool(folder: Path, path: Path, mixes: int, jobs: int) -> Pool:
    """Return a pool of mixes; draw and encode them if the file is missing."""
    if not path.is_file():
        vocabulary = Vocabulary.load(folder / "vocabulary.json")
        excerpts = Excerpts(MUSICNN_MEL.sample_rate, POOL_S, 0)
        mixing = replace(MIXING, mixes=mixes)
        every = MixDataset(folder, "train", vocabulary, mixing, excerpts, _caption)
        some = replace(mixing, kinds=tuple(kind for kind in every.mixer.kinds if kind in BAND))
        band = MixDataset(folder, "train", vocabulary, some, excerpts, _caption)
        chosen = [band if index % BAND_EVERY == 0 else every for index in range(mixes)]
        with ProcessPoolExecutor(jobs) as pool:
            encode = pool.map(encode_mix, range(mixes), chosen, chunksize=16)
            tracks, *layers = zip(*progress("encoding mixes", mixes, encode), strict=True)
        lines = [json.dumps(asdict(track)) for track in tracks]
        path.parent.mkdir(parents=True, exist_ok=True)
        hidden, pooled = (np.stack(layer).astype(np.float16) for layer in layers)
        with path.open("wb") as file:
            np.savez(file, hidden=hidden, pooled=pooled, tracks=np.array(lines))
    found = np.load(path)
    tracks = [parse_line(str(line), str(path)) for line in found["tracks"]]
    return Pool(tracks, *(torch.from_numpy(found[key]).float() for key in ("hidden", "pooled")))


class Captions:
    """Frozen embeddings of captions, each computed once."""

    def __init__(self, encoder: TextEncoder) -> None:
        self.encoder = encoder.requires_grad_(False).eval()
        self.known: dict[str, Tensor] = {}

    @torch.no_grad()
    def __call__(self, texts: list[str]) -> Tensor:
        """Encode n texts to ``(n, dim)``."""
        if missing := [text for text in dict.fromkeys(texts) if text not in self.known]:
            encoded = self.encoder(self.encoder.tokenize(missing))
            self.known |= dict(zip(missing, encoded, strict=True))
        return torch.stack([self.known[text] for text in texts])


class Labels:
    """Which tags the tracks of a pool have (1), lack (-1), or may have (0).

    Attributes:
        tags: The tags that some track has, and some track lacks: those of stems, then others.
        of_stems: Number of the former.
        signs: ``(tracks, tags)``
        weights: ``(tracks, tags)``; of each tag, tracks that have it and those that lack it weigh
            the same.
        counts: ``(tracks, 1)``, the number of tags that a track has.

    Args:
        tracks: The tracks.
        vocabulary: The tags of their stems.
        pseudo: Signs ``(tracks,)`` of other tags, which weigh less.
    """

    def __init__(
        self, tracks: list[Track], vocabulary: Vocabulary, pseudo: dict[str, Tensor]
    ) -> None:
        rows = [
            [(tag in track.tags) - float(tag in (track.absent_tags or ())) for track in tracks]
            for tag in vocabulary.names
        ]
        signs = torch.tensor(rows).T
        known = (signs > 0).any(dim=0) & (signs < 0).any(dim=0)
        self.tags = [tag for tag, one in zip(vocabulary.names, known.tolist(), strict=True) if one]
        self.of_stems = len(self.tags)
        self.tags += pseudo
        self.signs = torch.cat([signs[:, known], *(one[:, None] for one in pseudo.values())], dim=1)
        share = (self.signs > 0).float().mean(dim=0), (self.signs < 0).float().mean(dim=0)
        self.weights = (self.signs > 0) / share[0] + (self.signs < 0) / share[1]
        self.weights[:, self.of_stems :] *= PSEUDO_WEIGHT
        self.counts = (signs > 0).float().sum(dim=1, keepdim=True)


class TagTerm(nn.Module):
    """The part of the loss that compares clips: which of them have a tag, and which lack it.

    Captions alone teach which tags a clip has. A search asks which clips have a tag, so cosines
    must be comparable between clips, also for denials, and must not depend on how many parts a
    clip has: "no drums" is no "few sounds".

    Args:
        labels: Of the pool.
        embed: Embeds texts with the untrained part of the text encoder, ``(n, width)``.
    """

    def __init__(self, labels: Labels, embed: Callable[[list[str]], Tensor]) -> None:
        super().__init__()
        self.labels = labels
        self.names = [embed([form.format(tag) for tag in labels.tags]) for form in FORMS]
        self.neutral = embed([NEUTRAL])
        self.scale = nn.Parameter(torch.tensor(2.5))  # logarithmic
        self.bias = nn.Parameter(torch.zeros(()))
        self.target = Target()

    def forward(self, model: NegClap, audio: Tensor, rows: Tensor, epoch: int) -> Tensor:
        """Return the loss of ``audio``, ``(batch, dim)``, the ``rows`` of the pool."""
        signs, weights = self.labels.signs[rows], self.labels.weights[rows]
        names = [F.normalize(model.text_projection(one), dim=1) for one in self.names]
        neutral = F.normalize(model.text_projection(self.neutral), dim=1)
        # Which tags: one threshold for all of them.
        logits = self.scale.exp() * audio @ names[epoch % len(FORMS)].T + self.bias
        errors = F.binary_cross_entropy_with_logits(logits, (signs > 0).float(), reduction="none")
        # What denials will be after teaching: "music", moved away from the tag.
        tag = F.normalize(torch.stack(names).mean(dim=0), dim=1)
        denied = self.target(neutral.expand_as(tag), tag, torch.ones(len(tag)))
        scores = audio @ denied.T
        squares = (scores - torch.where(signs > 0, DENIED_OF_PRESENT, DENIED_OF_ABSENT)).square()
        loss = (weights * (errors + DENIAL_WEIGHT * squares)).mean() / 2
        stems = slice(self.labels.of_stems)
        counts = self.labels.counts[rows]
        return loss + self._dependence(scores[:, stems], signs[:, stems] < 0, counts)

    def _dependence(self, scores: Tensor, absent: Tensor, counts: Tensor) -> Tensor:
        """Return the squared correlation of denials with counts, over clips that lack the tag."""
        centred = [
            (x - (x * absent).sum(0) / absent.sum(0).clamp(min=1)) * absent
            for x in (scores, counts)
        ]
        variances = [x.square().sum(dim=0) for x in centred]
        product = (centred[0] * centred[1]).sum(dim=0)
        correlation = product * torch.rsqrt(variances[0] * variances[1] + 1e-9)
        return correlation.square().mean()


def train(pool: Pool, vocabulary: Vocabulary) -> NegClap:
    """Train the projections, with captions that differ between epochs and with tags."""
    torch.manual_seed(0)
    model = DESCRIPTION.build(load_weights=True)
    encoder = model.audio_encoder
    encoder.fit_statistics(pool.pooled)
    normal = (pool.pooled - encoder.mean) / encoder.scale
    tracks = pool.tracks
    captions = Captions(model.text_encoder)
    term = TagTerm(Labels(tracks, vocabulary, pseudo_labels(pool.hidden)), captions)
    groups = parameter_groups(model, {}, RATE, WEIGHT_DECAY)
    groups.append({"params": [*term.parameters()], "lr": 10 * RATE, "weight_decay": 0.0})
    optimizer = torch.optim.AdamW(groups)
    batches = len(tracks) // BATCH
    schedule = warmup_cosine(optimizer, EPOCHS * batches, 0.1)
    for epoch in progress("training", EPOCHS, range(EPOCHS)):
        for rows in torch.randperm(len(tracks))[: batches * BATCH].split(BATCH):
            texts = [caption(tracks[row], vocabulary, epoch % CAPTIONS) for row in rows.tolist()]
            noisy = normal[rows] + NOISE * torch.randn(BATCH, normal.shape[1])
            audio = F.normalize(model.audio_projection(noisy), dim=1)
            text = F.normalize(model.text_projection(captions(texts)), dim=1)
            keys = torch.tensor([derive_seed(text) for text in texts])
            loss = dense(Pairs(audio, text, audio, text, keys, keys), model.scale)
            loss = loss + term(model, audio, rows, epoch)
            optimizer.zero_grad()
            loss.backward()
            torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
            optimizer.step()
            schedule.step()
            model.clamp_scale()
    return model.eval()


def caption(track: Track, vocabulary: Vocabulary, epoch: int) -> str:
    """Return a caption of a mix."""
    claims = Claims(track.tags, track.absent_tags or ())
    rng = stream(epoch, track.track_id, "caption")
    return captions_of(claims, vocabulary, rng, 1)[0].text


def words_to_teach(vocabulary: Vocabulary) -> Vocabulary:
    """Return the tags of the stems, and those that the taggers tell: what the model can recognise.

    Lessons about all of music are mostly about what it cannot recognise, and its text encoder
    learns the others less well.
    """
    everything = music_vocabulary()
    names = {*vocabulary.names, *tags_of_heads()}
    known = [everything[name] for name in everything.names if name in names]
    own = [vocabulary[name] for name in vocabulary.names if name not in everything]
    tags = [
        replace(tag, broader=tuple(name for name in tag.broader if name in names))
        for tag in (*known, *own)
    ]
    return Vocabulary(tuple(tags), vocabulary.exclusive)


def main() -> None:
    """Encode the pool, train, and write an exported folder and the vocabulary to teach."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("data", type=Path, help="folder that negclap prepare stems wrote")
    parser.add_argument("out", type=Path, help="folder to write")
    parser.add_argument("--mixes", type=int, default=16000)
    parser.add_argument("--jobs", type=int, default=2)
    options = parser.parse_args()
    path = options.out.with_name(f"pool-{options.mixes}.npz")
    pool = read_pool(options.data, path, options.mixes, options.jobs)
    vocabulary = Vocabulary.load(options.data / "vocabulary.json")
    model = train(pool, vocabulary)
    trained = TrainedModel(model, DESCRIPTION, {})
    with replacing_folder(options.out) as folder:
        write_exported(trained, folder)
    words_to_teach(vocabulary).save(options.out.with_name("vocabulary.json"))


if __name__ == "__main__":
    main()
