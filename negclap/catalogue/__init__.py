"""Catalogues: the windows of millions of tracks in one table, also on an object store.

- `table`: `Catalogue`, a LanceDB table of windows: create, add, search.
- `tracks`: list the tracks of a folder, URL or manifest, and decode them.
- `cluster`: decode and embed on the machines of a Ray cluster.
- `embed`: write tracks into a catalogue, each once.

An `Index` is for the music of one machine: it follows changes of its folder. A catalogue is written
once and added to.
"""

from negclap.catalogue.table import Catalogue, open_searchable

__all__ = ["Catalogue", "open_searchable"]
