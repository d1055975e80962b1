"""The built-in data set: randomly re-orchestrated and rendered Bach chorales with exact tags.

- `scores`: reads the chorales in the `music21` corpus (public domain works; the licence of the
  encodings permits use and redistribution with music21)
- `arrangement`: draws instruments and derives the tags
- `render`: synthesises the audio, with ``TimGM6mb.sf2`` of `pretty_midi` (GPL-2.0)
- `build`: writes the data set
"""

from negclap.data.sources.chorales.build import BuildPlan, build

__all__ = ["BuildPlan", "build"]
