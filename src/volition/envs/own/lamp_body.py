"""How a balanced-arm desk lamp moves: three links in the plane, by Lagrange's equations.

As in lamps of this kind, linkages carry every motor and spring back to the base: each acts on the
angle that its link makes with the table, not on that with the link before it. So these angles are
the coordinates, and torques, dampers and stops belong to one of them each. With the angles a, the
rates w, and constants I and G of masses and lengths the equations are, for every link i,

    sum_j I_ij cos(a_i - a_j) dw_j/dt
        = torque_i - damping_i w_i - (1 - balance) G_i cos(a_i) + stop_i
          - sum_j I_ij sin(a_i - a_j) w_j^2

(Craig, "Introduction to Robotics", 3rd ed., section 6.7, in angles with the ground.) The springs
carry the share `balance` of the weight at any posture, which springs of no free length do exactly
(Carwardine, UK patent 404615, 1934). Plain numbers and no arrays: for three links that is several
times faster.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import cos, pi, sin
from typing import NamedTuple

GRAVITY = 9.81  # m/s^2


class Link(NamedTuple):
    """A rigid link: metres from its joint, kilograms, kg m^2 about its centre of mass."""

    length: float
    centre: float
    mass: float
    inertia: float


LOWER_ARM = Link(length=0.28, centre=0.14, mass=0.25, inertia=0.25 * 0.28**2 / 12)
UPPER_ARM = Link(length=0.26, centre=0.13, mass=0.20, inertia=0.20 * 0.26**2 / 12)
HEAD = Link(length=0.19, centre=0.03, mass=0.35, inertia=0.003)
SHOULDER_HEIGHT = 0.10  # metres above the table

# Lowest and highest angle of each link with the table, in radians: 0 points to the ball's side, and
# pi/2 straight up. Whatever the others do, the head stays above the table and in the picture.
LIMITS = tuple(
    (low * pi / 180, high * pi / 180) for low, high in ((48, 100), (-10, 190), (-130, 45))
)
TORQUES = (0.8, 0.5, 0.10)  # newton metres: the most that the motors give

Triple = tuple[float, float, float]
Motion = tuple[float, float, float, float, float, float]  # three angles, three rates


@dataclass(frozen=True, slots=True)
class Surroundings:
    """What acts on the links beside their motors.

    Attributes:
        balance: The share of the weight that the springs carry.
        damping: Newton metre seconds, of each link.
        stop_stiffness: Newton metres per radian beyond a limit, of each link.
        stop_damping: Newton metre seconds beyond a limit, of each link.
    """

    balance: float = 0.9
    damping: Triple = (0.5, 0.32, 0.04)
    stop_stiffness: Triple = (60.0, 36.0, 6.0)
    stop_damping: Triple = (1.0, 0.6, 0.06)


FREE = Surroundings(0.0, (0.0, 0.0, 0.0), (0.0, 0.0, 0.0), (0.0, 0.0, 0.0))
"""Gravity alone: energy is conserved."""


def _inertias() -> tuple[float, float, float, float, float, float]:
    """I_11, I_22, I_33, I_12, I_13, I_23 in kilogram square metres."""
    first, second, third = LOWER_ARM, UPPER_ARM, HEAD
    carried = second.mass + third.mass
    static = second.mass * second.centre + third.mass * second.length
    return (
        first.inertia + first.mass * first.centre**2 + carried * first.length**2,
        second.inertia + second.mass * second.centre**2 + third.mass * second.length**2,
        third.inertia + third.mass * third.centre**2,
        first.length * static,
        first.length * third.mass * third.centre,
        second.length * third.mass * third.centre,
    )


def _weights() -> Triple:
    """G_1, G_2, G_3 in newton metres: the torque of the weight on a level link."""
    first, second, third = LOWER_ARM, UPPER_ARM, HEAD
    return (
        GRAVITY * (first.mass * first.centre + (second.mass + third.mass) * first.length),
        GRAVITY * (second.mass * second.centre + third.mass * second.length),
        GRAVITY * third.mass * third.centre,
    )


I11, I22, I33, I12, I13, I23 = _inertias()
WEIGHTS = _weights()


def accelerations(motion: Motion, torques: Triple, around: Surroundings) -> Triple:
    """The angular accelerations in rad/s^2, by Cramer's rule on the symmetric mass matrix."""
    a1, a2, a3, w1, w2, w3 = motion
    lifted = 1.0 - around.balance
    c1, c2, c3 = around.damping
    g1, g2, g3 = WEIGHTS
    t1, t2, t3 = torques
    s12, s13, s23 = I12 * sin(a1 - a2), I13 * sin(a1 - a3), I23 * sin(a2 - a3)
    q1, q2, q3 = w1 * w1, w2 * w2, w3 * w3
    f1 = t1 - c1 * w1 - lifted * g1 * cos(a1) - s12 * q2 - s13 * q3
    f2 = t2 - c2 * w2 - lifted * g2 * cos(a2) + s12 * q1 - s23 * q3
    f3 = t3 - c3 * w3 - lifted * g3 * cos(a3) + s13 * q1 + s23 * q2
    (low1, high1), (low2, high2), (low3, high3) = LIMITS
    if not low1 < a1 < high1:
        f1 += _stop(a1, w1, low1, high1, around.stop_stiffness[0], around.stop_damping[0])
    if not low2 < a2 < high2:
        f2 += _stop(a2, w2, low2, high2, around.stop_stiffness[1], around.stop_damping[1])
    if not low3 < a3 < high3:
        f3 += _stop(a3, w3, low3, high3, around.stop_stiffness[2], around.stop_damping[2])
    m12, m13, m23 = I12 * cos(a1 - a2), I13 * cos(a1 - a3), I23 * cos(a2 - a3)
    # The adjugate's entries, which are those of the inverse times the determinant.
    n11, n12, n13 = I22 * I33 - m23 * m23, m13 * m23 - m12 * I33, m12 * m23 - m13 * I22
    n22, n23, n33 = I11 * I33 - m13 * m13, m12 * m13 - I11 * m23, I11 * I22 - m12 * m12
    scale = 1.0 / (I11 * n11 + m12 * n12 + m13 * n13)
    return (
        (n11 * f1 + n12 * f2 + n13 * f3) * scale,
        (n12 * f1 + n22 * f2 + n23 * f3) * scale,
        (n13 * f1 + n23 * f2 + n33 * f3) * scale,
    )


