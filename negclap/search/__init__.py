"""Search a music folder by text, with exclusions, or by example.

- `index`: `Index`, a searchable folder: create, update, search.
- `searchable`: what an index and a `Catalogue` share.
- `query`: `Query` and `Hit`: what is searched for, and what is found.
- `explain`: the tags of a hit, with probabilities.
- `embed`: embed audio files window by window.
- `store`: the SQLite file with tracks, windows and embeddings.
- `fingerprint`: recognise an encoder by its embeddings.
- `typical`: typical query texts, to tune the approximate search.
- `vectors`: the embedding matrix of all windows, searched exactly or approximately (FAISS).

>>> import negclap
>>> from negclap.search import Index
>>> index = Index.create("music.index", "music", "runs/mine")
>>> update = index.update()
>>> sorted(hit.path for hit in index.search("calm piano without drums", top=2))
['a.wav', 'b.wav']
"""

from negclap.search.index import Index
from negclap.search.query import Hit, Query
from negclap.search.searchable import Searchable

__all__ = ["Hit", "Index", "Query", "Searchable"]
