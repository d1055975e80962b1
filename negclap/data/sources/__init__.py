"""Sources: one module per data set format; `chorales` renders the built-in set."""
