"""Negation metrics: torchmetrics classes on top of pure functions.

- `streaming`: the torchmetrics classes, for any LightningModule.
- `retrieval`: ranks, Recall@K, mAP@K and median rank over random galleries.
- `pairwise`: pairwise accuracy, chain, and the similarity threshold.
- `exclusion`: the query "A without B", choices between two texts, counterfactual twins.
- `scores`: values per track, their mean and bootstrap interval, paired differences.
- `toys`: six toy models that show how each metric can be gamed.

Embeddings have unit length and are scored in float32; ``sim[query, item]`` is their cosine. Scores
that differ by at most `scores.TIE` are tied and share credit. NaN is an error. The functions return
`Scores`, one value per query with its track, from which mean and interval follow.
"""

from negclap.evaluation.metrics.streaming import ClipEmbeddings, NegationRetrieval, PairwiseAccuracy

__all__ = ["ClipEmbeddings", "NegationRetrieval", "PairwiseAccuracy"]
