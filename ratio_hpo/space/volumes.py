"""Volumes of bounded simplices, which make draws from a bounded simplex uniform.

Parts with upper bounds u_1..u_n and a sum of at most s have the volume

    G_n(s) = vol{x in [0, u_1] x … x [0, u_n] : sum x <= s},   n parts,

which is, up to a factor, the distribution function of a sum of uniform variables (Bradley and Gupta 2002, "On the
distribution of the sum of n non-identically distributed uniform random variables"). The closed form, an alternating
sum over subsets, loses all precision to cancellation from about 20 parts on. The recursion

    G_{n+1}(s) = integral of G_n over [max(0, s - u), s]

has only positive terms. The stored function is h(s) = log G_n(s) - n log s. It is constant where no bound is active, so
the tail near 0 keeps its relative precision however small it is, and smooth elsewhere.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

Vector = NDArray[np.float64]

NODES, POINTS = 257, 48
"""Nodes at which h is computed, and points of the Gauss-Legendre rule per integral; log G is within 3e-4."""


ROUNDING = 1e-12
"""Bounds that exclude no more than this fraction of the whole count as inactive."""


@dataclass(frozen=True, slots=True)
class Volume:
    """log G_n as a function of s in (0, whole].

    Attributes:
        parts: number of parts, n.
        free: value of h below `bend`.
        bend: the smallest bound; no bound is active below it.
        curve: h from `bend` on; None if no bound is active anywhere.
    """

    parts: int
    free: float
    bend: float
    curve: Any = None

    def h(self, s: Vector) -> Vector:
        """Return log G(s) - n log s."""
        if self.curve is None:
            return np.full_like(s, self.free)
        return np.where(s <= self.bend, self.free, self.curve(np.maximum(s, self.bend)))

    def log_ratio(self, s: float, whole: float) -> float:
        """Return log(G(s) / G(whole)), for 0 < s <= whole."""
        if self.curve is None or whole <= self.bend:
            return self.parts * math.log(s / whole)
        h = self.h(np.array([s, whole]))
        return self.parts * math.log(s / whole) + float(h[0] - h[1])


@lru_cache(maxsize=256)
def suffix_volumes(room: tuple[float, ...], whole: float) -> tuple[Volume, ...]:
    """Return the volumes of the parts after each part: entry k is the volume of parts k + 1, k + 2, ...

    Args:
        room: upper bound of each part.
        whole: sum of all parts.
    """
    volume, volumes = None, []
    for bound in reversed(room[1:]):
        if bound > 0.0:  # a fixed part adds no dimension
            volume = _first(bound, whole) if volume is None else _with_part(volume, bound, whole)
        volumes.append(volume or Volume(1, 0.0, whole))  # all later parts are fixed
    return tuple(reversed(volumes))


def _first(bound: float, whole: float) -> Volume:
    """Return the volume of one part: G(s) = min(s, bound)."""
    curve = None if bound >= whole else lambda s: np.log(np.minimum(bound / s, 1.0))
    return Volume(1, 0.0, min(bound, whole), curve)


def _with_part(volume: Volume, bound: float, whole: float) -> Volume:
    """Return the volume with an additional part of at most `bound`."""
    from scipy.interpolate import PchipInterpolator

    parts, free = volume.parts + 1, volume.free - math.log(volume.parts + 1)
    bend = min(bound, volume.bend)
    if whole - bend <= ROUNDING * whole:
        return Volume(parts, free, whole)
    nodes = np.linspace(bend, whole, NODES)
    # substituting t = s v^(1/(n+1)) makes t^n dt uniform, so the integrand is only the smooth e^h
    first = (np.maximum(nodes - bound, 0.0) / nodes) ** parts
    points, weights = np.polynomial.legendre.leggauss(POINTS)
    width = (1.0 - first) / 2.0
    points_of_t = first[:, None] + width[:, None] * (points + 1.0)
    logs = volume.h(nodes[:, None] * points_of_t ** (1.0 / parts))
    top = logs.max(axis=1)
    integral = (np.exp(logs - top[:, None]) * weights).sum(axis=1) * width
    return Volume(parts, free, bend, PchipInterpolator(nodes, np.log(integral) + top - math.log(parts)))
