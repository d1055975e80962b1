"""Calibrate tags: curves that turn cosines into probabilities (Platt scaling)."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import minimize

from negclap.data.manifest import Track
from negclap.models.encoder import Curves

_LEAST = 10
"""Clips that have a tag, and that lack it, without which it has no curve."""


def calibrate(cosines: NDArray[np.float32], tags: Sequence[str], tracks: Sequence[Track]) -> Curves:
    """Return the curves of tags.

    Args:
        cosines: ``(clips, tags)`` of each clip with the name of each tag.
        tags: Names of the tags. Those with less than 10 clips that have them, or that lack them,
            are left out.
        tracks: The clips.
    """
    curves = {}
    for tag, column in zip(tags, cosines.T, strict=True):
        present = np.array([tag in track.tags for track in tracks])
        absent = np.array([tag in (track.absent_tags or ()) for track in tracks])
        if min(present.sum(), absent.sum()) >= _LEAST:
            known = present | absent
            curves[tag] = fit_curve(column[known], present[known])
    return curves


def fit_curve(cosines: NDArray[np.float32], present: NDArray[np.bool_]) -> tuple[float, float]:
    """Return slope and intercept of a tag's curve.

    Clips that have the tag, and those that lack it, count as much, whatever their numbers. Targets
    are smoothed as in Platt (1999), so that separable clips have no infinite slope.

    Args:
        cosines: ``(n,)``
        present: ``(n,)``, whether the clip has the tag; not all the same.
    """
    rows = present.astype(int)
    counts = np.array([(~present).sum(), present.sum()])
    target = np.array([1 / (counts[0] + 2), (counts[1] + 1) / (counts[1] + 2)])[rows]
    weight = (1 / (2 * counts))[rows]
    center, scale = float(cosines.mean()), float(cosines.std()) + 1e-9
    normal = (cosines - center) / scale

    def loss(curve: NDArray[np.float64]) -> float:
        logit = curve[0] * normal + curve[1]
        cross_entropy = weight * (np.logaddexp(0, logit) - target * logit)
        return float(cross_entropy.sum())

    slope, intercept = minimize(loss, np.zeros(2)).x / np.array([scale, 1.0])
    return float(slope), float(intercept - slope * center)
