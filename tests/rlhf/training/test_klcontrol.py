"""The controller of the KL penalty: its numbers by hand, and that it holds a KL which answers it late."""

from __future__ import annotations

import math
import random

import pytest

from rlhf.training.klcontrol import KLController


def test_without_a_target_nothing_changes() -> None:
    controller = KLController(0.05)
    assert controller.observe(100.0) == 1.0
    assert controller.coef == 0.05


def test_by_hand() -> None:
    """The level moves by (KL / target)^0.12 below the target and ^0.4 above; the coefficient is the level times the
    square of KL / target. Twice and half the target are the most that counts."""
    controller = KLController(0.1, target=4.0)
    assert controller.observe(0.0) == 1.0
    assert controller.level == pytest.approx(0.1 * 2**-0.12)
    assert controller.coef == pytest.approx(0.1 * 2**-0.12 / 4)
    assert controller.observe(5.0) == pytest.approx(math.sqrt(4 / 5))  # the KL grows with the square of the way
    assert controller.level == pytest.approx(0.1 * 2**-0.12 * 1.25**0.4)
    assert controller.coef == pytest.approx(0.1 * 2**-0.12 * 1.25**2.4)
    assert controller.observe(400.0) == pytest.approx(math.sqrt(0.5))
    assert KLController(**controller.state()) == controller


@pytest.mark.parametrize("right", [0.02, 0.065, 0.3])
@pytest.mark.parametrize("inertia", [2, 5])
def test_it_holds_a_kl_that_answers_late(right: float, inertia: int) -> None:
    """A policy that moves on for some updates, whose KL is measured to a sixth, and for which `right` is the right
    coefficient: off by 2.5 to 6 times from the one it begins with."""
    for seed in range(5):
        chance = random.Random(seed)
        controller, speed, log_kl, seen = KLController(0.05, target=3.0), 0.0, math.log(0.05), []
        for _ in range(60):
            seen.append(math.exp(log_kl))
            share = controller.observe(math.exp(log_kl + chance.gauss(0, 0.15)))
            wanted = right * math.sqrt(3.0 / math.exp(log_kl))
            speed += (0.25 * max(-1.5, min(1.5, math.log(wanted / controller.coef))) - speed) / inertia
            log_kl += speed + 2 * math.log(share)
        held = sum(seen[-20:]) / 20 / 3.0
        assert 0.75 < held < 1.25, (seed, held)
