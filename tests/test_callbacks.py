import pytest

from negclap.callbacks import FailureSigns

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
