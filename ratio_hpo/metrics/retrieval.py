"""Retrieval by sentence vectors: nearest neighbour, mining by margin, mean average precision. NumPy alone.

Tatoeba and BUCC as XTREME scores them (Hu et al. 2020; the margin is Artetxe and Schwenk 2019's), mAP@20 as XTREME-R
scores LAReQA (Roy et al. 2020): written from the definitions.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence, Set
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Vectors = NDArray[np.float32]

BLOCK = 1024
"""Queries whose similarities are held at once, at most."""

MAX_SIMILARITIES = 2**26
"""Similarities that are held at once."""

NEIGHBOURS, MAX_RANKS = 4, 20

Pair = tuple[str, str]


def normalised(vectors: Vectors) -> Vectors:
    """Vectors of length 1; a zero vector stays one."""
    lengths = np.linalg.norm(vectors, axis=1, keepdims=True)
    unit: Vectors = (vectors / np.where(lengths > 0, lengths, 1.0)).astype(np.float32)
    return unit


def nearest(queries: Vectors, index: Vectors) -> NDArray[np.int64]:
    """The row of `index` [m, d] nearest to each query [n, d] by the angle; the first one of equals [n].

    Examples:
        >>> nearest(np.eye(2, dtype=np.float32), np.eye(2, dtype=np.float32)[::-1]).tolist()
        [1, 0]
    """
    found = [block.argmax(1) for _, block in _similarities(queries, index)]
    return np.concatenate(found) if found else np.empty(0, dtype=np.int64)


def average_precisions(
    queries: Vectors,
    candidates: Vectors,
    targets: Sequence[Set[int]],
    ranks: int = MAX_RANKS,
    *,
    later_first: bool = False,
) -> NDArray[np.float64]:
    """Average precision within the first `ranks` of each query [n]; its divisor is min(targets, ranks).

    Args:
        later_first: of equally near candidates the later one comes first, otherwise the earlier one.

    Examples:
        >>> eye = np.eye(3, dtype=np.float32)
        >>> average_precisions(eye[:1], eye, [{0}]).tolist()
        [1.0]
    """
    values = np.zeros(len(queries))
    for begin, block in _similarities(queries, candidates):
        for k, ranked in enumerate((_first(row, ranks, later_first=later_first) for row in block), begin):
            hits = np.array([int(place) in targets[k] for place in ranked], dtype=np.float64)
            precision = hits.cumsum() / np.arange(1, len(hits) + 1)
            values[k] = (precision * hits).sum() / max(min(len(targets[k]), ranks), 1)
    return values


@dataclass(frozen=True, slots=True)
class Candidate:
    """A pair of sentences that may translate each other, with its margin."""

    source: str
    english: str
    margin: float


def mine(sources: Mapping[str, str], english: Mapping[str, str], vectors: Mapping[str, Vectors]) -> list[Candidate]:
    """Candidates by falling margin, each sentence in one of them at most.

    The margin of a pair is its cosine over the mean cosine of both to their four nearest neighbours on the other side;
    best pairs are looked for from both sides. Sentences of one text are one sentence, which takes a partner; but a text
    that stands more than once on its side names no sentence, so that its pair is left out, as XTREME's script does.

    Args:
        sources, english: text of each id.
        vectors: of each text, of the side as `sources` and `english`: [n, d] in the order of the different texts.
    """
    ours, theirs = _by_text(sources), _by_text(english)
    x, y = normalised(vectors["sources"]), normalised(vectors["english"])
    forth, x_mean = _neighbours(x, y)
    back, y_mean = _neighbours(y, x)
    forth_margin = _margins(x, y, forth, x_mean, y_mean)
    back_margin = _margins(y, x, back, y_mean, x_mean)
    rows = np.arange(len(x)), np.arange(len(y))
    best = forth[rows[0], forth_margin.argmax(1)], back[rows[1], back_margin.argmax(1)]
    places = np.stack((np.concatenate((rows[0], best[1])), np.concatenate((best[0], rows[1]))), axis=1)
    margins = np.concatenate((forth_margin.max(1), back_margin.max(1)))
    used: tuple[set[int], set[int]] = set(), set()
    found = []
    our_ids, their_ids = list(ours.values()), list(theirs.values())
    again = _repeated(sources, ours), _repeated(english, theirs)
    for k in np.argsort(-margins, kind="stable"):
        a, b = (int(place) for place in places[k])
        if a in used[0] or b in used[1]:
            continue
        used[0].add(a)
        used[1].add(b)
        if margins[k] > 0 and not (again[0][a] or again[1][b]):
            found.append(Candidate(our_ids[a], their_ids[b], float(margins[k])))
    return found


def texts_in_order(by_id: Mapping[str, str]) -> list[str]:
    """The different texts, in the order in which `mine` wants their vectors."""
    return list(_by_text(by_id))


def best_threshold(candidates: Sequence[Candidate], gold: Set[Pair]) -> float:
    """The margin at which F1 over the development pairs is highest, midway between two candidates."""
    threshold, best, right = 0.0, 0.0, 0
    for k, candidate in enumerate(candidates, 1):
        right += (candidate.source, candidate.english) in gold
        if not right:
            continue
        precision, recall = right / k, right / len(gold)
        f1 = 2 * precision * recall / (precision + recall)
        if f1 > best:
            following = candidates[k].margin if k < len(candidates) else candidate.margin
            best, threshold = f1, (candidate.margin + following) / 2
    return threshold


def extracted(candidates: Sequence[Candidate], threshold: float) -> set[Pair]:
    """The pairs whose margin reaches the threshold."""
    return {(c.source, c.english) for c in candidates if c.margin >= threshold}


def _by_text(by_id: Mapping[str, str]) -> dict[str, str]:
    """The id of each different text."""
    return {text: identifier for identifier, text in by_id.items()}


def _repeated(by_id: Mapping[str, str], by_text: Mapping[str, str]) -> list[bool]:
    """Whether each different text stands more than once."""
    counts = Counter(by_id.values())
    return [counts[text] > 1 for text in by_text]


def _similarities(queries: Vectors, index: Vectors) -> Iterator[tuple[int, NDArray[np.float32]]]:
    """Cosines of the queries to the whole index, a block of queries at a time with the number of its first one."""
    ours, theirs = normalised(queries), normalised(index)
    size = max(min(BLOCK, MAX_SIMILARITIES // max(len(theirs), 1)), 1)
    for begin in range(0, len(ours), size):
        yield begin, ours[begin : begin + size] @ theirs.T


def _first(similarities: NDArray[np.float32], ranks: int, *, later_first: bool = False) -> NDArray[np.int64]:
    """The nearest places in order, as a whole stable sort would have them.

    Args:
        later_first: of equals the later one comes first, otherwise the earlier one.
    """
    among = np.arange(len(similarities))
    if len(similarities) > ranks:
        least = np.partition(similarities, len(similarities) - ranks)[len(similarities) - ranks]
        among = np.flatnonzero(similarities >= least)
    if later_first:
        return among[np.argsort(similarities[among], kind="stable")[::-1]][:ranks]
    return among[np.argsort(-similarities[among], kind="stable")][:ranks]


def _neighbours(x: Vectors, y: Vectors) -> tuple[NDArray[np.int64], NDArray[np.float32]]:
    """The nearest rows of y to each of x [n, 4], and the mean cosine to them [n]."""
    places, means = [], []
    for _, block in _similarities(x, y):
        order = np.argsort(-block, axis=1, kind="stable")[:, :NEIGHBOURS]
        places.append(order)
        means.append(np.take_along_axis(block, order, axis=1).mean(1))
    return np.concatenate(places), np.concatenate(means)


def _margins(
    x: Vectors,
    y: Vectors,
    places: NDArray[np.int64],
    x_mean: NDArray[np.float32],
    y_mean: NDArray[np.float32],
) -> NDArray[np.float32]:
    """Margin of each of x to each of its neighbours [n, 4]."""
    cosines = np.einsum("nd,nkd->nk", x, y[places])
    margins: NDArray[np.float32] = cosines / ((x_mean[:, None] + y_mean[places]) / 2)
    return margins
