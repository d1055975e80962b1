"""One file per source: what its data set comes with, read into entries (or, built in, made)."""
