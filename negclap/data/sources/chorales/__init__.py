"""The built-in set: Bach chorales, re-orchestrated at random and rendered, every tag exactly known.

Offline and deterministic. The scores are the four-part chorales of the `music21` corpus (public
domain works; the encodings' licence permits use and redistribution with music21), the instruments
come from ``TimGM6mb.sf2`` of `pretty_midi` (GPL-2.0), the renderer is `midirenderer`. Scores and
audio are built on the user's machine.

`scores` reads the chorales, `arrangement` draws instruments and says which tags hold, `captions`
writes the texts, `render` makes the audio, `build` puts the set on disk.
"""

from negclap.data.sources.chorales.build import BuildPlan, build

__all__ = ["BuildPlan", "build"]
