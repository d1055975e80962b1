"""One file per source: source to manifest."""
