"""How much room a bounded simplex has left: what makes a cut of it uniform.

Parts k.. that may take up to u_k each, all together at most s, fill a volume

    G_n(s) = vol{x in [0, u_1] x … x [0, u_n] : sum x <= s},   n parts,

which is the distribution function of a sum of uniform variables, up to a factor (Bradley and Gupta 2002, "On the
distribution of the sum of n non-identically distributed uniform random variables"). Its closed form, an alternating
sum over subsets, is lost to cancellation from about 20 parts on; the recursion

    G_{n+1}(s) = integral of G_n over [max(0, s - u), s]

has positive terms alone. What is kept is h(s) = log G_n(s) - n log s: constant where no bound binds, so that the tail
near 0 keeps its relative precision however small it is, and smooth beyond.
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
"""Places at which h is worked out, and points of the Gauss-Legendre rule of each integral: log G is within 3e-4."""


ROUNDING = 1e-12
"""A bound that leaves out no more of the whole binds nowhere."""


@dataclass(frozen=True, slots=True)
class Volume:
    """log G_n as a function of s in (0, whole].

    Attributes:
        parts: n.
        free: h below `bend`.
        bend: the least bound: up to there nothing binds.
        curve: h from `bend` on; None: nothing binds anywhere.
    """

    parts: int
    free: float
    bend: float
    curve: Any = None

    def h(self, s: Vector) -> Vector:
        """log G(s) - n log s."""
        if self.curve is None:
            return np.full_like(s, self.free)
        return np.where(s <= self.bend, self.free, self.curve(np.maximum(s, self.bend)))

    def log_ratio(self, s: float, whole: float) -> float:
        """log of G(s) / G(whole), for 0 < s <= whole."""
        if self.curve is None or whole <= self.bend:
            return self.parts * math.log(s / whole)
        h = self.h(np.array([s, whole]))
        return self.parts * math.log(s / whole) + float(h[0] - h[1])


@lru_cache(maxsize=256)
def suffix_volumes(room: tuple[float, ...], whole: float) -> tuple[Volume, ...]:
    """The volume of the parts after each one: entry k is that of parts k + 1 ...

    Args:
        room: what each part may take at most.
        whole: what all of them share.
    """
    volume, volumes = None, []
    for bound in reversed(room[1:]):
        if bound > 0.0:  # a part that is fixed takes no room
            volume = _first(bound, whole) if volume is None else _with_part(volume, bound, whole)
        volumes.append(volume or Volume(1, 0.0, whole))  # where no later part has room, there is nothing to choose
    return tuple(reversed(volumes))


def _first(bound: float, whole: float) -> Volume:
    """The volume of one part: G(s) = min(s, bound)."""
    curve = None if bound >= whole else lambda s: np.log(np.minimum(bound / s, 1.0))
    return Volume(1, 0.0, min(bound, whole), curve)


def _with_part(volume: Volume, bound: float, whole: float) -> Volume:
    """The volume with one more part that may take up to `bound`."""
    from scipy.interpolate import PchipInterpolator

    parts, free = volume.parts + 1, volume.free - math.log(volume.parts + 1)
    bend = min(bound, volume.bend)
    if whole - bend <= ROUNDING * whole:
        return Volume(parts, free, whole)
    nodes = np.linspace(bend, whole, NODES)
    # t = s v^(1/(n+1)) makes t^n dt even, so that the integrand is the smooth e^h alone
    first = (np.maximum(nodes - bound, 0.0) / nodes) ** parts
    points, weights = np.polynomial.legendre.leggauss(POINTS)
    width = (1.0 - first) / 2.0
    places = first[:, None] + width[:, None] * (points + 1.0)
    logs = volume.h(nodes[:, None] * places ** (1.0 / parts))
    top = logs.max(axis=1)
    integral = (np.exp(logs - top[:, None]) * weights).sum(axis=1) * width
    return Volume(parts, free, bend, PchipInterpolator(nodes, np.log(integral) + top - math.log(parts)))
