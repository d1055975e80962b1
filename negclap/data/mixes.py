"""Training mixes of stems as a map-style dataset: pure functions of (seed, epoch, index)."""

import math
from pathlib import Path

from negclap.audio import Waveform
from negclap.data.batch import Clip
from negclap.data.dataset import Excerpts, Items, Key, Texts
from negclap.data.manifest import Track
from negclap.data.stems.mixing import Mixer, Mixing
from negclap.data.stems.prepare import SONGS, about, captions_of
from negclap.data.stems.rendering import render_varied
from negclap.data.stems.songs import FRAME_S, read_songs
from negclap.errors import InputError
from negclap.rng import stream
from negclap.text.vocabulary import Vocabulary


class MixDataset(Items):
    """Mixes of the stems of one split; each epoch has other ones.

    Args:
        folder: Folder that `negclap prepare stems` wrote.
        split: The split.
        vocabulary: Its tags.
        mixing: How mixes are drawn.
        excerpts: Length and sample rate of the mixes, and the seed.
        texts: The texts of a mix.

    Raises:
        InputError: If there are no stems of the split, or none of a kind.
    """

    def __init__(
        self,
        folder: Path,
        split: str,
        vocabulary: Vocabulary,
        mixing: Mixing,
        excerpts: Excerpts,
        texts: Texts,
    ) -> None:
        path = folder / SONGS
        every = read_songs(path)
        songs = tuple(song for song in every if song.split == split)
        if not songs:
            found = sorted({song.split for song in every})
            raise InputError(f"{path}: no song of split {split!r}, expected one of {found}")
        fastest = 2 ** (mixing.semitones / 12)
        frames = math.ceil(excerpts.length_s * fastest / FRAME_S)
        sure = math.floor(excerpts.length_s / fastest / FRAME_S)
        self.folder = folder
        self.split = split
        self.mixing = mixing
        self.excerpts = excerpts
        self.samples = excerpts.samples
        self.texts = texts
        self.mixer = Mixer(songs, vocabulary, frames, sure)
        if unknown := {*mixing.kinds} - {*self.mixer.kinds}:
            raise InputError(
                f"mixing.kinds has {sorted(unknown)}, expected kinds of stems in {path}: "
                + ", ".join(self.mixer.kinds)
            )

    def __len__(self) -> int:
        """Return the number of mixes of an epoch."""
        return self.mixing.mixes

    def __getitem__(self, key: Key) -> Clip:
        """Return the mix of ``(epoch, index)``."""
        track, waveform = self.mix(key)
        return Clip(key[1], track.track_id, waveform, self.texts(track, key[0]))

    def mix(self, key: Key) -> tuple[Track, Waveform]:
        """Return the mix of ``(epoch, index)`` as a track with its claims, and its audio."""
        epoch, index = key
        rng = stream(self.excerpts.seed, epoch, index, "mix")
        parts = self.mixer.draw(self.mixing, rng)
        claims = self.mixer.claims(parts)
        captions = captions_of(claims, self.mixer.vocabulary, rng, 1)
        seconds, rate = self.excerpts.length_s, self.excerpts.sample_rate
        waveform = render_varied(parts, self.folder, seconds, rate, self.mixing, rng)
        name = f"mix-{index:06d}"
        meta = about(parts)
        return Track(name, name, 0.0, seconds, captions, *claims, self.split, meta), waveform