def _stop(
    angle: float, rate: float, low: float, high: float, stiffness: float, damping: float
) -> float:
    """The torque of a stop of hard rubber, at or beyond a limit; it pushes and never pulls."""
    if angle <= low:
        return max(0.0, stiffness * (low - angle) - damping * rate)
    return min(0.0, stiffness * (high - angle) - damping * rate)


def advance(motion: Motion, torques: Triple, seconds: float, around: Surroundings) -> Motion:
    """The motion some time later, by one step of the classical Runge-Kutta method."""
    half, sixth = 0.5 * seconds, seconds / 6.0
    a1, a2, a3, w1, w2, w3 = motion
    k1, k2, k3 = accelerations(motion, torques, around)
    u1, u2, u3 = w1 + half * k1, w2 + half * k2, w3 + half * k3
    l1, l2, l3 = accelerations(
        (a1 + half * w1, a2 + half * w2, a3 + half * w3, u1, u2, u3), torques, around
    )
    v1, v2, v3 = w1 + half * l1, w2 + half * l2, w3 + half * l3
    m1, m2, m3 = accelerations(
        (a1 + half * u1, a2 + half * u2, a3 + half * u3, v1, v2, v3), torques, around
    )
    x1, x2, x3 = w1 + seconds * m1, w2 + seconds * m2, w3 + seconds * m3
    n1, n2, n3 = accelerations(
        (a1 + seconds * v1, a2 + seconds * v2, a3 + seconds * v3, x1, x2, x3), torques, around
    )
    return (
        a1 + sixth * (w1 + 2 * (u1 + v1) + x1),
        a2 + sixth * (w2 + 2 * (u2 + v2) + x2),
        a3 + sixth * (w3 + 2 * (u3 + v3) + x3),
        w1 + sixth * (k1 + 2 * (l1 + m1) + n1),
        w2 + sixth * (k2 + 2 * (l2 + m2) + n2),
        w3 + sixth * (k3 + 2 * (l3 + m3) + n3),
    )


def energy(motion: Motion) -> float:
    """Kinetic energy and the weight's, in joules, without that of springs."""
    a1, a2, a3, w1, w2, w3 = motion
    squares = I11 * w1 * w1 + I22 * w2 * w2 + I33 * w3 * w3
    mixed = I12 * cos(a1 - a2) * w1 * w2 + I13 * cos(a1 - a3) * w1 * w3
    mixed += I23 * cos(a2 - a3) * w2 * w3
    heights = zip(WEIGHTS, (a1, a2, a3), strict=True)
    return 0.5 * squares + mixed + sum(weight * sin(angle) for weight, angle in heights)
