"""Train the model in the box, but for its negation: a joint space for musicnn and MiniLM.

    python experiments/box/train.py data/box runs/box/untaught

Both encoders are frozen, only the projections are trained. So what musicnn makes of a pool of mixes
is computed once. `negclap teach` does the rest.
"""

import argparse
import json
from concurrent.futures import ProcessPoolExecutor
from dataclasses import asdict, replace
from functools import partial
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

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
from negclap.text.vocabulary import Vocabulary
from negclap.training.optimizer import parameter_groups, warmup_cosine

MIXING = Mixing(most_parts=6)
POOL_S = 6.0
"""Length of the mixes of the pool: two patches."""
EXCERPT_S = 10.0
DIM = 256
EPOCHS = 15
BATCH = 128
RATE = 1e-3
WEIGHT_DECAY = 0.05
NOISE = 0.5
"""Standard deviation of the noise on the normalised outputs of musicnn in training."""
DESCRIPTION = Description(
    {"class_path": "negclap.models.musicnn.MusicnnEncoder", "init_args": {}},
    {"class_path": "negclap.models.text_encoders.TextEncoder", "init_args": {"name": "minilm"}},
    DIM,
    EXCERPT_S,
)


def _caption(track: Track, epoch: int) -> ClipTexts:
    return ClipTexts(track.captions[0].text)


def encode_mix(index: int, dataset: MixDataset) -> tuple[Track, np.ndarray]:
    """Return a mix, and musicnn's outputs of it."""
    global _encoder
    torch.set_num_threads(1)
    _encoder = _encoder or MusicnnEncoder().eval()
    track, waveform = dataset.mix((0, index))
    with torch.inference_mode():
        return track, _encoder.calibrated_values(torch.from_numpy(waveform)[None])[0].numpy()


_encoder: MusicnnEncoder | None = None


def read_pool(folder: Path, path: Path, mixes: int, jobs: int) -> tuple[list[Track], Tensor]:
    """Return the tracks and outputs of a pool of mixes; compute them if the file is missing."""
    if not path.is_file():
        vocabulary = Vocabulary.load(folder / "vocabulary.json")
        excerpts = Excerpts(MUSICNN_MEL.sample_rate, POOL_S, 0)
        mixing = replace(MIXING, mixes=mixes)
        dataset = MixDataset(folder, "train", vocabulary, mixing, excerpts, _caption)
        with ProcessPoolExecutor(jobs) as pool:
            encode = pool.map(partial(encode_mix, dataset=dataset), range(mixes), chunksize=16)
            tracks, outputs = zip(*progress("encoding mixes", mixes, encode), strict=True)
        lines = [json.dumps(asdict(track)) for track in tracks]
        path.parent.mkdir(parents=True, exist_ok=True)
        with path.open("wb") as file:
            np.savez(file, outputs=np.stack(outputs), tracks=np.array(lines))
    found = np.load(path)
    tracks = [parse_line(str(line), str(path)) for line in found["tracks"]]
    return tracks, torch.from_numpy(found["outputs"])


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


def train(tracks: list[Track], outputs: Tensor, vocabulary: Vocabulary) -> NegClap:
    """Train the projections with the contrastive loss; each epoch has other captions."""
    torch.manual_seed(0)
    model = DESCRIPTION.build(load_weights=True)
    encoder = model.audio_encoder
    encoder.fit_statistics(outputs)
    normal = (outputs - encoder.mean) / encoder.scale
    captions = Captions(model.text_encoder)
    optimizer = torch.optim.AdamW(parameter_groups(model, {}, RATE, WEIGHT_DECAY))
    batches = len(tracks) // BATCH
    schedule = warmup_cosine(optimizer, EPOCHS * batches, 0.1)
    for epoch in progress("training", EPOCHS, range(EPOCHS)):
        for rows in torch.randperm(len(tracks))[: batches * BATCH].split(BATCH):
            texts = [caption(tracks[row], vocabulary, epoch) for row in rows.tolist()]
            noisy = normal[rows] + NOISE * torch.randn(BATCH, normal.shape[1])
            audio = F.normalize(model.audio_projection(noisy), dim=1)
            text = F.normalize(model.text_projection(captions(texts)), dim=1)
            keys = torch.tensor([derive_seed(text) for text in texts])
            loss = dense(Pairs(audio, text, audio, text, keys, keys), model.scale)
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


def main() -> None:
    """Encode the pool, train, and write an exported folder."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("data", type=Path, help="folder that negclap prepare stems wrote")
    parser.add_argument("out", type=Path, help="folder to write")
    parser.add_argument("--mixes", type=int, default=6000)
    parser.add_argument("--jobs", type=int, default=2)
    options = parser.parse_args()
    path = options.out.with_name(f"pool-{options.mixes}.npz")
    tracks, outputs = read_pool(options.data, path, options.mixes, options.jobs)
    model = train(tracks, outputs, Vocabulary.load(options.data / "vocabulary.json"))
    trained = TrainedModel(model, DESCRIPTION, {})
    with replacing_folder(options.out) as folder:
        write_exported(trained, folder)


if __name__ == "__main__":
    main()
