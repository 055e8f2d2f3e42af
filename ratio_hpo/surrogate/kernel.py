"""The covariance function of the response model.

    k_j(x, x') = M(o, o') (c + a <p, p'> + s M(sqrt p, sqrt p') + w M(sqrt p_j, sqrt p'_j) + t [same run])

p are the shares and o all other features; M is the Matern kernel of smoothness 5/2 (Rasmussen and Williams 2006,
equation 4.17). The Euclidean distance of square-root shares is the Hellinger distance, which makes small shares count.
<p, p'> is a mixing law that is linear in the shares; because outputs are logarithms, it is the law of Ye et al. 2024
(arXiv 2403.16952). p_j is the share that output j depends on most, usually the one of its own language; it is chosen by
marginal likelihood. The last term is the run effect: the deviation that all points of a run share, and those of runs
that branch off it, caused by seeds and by everything that the features do not describe.
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
    """Hyperparameters, in units of the variance of a scaled output and in units of the features.

    Attributes:
        constant, linear, smooth, own, run_effect: weights c, a, s, w and t.
        smooth_length, own_length: length scales in square-root shares.
        noise: variance of the noise.
        lengths: length scale of each block of other columns.
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
        """Return the logarithms, in the order of the fields."""
        weights = (self.constant, self.linear, self.smooth, self.own, self.run_effect)
        plain = (*weights, self.smooth_length, self.own_length, self.noise)
        return np.log([*plain, *self.lengths])

    @classmethod
    def from_logs(cls, logs: Array) -> Hyper:
        """Return the hyperparameters with these logarithms."""
        values = np.exp(logs).tolist()
        return cls(*values[:8], lengths=tuple(values[8:]))


class Pairs:
    """Distances and products of pairs of points, computed once for all hyperparameters.

    Terms of shares are computed for pairs of mixtures, because consecutive points of a curve have the same mixture.
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
        """<p, p'> of each pair of mixtures."""
        return self._p @ self._q.T

    @cached_property
    def same_run(self) -> Array:
        """1 for each pair of points of the same run, otherwise 0."""
        same = (self._a.runs[:, None] == self._b.runs[None, :]) & (self._a.runs[:, None] != ANY)
        return same.astype(float)

    @cached_property
    def hellinger(self) -> Array:
        """Squared distance of the square-root shares of each pair of mixtures."""
        return _squared(np.sqrt(self._p), np.sqrt(self._q))

    def own(self, part: int) -> Array:
        """Return the squared distance of the square roots of one share, for each pair of mixtures."""
        if part not in self._own:
            x, y = np.sqrt(self._p[:, part]), np.sqrt(self._q[:, part])
            self._own[part] = (x[:, None] - y[None, :]) ** 2
        return self._own[part]

    def at_points(self, of_mixtures: Array) -> Array:
        """Expand values of pairs of mixtures to pairs of points."""
        return of_mixtures[self._rows][:, self._columns]


@dataclass(frozen=True)
class Shared:
    """The terms of the covariance that all outputs share.

    Attributes:
        outer: M(o, o').
        inner: c + a <p, p'> + s M(sqrt p, sqrt p') + t [same run].
    """

    outer: Array
    inner: Array
    pairs: Pairs
    hyper: Hyper

    def of(self, part: int | None) -> Array:
        """Return the covariance of outputs that depend most on a share, or on none."""
        if part is None:
            return self.outer * self.inner
        own = self.pairs.at_points(self.hyper.own * matern(self.pairs.own(part), self.hyper.own_length))
        own += self.inner
        own *= self.outer
        return own


def shared(pairs: Pairs, hyper: Hyper, *, mixed: bool) -> Shared:
    """Return the terms of the covariance that all outputs share.

    Args:
        mixed: whether the points have shares.
    """
    distance = sum((d / length**2 for d, length in zip(pairs.others, hyper.lengths, strict=True)), np.zeros(()))
    outer = np.broadcast_to(matern(distance, 1.0), pairs.shape)
    inner = hyper.constant + hyper.run_effect * pairs.same_run
    if not mixed:
        return Shared(outer, inner, pairs, hyper)
    mixture_terms = hyper.linear * pairs.products + hyper.smooth * matern(pairs.hellinger, hyper.smooth_length)
    return Shared(outer, inner + pairs.at_points(mixture_terms), pairs, hyper)


def variances(table: FeatureTable, hyper: Hyper, part: int | None) -> Array:
    """Return the prior variance of each point [n]."""
    inner = hyper.constant + hyper.run_effect * (table.runs != ANY)
    if table.shares.shape[1]:
        inner = inner + hyper.linear * (table.shares**2).sum(1) + hyper.smooth
        inner = inner + (hyper.own if part is not None else 0.0)
    return inner


def matern(squared: Array, length: float) -> Array:
    """Return the Matern 5/2 kernel of squared distances."""
    scaled = np.sqrt(5.0 * squared) / length
    values: Array = (1.0 + scaled + scaled**2 / 3.0) * np.exp(-scaled)
    return values


def matern_slope(squared: Array, length: float) -> Array:
    """Return the derivative factor of Matern 5/2 for the logarithms of length scales.

    The derivative by the logarithm of a length scale is this factor times the part of the squared distance that the
    length scale divides, in units of that length scale.
    """
    scaled = np.sqrt(5.0 * squared) / length
    values: Array = (5.0 / 3.0) * (1.0 + scaled) * np.exp(-scaled)
    return values


def _mixtures(shares: Array) -> NDArray[np.intp]:
    """Return the mixture number of each point; consecutive points with equal shares have one number."""
    changes = np.any(shares[1:] != shares[:-1], axis=1) if shares.shape[1] else np.zeros(max(len(shares) - 1, 0), bool)
    return np.concatenate([[0], np.cumsum(changes)]).astype(np.intp)[: len(shares)]


def _firsts(numbers: NDArray[np.intp]) -> NDArray[np.intp]:
    """Return the index of the first point of each mixture."""
    return np.flatnonzero(np.diff(numbers, prepend=-1))


def _squared(x: Array, y: Array) -> Array:
    """Return the squared distances between the rows of two arrays [n, m]."""
    return np.maximum((x**2).sum(1)[:, None] + (y**2).sum(1)[None, :] - 2.0 * x @ y.T, 0.0)
