"""negclap: music audio-text models that understand negation."""

__version__ = "0.1.0"
