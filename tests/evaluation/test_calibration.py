"""Curves that turn cosines into probabilities."""

import numpy as np

from negclap.data.manifest import Track
from negclap.evaluation.calibration import calibrate, fit_curve


def probabilities(curve, cosines):
    return 1 / (1 + np.exp(-curve[0] * cosines - curve[1]))


def test_a_curve_is_recovered_from_its_probabilities():
    rng = np.random.default_rng(0)
    cosines = rng.uniform(-0.2, 0.6, 20_000).astype(np.float32)
    present = rng.random(20_000) < probabilities((25.0, -5.0), cosines)
    # Both kinds of clips weigh the same: the intercept moves by the log odds of their numbers.
    odds = np.log(present.sum() / (~present).sum())
    slope, intercept = fit_curve(cosines, present)
    np.testing.assert_allclose((slope, intercept), (25.0, -5.0 - odds), rtol=0.05)


def test_probabilities_do_not_depend_on_the_number_of_clips():
    rng = np.random.default_rng(1)
    present, absent = rng.normal(0.4, 0.1, 500), rng.normal(0.0, 0.1, 500)
    few = fit_curve(np.r_[present, absent[:50]], np.arange(550) < 500)
    many = fit_curve(np.r_[present, absent], np.arange(1000) < 500)
    middle = np.array([0.1, 0.2, 0.3])
    np.testing.assert_allclose(probabilities(few, middle), probabilities(many, middle), atol=0.1)


def test_separable_clips_have_a_finite_slope():
    cosines = np.array([0.0] * 10 + [1.0] * 10, np.float32)
    slope, intercept = fit_curve(cosines, np.arange(20) >= 10)
    assert 0 < slope < 50
    np.testing.assert_allclose(probabilities((slope, intercept), 0.5), 0.5, atol=1e-3)


def clip(number, tags, absent):
    return Track(f"c{number}", "x.wav", 0.0, 1.0, (), tags, absent, "validation")


def test_tags_of_too_few_clips_have_no_curve():
    known = [clip(i, ("drums",) if i % 2 else (), () if i % 2 else ("drums",)) for i in range(20)]
    unknown = [clip(20 + i, (), None) for i in range(5)]
    tracks = [*known, *unknown]
    cosines = np.array([[i % 2, 0.0] for i in range(25)], np.float32)
    curves = calibrate(cosines, ["drums", "flute"], tracks)
    assert list(curves) == ["drums"]
    np.testing.assert_array_equal(curves["drums"], fit_curve(cosines[:20, 0], cosines[:20, 0] > 0))
    assert calibrate(cosines[:18, :1], ["drums"], tracks[:18]) == {}
