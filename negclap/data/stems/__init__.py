"""Stems: music as separate recordings, from which mixes with known contents are made.

- `songs`: songs and their stems, as `negclap prepare stems` writes them.
- `names`: which tags the name of a stem stands for.
- `layouts`: readers of multitrack sets.
- `mixing`: draws a mix, and what texts may claim about it.
- `rendering`: computes the audio of a mix.
- `prepare`: writes a set of songs, and the mixes for validation and test.
"""
