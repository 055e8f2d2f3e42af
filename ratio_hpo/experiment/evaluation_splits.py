"""Evaluation splits of an experiment by target, language and split, held out of all training data."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

from ratio_hpo.core.errors import ConfigError
from ratio_hpo.core.fingerprint import unit_hash
from ratio_hpo.core.measures import SPLITS
from ratio_hpo.data.corpora import CorpusReader
from ratio_hpo.data.examples import Example, Placed, Question
from ratio_hpo.data.leaks import lasting_ids
from ratio_hpo.experiment.spec import ExperimentSpec, TargetSpec

Parts = dict[str, dict[str, list[Any]]]
"""Examples by language and split."""


@dataclass(slots=True)
class EvaluationSplits:
    """Evaluation examples of all targets.

    Attributes:
        parts: Examples of each target.
        parallel: For each parallel corpus, ids of all examples that are parallel to an evaluation example.
        ids: Ids of all evaluation examples, as `lasting_ids` returns them.
        generated: Whether all examples are from the embedded world.
    """

    parts: dict[str, Parts]
    parallel: dict[str, frozenset[str]]
    ids: frozenset[str]
    generated: bool

    def of(self, language: str) -> list[Example]:
        """Return all examples of a language, over all tasks."""
        splits = [part for target in self.parts.values() for part in target.get(language, {}).values()]
        return [example for part in splits for example in part]


def held_out(experiment: ExperimentSpec, reader: CorpusReader) -> EvaluationSplits:
    """Read the splits of every language of every target.

    Raises:
        ConfigError: A split is empty, or the metric cannot score questions without an answer.
        DataError: A corpus cannot be read.
    """
    parts: dict[str, Parts] = {}
    ids: set[str] = set()
    relatives: dict[str, frozenset[str]] = {}
    for name, target in experiment.all_targets().items():
        parts[name] = {}
        for language in target.languages:
            parts[name][language] = _splits(experiment, target, language, reader, relatives)
            for corpus in target.evaluation:
                if language in experiment.corpora[corpus].languages:
                    ids |= {i for split in SPLITS for i in lasting_ids(reader.part(corpus, split, language))}
        _check_answerable(name, target, parts[name])
    corpora = {corpus for target in experiment.all_targets().values() for corpus in target.evaluation}
    return EvaluationSplits(parts, relatives, frozenset(ids), all(reader.is_generated(corpus) for corpus in corpora))


def retrieval_examples(
    experiment: ExperimentSpec, target: str, reader: CorpusReader, splits: Sequence[str]
) -> list[Placed]:
    """Return all examples of a retrieval target, with the split of each query.

    Queries are all items of a split, or `items` of them, sampled once.
    """
    spec = experiment.all_targets()[target]
    corpora = [
        (language, corpus)
        for language in spec.languages
        for corpus in spec.evaluation
        if language in experiment.corpora[corpus].languages
    ]
    queries = {
        (language, corpus, example.id): split
        for language, corpus in corpora
        for split in splits
        for example in reader.part(corpus, split, language)
        if example.is_asked
    }
    if spec.items != "all":
        per_language = -(-spec.items // len(spec.languages))
        for split in splits:
            chosen = sorted(
                (key for key, of in queries.items() if of == split),
                key=lambda key: unit_hash("items", experiment.seed, target, *key),
            )
            for language in spec.languages:
                for key in [key for key in chosen if key[0] == language][per_language:]:
                    del queries[key]
    several = len(spec.evaluation) > 1
    return [
        Placed(
            id=f"{corpus}:{example.id}" if several else example.id,
            group=example.group,
            example=example,
            language=language,
            split=queries.get((language, corpus, example.id), ""),
        )
        for language, corpus in corpora
        for example in reader.whole(corpus, language)
    ]


def _splits(
    experiment: ExperimentSpec,
    target: TargetSpec,
    language: str,
    reader: CorpusReader,
    relatives: dict[str, frozenset[str]],
) -> dict[str, list[Any]]:
    """Return the splits of a language; ids that occur in two corpora get the corpus as a prefix."""
    entries_by_split: dict[str, list[tuple[str, Any]]] = {split: [] for split in SPLITS}
    for corpus in target.evaluation:
        if language in experiment.corpora[corpus].languages:
            for split in SPLITS:
                examples = reader.part(corpus, split, language)
                entries_by_split[split] += [(corpus, example) for example in examples]
                relatives[corpus] = relatives.get(corpus, frozenset()) | reader.relatives(corpus, examples)
    times = Counter(example.id for entries in entries_by_split.values() for _, example in entries)
    splits = {
        split: [replace(e, id=f"{corpus}:{e.id}") if times[e.id] > 1 else e for corpus, e in entries]
        for split, entries in entries_by_split.items()
    }
    for split, examples in splits.items():
        if not examples:
            raise ConfigError(f"evaluation: {language} has no example in {split}; enlarge this part of its corpus")
    return splits


def _check_answerable(name: str, target: TargetSpec, parts: Parts) -> None:
    if target.task != "qa" or target.metric == "squad2":
        return
    unanswered = sum(
        isinstance(example, Question) and not example.answers
        for splits in parts.values()
        for part in splits.values()
        for example in part
    )
    if unanswered:
        raise ConfigError(
            f"targets.{name}: {unanswered} question(s) of its evaluation have no answer, which metric "
            f"`{target.metric or 'squad'}` cannot score; use metric `squad2`, or format `squad`"
        )
