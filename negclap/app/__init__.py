"""``negclap app``: a page to search in, in a browser on this machine."""
