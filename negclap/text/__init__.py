"""Text engine: tags, cues, negation. Pure Python, no torch."""
