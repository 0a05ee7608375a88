"""The alarms ring for what they are named after, once, and not for healthy runs."""

import pytest

from simrefine.methods import METHODS
from simrefine.training.health import Health

LOGGED = METHODS["simgan"].logged
ALARMS = [entry.alarm for entry in LOGGED if entry.alarm]

HEALTHY = {
    "refiner/change": 12.0,
    "refiner/diversity": 0.9,
    "discriminator/accuracy_real": 0.7,
    "discriminator/accuracy_refined": 0.6,
}
SICK = {
    "refiner is the identity": {"refiner/change": 0.4},
    "discriminator wins": {"discriminator/accuracy_real": 0.99, "discriminator/accuracy_refined": 0.995},
    "collapse": {"refiner/diversity": 0.1},
}


def test_a_healthy_run_rings_nothing():
    health = Health(LOGGED)
    assert not [alarm for _ in range(50) for alarm in health.observe(HEALTHY)]
    assert set(health.states.values()) == {0.0}


@pytest.mark.parametrize("alarm", ALARMS, ids=lambda alarm: alarm.name)
def test_an_alarm_rings_once_with_its_numbers_and_again_after_it_has_cleared(alarm):
    health, sick = Health(LOGGED), HEALTHY | SICK[alarm.name]
    rings = [len(health.observe(sick)) for _ in range(30)]
    assert rings.index(1) == alarm.windows - 1 and sum(rings) == 1
    assert health.states["health/" + alarm.name.replace(" ", "_")] == 1
    health.observe(HEALTHY)
    assert health.states["health/" + alarm.name.replace(" ", "_")] == 0
    ((name, message),) = [rung for _ in range(30) for rung in health.observe(sick)]
    assert name == alarm.name
    shown = next(iter(SICK[alarm.name].values()))
    assert any(text in message for text in (f"{shown:.2f}", f"{shown:.1%}"))


def test_pretraining_which_has_one_player_only_rings_nothing():
    health = Health(LOGGED)
    assert not [alarm for _ in range(50) for alarm in health.observe({"refiner/self_regularisation": 0.0})]
