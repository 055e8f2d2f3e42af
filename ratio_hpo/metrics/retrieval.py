"""Retrieval by sentence vectors: nearest neighbour, mining by margin, mean average precision. NumPy only.

Written from the definitions: Tatoeba and BUCC as in XTREME (Hu et al. 2020), with the margin of Artetxe and Schwenk
2019; mAP@20 as in XTREME-R for LAReQA (Roy et al. 2020).
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence, Set
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Vectors = NDArray[np.float32]

BLOCK = 1024
"""Maximum number of queries per block."""

MAX_SIMILARITIES = 2**26
"""Maximum number of similarities in memory."""

NEIGHBOURS, MAX_RANKS = 4, 20

Pair = tuple[str, str]


def normalised(vectors: Vectors) -> Vectors:
    """Scale vectors to length 1; zero vectors stay zero."""
    lengths = np.linalg.norm(vectors, axis=1, keepdims=True)
    unit: Vectors = (vectors / np.where(lengths > 0, lengths, 1.0)).astype(np.float32)
    return unit


def nearest(queries: Vectors, index: Vectors) -> NDArray[np.int64]:
    """Return the row of `index` [m, d] with the highest cosine to each query [n, d]; the first one on ties [n].

    Examples:
        >>> nearest(np.eye(2, dtype=np.float32), np.eye(2, dtype=np.float32)[::-1]).tolist()
        [1, 0]
    """
    rows = [block.argmax(1) for _, block in _similarities(queries, index)]
    return np.concatenate(rows) if rows else np.empty(0, dtype=np.int64)


def average_precisions(
    queries: Vectors,
    candidates: Vectors,
    targets: Sequence[Set[int]],
    ranks: int = MAX_RANKS,
    *,
    later_first: bool = False,
) -> NDArray[np.float64]:
    """Return the average precision within the first `ranks` of each query [n]; the divisor is min(targets, ranks).

    Args:
        queries: vectors of the queries [n, d].
        candidates: vectors of the candidates [m, d].
        targets: rows of the right candidates, for each query.
        ranks: number of ranks that count.
        later_first: rank the later of equally near candidates first, instead of the earlier one.

    Examples:
        >>> eye = np.eye(3, dtype=np.float32)
        >>> average_precisions(eye[:1], eye, [{0}]).tolist()
        [1.0]
    """
    values = np.zeros(len(queries))
    for begin, block in _similarities(queries, candidates):
        for k, ranked in enumerate((_top_ranked(row, ranks, later_first=later_first) for row in block), begin):
            hits = np.array([int(position) in targets[k] for position in ranked], dtype=np.float64)
            precision = hits.cumsum() / np.arange(1, len(hits) + 1)
            values[k] = (precision * hits).sum() / max(min(len(targets[k]), ranks), 1)
    return values


@dataclass(frozen=True, slots=True)
class Candidate:
    """A candidate translation pair with its margin."""

    source: str
    english: str
    margin: float


def mine(sources: Mapping[str, str], english: Mapping[str, str], vectors: Mapping[str, Vectors]) -> list[Candidate]:
    """Return candidate pairs by decreasing margin, with each sentence in at most one pair.

    The margin of a pair is its cosine divided by the mean cosine of both sentences to their four nearest neighbours on
    the other side. Best pairs are searched from both sides. Sentences with the same text count as one sentence. If a
    text occurs more than once on its side, it still takes a partner, but the pair is omitted because it does not
    identify a sentence (as in XTREME's script).

    Args:
        sources, english: text of each id.
        vectors: vectors [n, d] of the distinct texts, in the order of `texts_in_order`, by side.
    """
    source_ids, english_ids = _by_text(sources), _by_text(english)
    x, y = normalised(vectors["sources"]), normalised(vectors["english"])
    forth, x_mean = _neighbours(x, y)
    back, y_mean = _neighbours(y, x)
    forth_margin = _margins(x, y, forth, x_mean, y_mean)
    back_margin = _margins(y, x, back, y_mean, x_mean)
    rows = np.arange(len(x)), np.arange(len(y))
    best = forth[rows[0], forth_margin.argmax(1)], back[rows[1], back_margin.argmax(1)]
    pair_rows = np.stack((np.concatenate((rows[0], best[1])), np.concatenate((best[0], rows[1]))), axis=1)
    margins = np.concatenate((forth_margin.max(1), back_margin.max(1)))
    used: tuple[set[int], set[int]] = set(), set()
    pairs = []
    source_id_list, english_id_list = list(source_ids.values()), list(english_ids.values())
    repeated = _repeated(sources, source_ids), _repeated(english, english_ids)
    for k in np.argsort(-margins, kind="stable"):
        a, b = (int(row) for row in pair_rows[k])
        if a in used[0] or b in used[1]:
            continue
        used[0].add(a)
        used[1].add(b)
        if margins[k] > 0 and not (repeated[0][a] or repeated[1][b]):
            pairs.append(Candidate(source_id_list[a], english_id_list[b], float(margins[k])))
    return pairs


def texts_in_order(by_id: Mapping[str, str]) -> list[str]:
    """Return the distinct texts, in the order in which `mine` expects their vectors."""
    return list(_by_text(by_id))


def best_threshold(candidates: Sequence[Candidate], gold: Set[Pair]) -> float:
    """Return the margin with the highest F1 on the development pairs, midway between two candidates."""
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
    """Return the pairs whose margin reaches the threshold."""
    return {(c.source, c.english) for c in candidates if c.margin >= threshold}


def _by_text(by_id: Mapping[str, str]) -> dict[str, str]:
    """Return the id of each distinct text; the last one if a text has several."""
    return {text: identifier for identifier, text in by_id.items()}


def _repeated(by_id: Mapping[str, str], by_text: Mapping[str, str]) -> list[bool]:
    """Return whether each distinct text occurs more than once."""
    counts = Counter(by_id.values())
    return [counts[text] > 1 for text in by_text]


def _similarities(queries: Vectors, index: Vectors) -> Iterator[tuple[int, NDArray[np.float32]]]:
    """Yield the cosines of queries to the whole index in blocks, each with the index of its first query."""
    query_vectors, index_vectors = normalised(queries), normalised(index)
    size = max(min(BLOCK, MAX_SIMILARITIES // max(len(index_vectors), 1)), 1)
    for begin in range(0, len(query_vectors), size):
        yield begin, query_vectors[begin : begin + size] @ index_vectors.T


def _top_ranked(similarities: NDArray[np.float32], ranks: int, *, later_first: bool = False) -> NDArray[np.int64]:
    """Return the positions of the nearest candidates, in the order of a stable sort.

    Args:
        similarities: cosine of each candidate.
        ranks: number of positions.
        later_first: rank the later of equal candidates first, instead of the earlier one.
    """
    positions = np.arange(len(similarities))
    if len(similarities) > ranks:
        threshold = np.partition(similarities, len(similarities) - ranks)[len(similarities) - ranks]
        positions = np.flatnonzero(similarities >= threshold)
    if later_first:
        return positions[np.argsort(similarities[positions], kind="stable")[::-1]][:ranks]
    return positions[np.argsort(-similarities[positions], kind="stable")][:ranks]


def _neighbours(x: Vectors, y: Vectors) -> tuple[NDArray[np.int64], NDArray[np.float32]]:
    """Return the rows of y that are nearest to each row of x [n, 4], and the mean cosine to them [n]."""
    rows, means = [], []
    for _, block in _similarities(x, y):
        order = np.argsort(-block, axis=1, kind="stable")[:, :NEIGHBOURS]
        rows.append(order)
        means.append(np.take_along_axis(block, order, axis=1).mean(1))
    return np.concatenate(rows), np.concatenate(means)


def _margins(
    x: Vectors, y: Vectors, neighbours: NDArray[np.int64], x_mean: NDArray[np.float32], y_mean: NDArray[np.float32]
) -> NDArray[np.float32]:
    """Return the margin of each row of x to each of its neighbours [n, 4]."""
    cosines = np.einsum("nd,nkd->nk", x, y[neighbours])
    margins: NDArray[np.float32] = cosines / ((x_mean[:, None] + y_mean[neighbours]) / 2)
    return margins
