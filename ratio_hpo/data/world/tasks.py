"""Generate examples of the tasks from the people and facts of the embedded world.

An example is a function of (seed, task, language, people, position). Results on these examples are not linguistic
evidence: a tag describes the role of a word in the template, not its part of speech in the language.
"""

from __future__ import annotations

import re
from collections.abc import Callable

import numpy as np

from ratio_hpo.core.errors import ConfigError
from ratio_hpo.core.fingerprint import integer_hash
from ratio_hpo.core.yaml import did_you_mean
from ratio_hpo.data.examples import Asked, ChoiceQuestion, Example, Line, Pair, Sentence, Translation
from ratio_hpo.data.world.generate import (
    KINDS,
    check_language,
    draw_names,
    draw_values,
    generate,
    other_relations,
    texts,
)

Rng = np.random.Generator

WORD = re.compile(r"\w+(?:-\w+)*|[^\w\s]")

UPOS = {"person": "PROPN", "city": "PROPN", "year": "NUM", "job": "NOUN"}
SUPERTAGS = {"first": "N/N", "person": "N", "city": "NP", "year": "N[num]", "job": "N"}


def world_examples(task: str, language: str, people: str, number: int, *, seed: int) -> list[Example]:
    """Return `number` examples of a task about people of a group.

    Raises:
        ConfigError: if the task, the language or the group of people is unknown.

    Examples:
        >>> world_examples("nli", "en", "pool", 1, seed=0)[0].label in ("entailment", "neutral", "contradiction")
        True
    """
    if task not in WORLD_TASKS:
        raise ConfigError(f"the embedded world has no task {task!r} ({did_you_mean(task, list(WORLD_TASKS))})")
    if task == "qa":
        return list(generate(language, people, number, seed=seed))
    check_language(language, people)
    examples: list[Example] = []
    for k in range(number):
        # translations are parallel over the languages, so their facts do not depend on the language
        key = ("world", task, seed, people, k) if task == "tatoeba" else ("world", task, seed, language, people, k)
        identifier = f"{language}-{task}-{people}-{seed}-{k}"
        examples.append(_GENERATORS[task](np.random.default_rng(integer_hash(*key)), language, people, identifier))
    return examples


def _statement(rng: Rng, language: str, relation: str, name: str, value: str) -> str:
    return texts().text(language, relation, int(rng.integers(2)), name=name, value=value)


def _facts(rng: Rng, language: str, people: str, number: int) -> tuple[list[str], list[str], dict[str, str]]:
    """Draw three people, and relations of the first one with values; the first two relations are of one kind."""
    relation = str(rng.choice([r for r in KINDS if KINDS[r] != "job"]))
    same_kind, others = other_relations(relation)
    relations = [relation, str(rng.choice(same_kind)), *map(str, rng.choice(others, size=number, replace=False))]
    names = draw_names(rng, people)
    return names, relations, draw_values(rng, relations, language, names[1:])


def _passage(rng: Rng, language: str, name: str, values: dict[str, str]) -> str:
    relations = list(values)
    rng.shuffle(relations)
    return " ".join(_statement(rng, language, relation, name, values[relation]) for relation in relations)


def _nli(rng: Rng, language: str, people: str, identifier: str) -> Pair:
    """Entailed: a fact of the passage. Contradicted: a fact with another value. Neutral: a fact not in the passage."""
    names, relations, values = _facts(rng, language, people, 1)
    label = str(rng.choice(["entailment", "neutral", "contradiction"]))
    relation, other = relations[0], relations[1]
    stated = {r: v for r, v in values.items() if r != relation} if label == "neutral" else values
    value = values[other] if label == "contradiction" else values[relation]
    hypothesis = _statement(rng, language, relation, names[0], value)
    return Pair(id=identifier, group=identifier, first=_passage(rng, language, names[0], stated), second=hypothesis,
                label=label)  # fmt: skip


def _paraphrase(rng: Rng, language: str, people: str, identifier: str) -> Pair:
    """Return one fact in two templates, or two relations of one kind with the same value."""
    names, relations, values = _facts(rng, language, people, 1)
    first, same = relations[0], bool(rng.integers(2))
    second = first if same else relations[1]
    pair = [
        texts().text(language, relation, k, name=names[0], value=values[first])
        for k, relation in enumerate((first, second))
    ]
    return Pair(id=identifier, group=identifier, first=pair[0], second=pair[1], label=str(int(same)), symmetric=True)


