"""Evaluate how well a model understands negation.

- `exam`: the questions about a split: probes, choices, exclusion queries, twins.
- `metrics`: torchmetrics classes for any LightningModule, and the functions below them.
- `scoring`: score each part of an exam.
- `suite`: all metrics of a model on an exam, with chance and oracle.
- `benchmark`: the suite for any model with two encoders.
- `baselines`: handle negation without training, on top of any text encoder.
- `results`: write and read the results of a run.
- `comparison`: compare runs: means over seeds, paired differences.
- `plots`: plots of comparisons, models and sweeps.
- `mining`: negations in human-written captions.
"""
