"""The closed formulas against drawn inputs, finite differences, and what is known of them."""

import math

import pytest
import torch
from torch import Tensor

from claimlab.measure import student_teacher
from claimlab.measure.draws import Draws


def units(name: str, *shape: int) -> Tensor:
    return Draws(0).normal(name, *shape)


def by_differences(function, at: Tensor, step: float = 1e-5) -> Tensor:
    """The derivatives `[..., n d]` of a function of `[n, d]`, each by two values."""
    steps = step * torch.eye(at.numel(), dtype=at.dtype).reshape(-1, *at.shape)
    return torch.stack([(function(at + each) - function(at - each)) / (2 * step) for each in steps], dim=-1)


def test_loss_against_drawn_inputs():
    """A million inputs, within five standard errors."""
    student, teacher = units("student", 3, 2), units("teacher", 2, 2)
    x = units("x", 1_000_000, 2)
    squares = ((x @ student.T).relu().sum(dim=1) - (x @ teacher.T).relu().sum(dim=1)).square() / 2
    error = squares.std() / 1000
    assert (squares.mean() - student_teacher.loss(student, teacher)).abs() < 5 * error
    assert error < 0.01 * squares.mean()


@pytest.mark.parametrize("n", [1, 2, 5])
def test_derivatives_against_differences(n):
    student, teacher = units("student", n, 3), units("teacher", 4, 3)
    slope = by_differences(lambda w: student_teacher.loss(w, teacher), student)
    torch.testing.assert_close(student_teacher.gradient(student, teacher).flatten(), slope, rtol=0, atol=1e-8)
    curvature = by_differences(lambda w: student_teacher.gradient(w, teacher).flatten(), student)
    torch.testing.assert_close(student_teacher.hessian(student, teacher), curvature, rtol=0, atol=1e-8)


def test_a_batch_is_its_students_one_by_one():
    students, teacher = units("student", 2, 3, 5, 4), units("teacher", 4, 4)
    for formula in (student_teacher.loss, student_teacher.gradient, student_teacher.hessian):
        one_by_one = [[formula(each, teacher) for each in some] for some in students]
        expected = torch.stack([torch.stack(some) for some in one_by_one])
        torch.testing.assert_close(formula(students, teacher), expected, rtol=1e-12, atol=1e-12)


def test_one_unit_and_its_opposite():
    """Half of E x² for relu(−x) against relu(x), with one input, and a quarter of (3 − 1)² for relu(3x)."""
    one = torch.ones(1, 1, dtype=torch.float64)
    assert math.isclose(student_teacher.loss(-one, one).item(), 0.5, rel_tol=1e-12)
    assert math.isclose(student_teacher.loss(3 * one, one).item(), 0.25 * (3 - 1) ** 2, rel_tol=1e-12)


def test_the_teacher_itself_is_a_strict_minimum():
    """There a student's unit is parallel to one of the teacher's, where the formula for the Hessian is 0 / 0."""
    teacher = torch.eye(5, dtype=torch.float64)
    assert student_teacher.loss(teacher, teacher).abs() < 1e-12
    assert student_teacher.gradient(teacher, teacher).abs().max() < 1e-12
    curvature = student_teacher.hessian(teacher, teacher)
    assert torch.linalg.eigvalsh(curvature)[0] > 0.05
    near = student_teacher.hessian(teacher + 1e-6 * units("off", 5, 5), teacher)
    torch.testing.assert_close(curvature, near, rtol=0, atol=1e-4)


def test_a_unit_in_two_halves_computes_the_same_and_is_flat_between_them():
    student, teacher = units("student", 3, 4), units("teacher", 4, 4)
    halves = torch.cat([student[:1] / 2, student[:1] / 2, student[1:]])
    torch.testing.assert_close(student_teacher.loss(halves, teacher), student_teacher.loss(student, teacher))
    apart = torch.cat([student[0], -student[0], torch.zeros(8, dtype=torch.float64)])
    curvature = apart @ student_teacher.hessian(halves, teacher) @ apart
    assert curvature.abs() < 1e-6
