"""Negation metrics: a functional core and torchmetrics classes over it.

Conventions: embeddings are unit length and scored in float32; ``sim[query, item]`` is their cosine;
scores that differ by at most `TIE` are tied and share credit; NaN is an error. Items are kept by
id, so that one that a sampler repeats counts once.
"""
