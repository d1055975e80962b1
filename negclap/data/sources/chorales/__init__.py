"""The built-in data set: randomly re-orchestrated and rendered Bach chorales with exact tags.

It is built offline and deterministically on the user's machine. The scores are the four-part
chorales in the `music21` corpus (public domain works; the licence of the encodings permits use and
redistribution with music21). The instruments come from ``TimGM6mb.sf2`` of `pretty_midi` (GPL-2.0),
and the renderer is `midirenderer`.

`scores` reads the chorales, `arrangement` draws instruments and derives the tags, `render`
synthesises the audio, and `build` writes the data set.
"""

from negclap.data.sources.chorales.build import BuildPlan, build

__all__ = ["BuildPlan", "build"]
