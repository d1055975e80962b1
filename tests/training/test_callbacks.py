import time
from types import SimpleNamespace

import pytest

from negclap.training.callbacks import DataWait, FailureSigns

HEALTHY = {"val/mean_cosine": 0.1, "val/pairwise/original_vs_fully": 0.9, "val/map@10/mean": 0.3}


@pytest.mark.parametrize(
    ("figures", "scale", "sign"),
    [
        ({}, 100.0, "temperature is at its clamp"),
        ({"val/mean_cosine": 0.99}, 14.0, "collapse"),
        ({"val/pairwise/original_vs_fully": 0.5}, 14.0, "hardly told apart"),
        ({"val/map@10/mean": 0.1}, 14.0, "fell to 0.100 from 0.300"),
    ],
)
def test_each_failure_is_one_line(figures, scale, sign):
    signs = FailureSigns(warmup_epochs=3)
    assert signs.signs(HEALTHY, 14.0, 4, negates=True) == []
    (line,) = signs.signs(HEALTHY | figures, scale, 5, negates=True)
    assert sign in line
    assert "\n" not in line


def test_discrimination_is_judged_after_warm_up_and_only_of_models_that_negate():
    poor = HEALTHY | {"val/pairwise/original_vs_fully": 0.5}
    assert FailureSigns(warmup_epochs=3).signs(poor, 14.0, 2, negates=True) == []
    assert FailureSigns(warmup_epochs=3).signs(poor, 14.0, 9, negates=False) == []


def test_the_best_is_kept_in_the_checkpoint():
    signs, later = FailureSigns(), FailureSigns()
    signs.signs(HEALTHY, 14.0, 0, negates=True)
    later.load_state_dict(signs.state_dict())
    assert later.signs(HEALTHY | {"val/map@10/mean": 0.1}, 14.0, 1, negates=True)


def test_waiting_for_data_is_a_share_of_the_time(monkeypatch):
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