def _choice(rng: Rng, language: str, people: str, identifier: str) -> ChoiceQuestion:
    """Return a question on a passage with three values: correct, of another kind, and drawn again.

    Rarely, a year or a person that is drawn again is the correct one too; a change would alter all fingerprints.
    """
    names, relations, values = _facts(rng, language, people, 1)
    relation = relations[0]
    kind = KINDS[relation]
    absent = {
        "city": lambda: str(rng.choice([c for c in texts().cities if c not in values.values()])),
        "year": lambda: str(rng.integers(1920, 2010)),
        "person": lambda: draw_names(rng, people)[0],
    }[kind]()
    choices = [values[relation], values[relations[2]], absent]
    order = rng.permutation(3)
    question = texts().text(language, relation, 2 + int(rng.integers(2)), name=names[0])
    return ChoiceQuestion(
        id=identifier,
        group=identifier,
        prompt=f"{_passage(rng, language, names[0], values)} {question}",
        choices=tuple(choices[k] for k in order),
        label=int(np.flatnonzero(order == 0)[0]),
    )


def _tagged_sentence(tags_of: Callable[[list[str], str | None], list[str]]) -> Callable[..., Sentence]:
    """Return a generator of sentences whose words are tagged by their role in the template."""

    def make(rng: Rng, language: str, people: str, identifier: str) -> Sentence:
        relation = str(rng.choice(list(KINDS)))
        names = draw_names(rng, people)
        value = draw_values(rng, [relation], language, names[1:])[relation]
        template = texts().templates[language][relation][int(rng.integers(2))]
        words: list[str] = []
        tags: list[str] = []
        for part in re.split(r"(\{name\}|\{value\})", template):
            kind = {"{name}": "person", "{value}": KINDS[relation]}.get(part)
            text = {"{name}": names[0], "{value}": value}.get(part, part)
            part_words = WORD.findall(text)
            words += part_words
            tags += tags_of(part_words, kind)
        return Sentence(id=identifier, group=identifier, words=tuple(words), tags=tuple(tags))

    return make


def _upos(words: list[str], kind: str | None) -> list[str]:
    if kind is not None:
        return [UPOS[kind]] * len(words)
    return ["X" if word[0].isalnum() else "PUNCT" for word in words]


def _entities(words: list[str], kind: str | None) -> list[str]:
    label = {"person": "PER", "city": "LOC"}.get(kind or "")
    return ["O" if label is None else f"{'I' if k else 'B'}-{label}" for k in range(len(words))]


def _supertags(words: list[str], kind: str | None) -> list[str]:
    if kind is None:
        return ["S\\NP" if word[0].isalnum() else "." for word in words]
    first = [SUPERTAGS["first"]] * (len(words) - 1)
    return [*first, SUPERTAGS[kind]]


def _line(rng: Rng, language: str, people: str, identifier: str) -> Line:
    names, _, values = _facts(rng, language, people, 2)
    return Line(id=identifier, group=identifier, text=_passage(rng, language, names[0], values))


def _translation(rng: Rng, language: str, people: str, identifier: str) -> Translation:
    """Return a fact in two languages. Jobs are translated; other values are the same in both."""
    relation = str(rng.choice(list(KINDS)))
    names = draw_names(rng, people)
    if KINDS[relation] == "job":
        index = int(rng.integers(len(texts().jobs["en"])))
        pair = [texts().jobs[code][index] for code in (language, "en")]
    else:
        pair = [draw_values(rng, [relation], language, names[1:])[relation]] * 2
    sentences = [
        _statement(rng, code, relation, names[0], value) for code, value in zip((language, "en"), pair, strict=True)
    ]
    return Translation(id=identifier, group=identifier, text=sentences[0], english=sentences[1])


def _retrieval_question(rng: Rng, language: str, people: str, identifier: str) -> Asked:
    """Return a question on a passage of three facts; the candidates are the sentences of the passage."""
    names, relations, values = _facts(rng, language, people, 1)
    rng.shuffle(relations)
    sentences = [_statement(rng, language, relation, names[0], values[relation]) for relation in relations]
    answer, passage = int(rng.integers(3)), " ".join(sentences)
    return Asked(
        id=identifier,
        group=identifier,
        question=texts().text(language, relations[answer], 2 + int(rng.integers(2)), name=names[0]),
        context=passage,
        candidates=tuple(f"{sentence}{passage}" for sentence in sentences),
        answer=answer,
    )


_GENERATORS: dict[str, Callable[[Rng, str, str, str], Example]] = {
    "nli": _nli,
    "paraphrase": _paraphrase,
    "choice": _choice,
    "pos": _tagged_sentence(_upos),
    "ner": _tagged_sentence(_entities),
    "ccg": _tagged_sentence(_supertags),
    "mlm": _line,
    "tatoeba": _translation,
    "lareqa": _retrieval_question,
}

WORLD_TASKS = ("qa", *_GENERATORS)
"""The tasks for which the embedded world has examples."""
