"""What is proven against what floating point finds, and that nothing is proven where nothing is."""

import math

import pytest
import torch
from torch import Tensor

from claimlab.measure import student_teacher
from claimlab.measure.draws import Draws
from claimlab.measure.proven_minimum import prove_minimum

TEACHER = torch.eye(6, dtype=torch.float64)


def stationary(
    own: float, others: float, last: float, odd: tuple[float, float], *, k: int = 6, steps: int = 6
) -> Tensor:
    """As many units as the teacher's k: all are near one of them but the last, and Newton's method does the rest."""
    teacher = torch.eye(k, dtype=torch.float64)
    student = torch.full((k, k), others, dtype=torch.float64).fill_diagonal_(own)
    student[:, -1], student[-1] = last, odd[0]
    student[-1, -1] = odd[1]
    for _ in range(steps):
        slope = student_teacher.gradient(student, teacher).flatten()
        student = student - torch.linalg.solve(student_teacher.hessian(student, teacher), slope).reshape(k, k)
    return student


def bad_minimum(steps: int = 6) -> Tensor:
    """Six units for six (Safran & Shamir 2018)."""
    return stationary(0.987, -0.050, 0.308, (0.225, -0.602), steps=steps)


def proof(student: Tensor, teacher: Tensor = TEACHER, **options: float):
    return prove_minimum(student.tolist(), teacher.tolist(), **options)


def test_bounds_hold_what_floating_point_finds():
    student = bad_minimum()
    found = proof(student)
    assert found.proven
    loss, curvature = student_teacher.loss(student, TEACHER), student_teacher.hessian(student, TEACHER)
    assert loss - 1e-11 < found.least_loss < loss
    assert student_teacher.gradient(student, TEACHER).norm() <= found.gradient < 1e-12
    least = torch.linalg.eigvalsh(curvature)[0].item()
    assert 0.98 * least < found.curvature < least


def test_bounds_hold_at_any_point():
    """At ten random students the gradient is far from 0, and its bound and the loss's are tight."""
    draws = Draws(1)
    for place in range(10):
        student, teacher = draws.normal(f"student {place}", 3, 2), draws.normal(f"teacher {place}", 2, 2)
        found = proof(student, teacher, radius=1e-12)
        slope, loss = student_teacher.gradient(student, teacher).norm(), student_teacher.loss(student, teacher)
        least = torch.linalg.eigvalsh(student_teacher.hessian(student, teacher))[0].item()
        assert not found.proven
        assert math.isclose(found.gradient, slope, rel_tol=1e-9)
        assert math.isclose(found.least_loss, loss, rel_tol=1e-9)
        assert least - 0.011 * abs(least) < found.curvature < least


def test_a_larger_ball_has_smaller_curvature():
    """The cube around it holds points with other Hessians, and their bound must not be above those at its corners."""
    student = bad_minimum()
    small, large = (proof(student, radius=radius).curvature for radius in (1e-9, 1e-5))
    assert large < small
    signs = torch.where(Draws(2).normal("corners", 20, 6, 6) > 0, 1.0, -1.0)
    corners = student_teacher.hessian(student + 1e-5 * signs, TEACHER)
    assert torch.linalg.eigvalsh(corners)[:, 0].min() > large


def test_nothing_is_proven_where_the_gradient_is_too_large_for_the_ball():
    """Three digits are not enough, nor is a ball in which the point's own error has no room."""
    assert not proof(bad_minimum(steps=0)).proven
    assert not proof(bad_minimum(), radius=1e-13).proven


def test_nothing_is_proven_at_a_saddle():
    """For a teacher of five units the gradient vanishes at such a place as well."""
    found = proof(stationary(0.962, -0.079, 0.376, (0.287, -0.560), k=5), torch.eye(5, dtype=torch.float64))
    assert found.gradient < 1e-12
    assert found.curvature < 0
    assert not found.proven


def test_parallel_units_are_refused():
    with pytest.raises(ValueError, match="parallel"):
        proof(TEACHER)
