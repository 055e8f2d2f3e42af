"""The covariance of two points: what mixtures do, at a place of the other parameters and of progress.

    k_j(x, x') = M(o, o') (c + a <p, p'> + s M(sqrt p, sqrt p') + w M(sqrt p_j, sqrt p'_j) + t [same run])

p are shares and o everything else; M is the Matern kernel of smoothness 5/2 (Rasmussen and Williams 2006, equation
4.17). The Euclidean distance of square-root shares is Hellinger's, which gives small shares their weight. <p, p'> is a
law that is linear in shares (with outputs that are logarithms that of Ye et al. 2024, arXiv 2403.16952), and p_j the
share that output j answers to most: that of its own language, as a rule, which evidence finds. The last term is the
luck of one run, which goes on along its curve, and along those that branch off it: seeds, and all that the features
do not say.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from ratio_hpo.surrogate.features import ANY, FeatureTable

Array = NDArray[np.float64]


@dataclass(frozen=True)
class Hyper:
    """Hyperparameters, in variances of a scaled output and in units of the features.

    Attributes:
        constant, linear, smooth, own, luck: weights c, a, s, w and t.
        smooth_length, own_length: of square-root shares.
        noise: variance of the noise.
        lengths: of the blocks of the other columns.
    """

    constant: float = 0.5
    linear: float = 0.3
    smooth: float = 0.4
    own: float = 2.0
    run_effect: float = 0.03
    smooth_length: float = 1.2
    own_length: float = 0.35
    noise: float = 0.02
    lengths: tuple[float, ...] = ()

    def logs(self) -> Array:
        """Logarithms, in the order of the fields."""
        weights = (self.constant, self.linear, self.smooth, self.own, self.run_effect)
        plain = (*weights, self.smooth_length, self.own_length, self.noise)
        return np.log([*plain, *self.lengths])

    @classmethod
    def from_logs(cls, logs: Array) -> Hyper:
        values = np.exp(logs).tolist()
        return cls(*values[:8], lengths=tuple(values[8:]))


class Pairs:
    """All that the covariance needs of pairs of points, worked out once for any hyperparameters.

    What hangs on shares is worked out for pairs of mixtures: points of one curve follow one another and have the same.
    """

    def __init__(self, a: FeatureTable, b: FeatureTable, blocks: Sequence[slice]) -> None:
        self._a, self._b = a, b
        self.shape = len(a), len(b)
        self._rows, self._columns = _mixtures(a.shares), _mixtures(b.shares)
        self._p, self._q = a.shares[_firsts(self._rows)], b.shares[_firsts(self._columns)]
        self.others = [_squared(a.others[:, block], b.others[:, block]) for block in blocks]
        self._own: dict[int, Array] = {}

    @cached_property
    def products(self) -> Array:
        """<p, p'>, of mixtures."""
        return self._p @ self._q.T

    @cached_property
    def same_run(self) -> Array:
        """1 where both are points of one run."""
        same = (self._a.runs[:, None] == self._b.runs[None, :]) & (self._a.runs[:, None] != ANY)
        return same.astype(float)

    @cached_property
    def hellinger(self) -> Array:
        """Squared distance of square-root shares, of mixtures."""
        return _squared(np.sqrt(self._p), np.sqrt(self._q))

    def own(self, part: int) -> Array:
        """Squared distance of the square roots of one share, of mixtures."""
        if part not in self._own:
            x, y = np.sqrt(self._p[:, part]), np.sqrt(self._q[:, part])
            self._own[part] = (x[:, None] - y[None, :]) ** 2
        return self._own[part]

    def at_points(self, of_mixtures: Array) -> Array:
        """What is known of pairs of mixtures, at pairs of points."""
        return of_mixtures[self._rows][:, self._columns]


@dataclass(frozen=True)
class Shared:
    """The parts of a covariance that all outputs have in common.

    Attributes:
        outer: M(o, o').
        inner: c + a <p, p'> + s M(sqrt p, sqrt p') + t [same run].
    """

    outer: Array
    inner: Array
    pairs: Pairs
    hyper: Hyper

    def of(self, part: int | None) -> Array:
        """The covariance of outputs that answer to a share most, or to none."""
        if part is None:
            return self.outer * self.inner
        own = self.pairs.at_points(self.hyper.own * matern(self.pairs.own(part), self.hyper.own_length))
        own += self.inner
        own *= self.outer
        return own


def shared(pairs: Pairs, hyper: Hyper, *, mixed: bool) -> Shared:
    """What outputs have in common.

    Args:
        mixed: whether there are shares at all.
    """
    away = sum((d / length**2 for d, length in zip(pairs.others, hyper.lengths, strict=True)), np.zeros(()))
    outer = np.broadcast_to(matern(away, 1.0), pairs.shape)
    inner = hyper.constant + hyper.run_effect * pairs.same_run
    if not mixed:
        return Shared(outer, inner, pairs, hyper)
    law = hyper.linear * pairs.products + hyper.smooth * matern(pairs.hellinger, hyper.smooth_length)
    return Shared(outer, inner + pairs.at_points(law), pairs, hyper)


def variances(table: FeatureTable, hyper: Hyper, part: int | None) -> Array:
    """The covariance of each point with itself [n]."""
    inner = hyper.constant + hyper.run_effect * (table.runs != ANY)
    if table.shares.shape[1]:
        inner = inner + hyper.linear * (table.shares**2).sum(1) + hyper.smooth
        inner = inner + (hyper.own if part is not None else 0.0)
    return inner


def matern(squared: Array, length: float) -> Array:
    """Matern 5/2 of squared distances."""
    scaled = np.sqrt(5.0 * squared) / length
    values: Array = (1.0 + scaled + scaled**2 / 3.0) * np.exp(-scaled)
    return values


def matern_slope(squared: Array, length: float) -> Array:
    """What a factor on a part of the squared distance, in units of length, adds to Matern 5/2: its slope over it.

    The derivative by the logarithm of a length scale is this times that scale's own part of the squared distance.
    """
    scaled = np.sqrt(5.0 * squared) / length
    values: Array = (5.0 / 3.0) * (1.0 + scaled) * np.exp(-scaled)
    return values


def _mixtures(shares: Array) -> NDArray[np.intp]:
    """For each point the number of its mixture, of those that follow one another."""
    changes = np.any(shares[1:] != shares[:-1], axis=1) if shares.shape[1] else np.zeros(max(len(shares) - 1, 0), bool)
    return np.concatenate([[0], np.cumsum(changes)]).astype(np.intp)[: len(shares)]


def _firsts(numbers: NDArray[np.intp]) -> NDArray[np.intp]:
    """The first point of each mixture."""
    return np.flatnonzero(np.diff(numbers, prepend=-1))


def _squared(x: Array, y: Array) -> Array:
    """Squared distances of the rows of two arrays [n, m]."""
    return np.maximum((x**2).sum(1)[:, None] + (y**2).sum(1)[None, :] - 2.0 * x @ y.T, 0.0)
