"""Search your own music: `Index` finds tracks of a folder by what they are, and are not.

>>> import negclap
>>> from negclap.search import Index
>>> index = Index.create("music.index", "music", "runs/mine")
>>> added = index.update()
>>> sorted(hit.path for hit in index.search("calm piano without drums", top=2))
['a.wav', 'b.wav']
"""

from negclap.search.index import Index
from negclap.search.query import Hit, Query

__all__ = ["Hit", "Index", "Query"]
