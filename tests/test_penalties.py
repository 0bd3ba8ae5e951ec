"""Penalties: their proximal steps and subgradients, against definitions."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.testing import assert_allclose

from fastlogreg.problem.penalties import L2, ElasticNet

strength = st.floats(0.0, 10.0)
value = st.floats(-10.0, 10.0)


def penalty_of(l1, l2):
    return ElasticNet(np.array([0.0, l1]), np.array([0.0, l2])) if l1 else L2(np.array([0.0, l2]))


@given(l1=strength, l2=strength, v=value, step=st.floats(0.01, 10.0))
def test_prox_is_the_minimum_that_defines_it(l1, l2, v, step):
    penalty = penalty_of(l1, l2)
    at = np.array([v, v])
    found = penalty.prox(at, step)
    assert found[0] == v  # an intercept is not penalized

    def objective(u):
        return float((u - at) @ (u - at)) / (2 * step) + penalty.value(u)

    here = objective(found)
    for other in np.linspace(-10, 10, 201):
        assert here <= objective(np.array([v, other])) + 1e-9 * (1 + abs(here))


@given(l1=strength, l2=strength, v=value)
def test_no_distance_where_prox_stays(l1, l2, v):
    """The fixed point of a proximal step is where 0 is a subgradient."""
    penalty = penalty_of(l1, l2)
    at = penalty.prox(np.array([v, v]), 1.0)
    # of 1/2 |u - v|², whose proximal point this is, and the smooth part
    gradient = at - np.array([v, v]) + penalty.smooth_gradient(at)
    assert_allclose(penalty.subgradient_distance(at, gradient), 0.0, atol=1e-12)


@given(l1=strength, l2=strength, g=value)
def test_distance_at_a_kink(l1, l2, g):
    found = penalty_of(l1, l2).subgradient_distance(np.zeros(2), np.array([g, g]))
    assert found[0] == abs(g)
    assert found[1] == pytest.approx(max(abs(g) - l1, 0.0))


def test_the_smooth_part_is_its_derivatives(rng):
    theta, l1, l2 = rng.normal(size=(3, 4))
    for penalty in (L2(abs(l2)), ElasticNet(abs(l1), abs(l2))):
        smooth = L2(abs(l2))
        step = 1e-6 * np.eye(4)
        slopes = [(smooth.value(theta + h) - smooth.value(theta - h)) / 2e-6 for h in step]
        assert_allclose(penalty.smooth_gradient(theta), slopes, rtol=1e-8, atol=1e-9)
        assert_allclose(penalty.smooth_diagonal, abs(l2))


def test_at_least_and_support():
    penalty = ElasticNet(np.array([0.0, 1.0, 1.0]), np.array([0.0, 0.1, 3.0]))
    more = penalty.at_least(np.array([0.0, 1.0, 1.0]))
    assert more.smooth_diagonal.tolist() == [0.0, 1.0, 3.0]
    assert more.l1 is penalty.l1
    assert penalty.support(np.array([0.0, 0.0, -2.0])).tolist() == [True, False, True]
    assert L2(np.ones(2)).support(np.zeros(2)).all()


@pytest.mark.parametrize("share_of_l2", [0.0, 0.5, 1.0])
def test_the_gap_without_bounds_is_that_of_bounds_out_of_the_way(rng, share_of_l2):
    for _ in range(200):
        l1 = rng.exponential(size=6) * (rng.random(6) < 0.8)
        l2 = rng.exponential(size=6) * (rng.random(6) < share_of_l2)
        theta = rng.normal(size=6) * (rng.random(6) < 0.6)
        gradient, loss = rng.normal(size=6) * 10.0 ** rng.uniform(-2, 1), rng.exponential()
        ends = np.append(np.full(6, np.inf), 1.0)  # of one more entry, which stays at 0
        general = ElasticNet(np.append(l1, 1.0), np.append(l2, 0.0), -ends, ends)
        expected = general.duality_gap(np.append(theta, 0.0), np.append(gradient, 0.0), loss)
        found = ElasticNet(l1, l2).duality_gap(theta, gradient, loss)
        assert found == pytest.approx(expected, rel=1e-10, abs=1e-12)
