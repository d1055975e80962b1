import time
from types import SimpleNamespace

import pytest

from negclap.training.callbacks import DataWait, HealthCheck

HEALTHY = {"val/mean_cosine": 0.1, "val/pairwise/original_vs_fully": 0.9, "val/map@10/mean": 0.3}


@pytest.mark.parametrize(
    ("metrics", "scale", "expected"),
    [
        ({}, 100.0, "the scale (inverse temperature) is at its maximum, 100.0"),
        ({"val/mean_cosine": 0.99}, 14.0, "audio embeddings have collapsed"),
        ({"val/pairwise/original_vs_fully": 0.5}, 14.0, "hardly distinguishes"),
        ({"val/map@10/mean": 0.1}, 14.0, "dropped from 0.300 to 0.100"),
    ],
)
def test_each_failure_is_one_message(metrics, scale, expected):
    health = HealthCheck(warmup_epochs=3)
    assert health.check(HEALTHY, 14.0, 4, negates=True) == []
    (message,) = health.check(HEALTHY | metrics, scale, 5, negates=True)
    assert expected in message
    assert "\n" not in message


def test_discrimination_is_checked_after_warm_up_if_training_negates():
    poor = HEALTHY | {"val/pairwise/original_vs_fully": 0.5}
    assert HealthCheck(warmup_epochs=3).check(poor, 14.0, 2, negates=True) == []
    assert HealthCheck(warmup_epochs=3).check(poor, 14.0, 9, negates=False) == []


def test_best_value_is_in_the_checkpoint():
    health, resumed = HealthCheck(), HealthCheck()
    health.check(HEALTHY, 14.0, 0, negates=True)
    resumed.load_state_dict(health.state_dict())
    assert resumed.check(HEALTHY | {"val/map@10/mean": 0.1}, 14.0, 1, negates=True)


def test_data_wait_is_a_fraction_of_the_time(monkeypatch):
    clock = iter([0.0, 3.0, 4.0, 7.0])  # a step of 3 s, a wait of 1 s, a step
    monkeypatch.setattr(time, "perf_counter", lambda: next(clock))
    logged = {}
    module = SimpleNamespace(log=lambda name, value, **_: logged.update({name: value}))
    wait = DataWait()
    wait.on_train_epoch_start(None, module)
    wait.on_train_batch_start(None, module, None, 0)
    assert not logged
    wait.on_train_batch_end(None, module, None, None, 0)
    wait.on_train_batch_start(None, module, None, 1)
    assert logged == {"train/data_wait": 0.25}
