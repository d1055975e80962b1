"""Evaluation: the exam, the metrics, the suite, baselines without training, results, plots."""
