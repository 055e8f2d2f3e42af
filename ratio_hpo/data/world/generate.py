"""Generate passages about one person each: four or five facts, including the answer and a distractor of its type.

Text is a function of (seed, language, people, position). The languages share names, cities and years, so results on
this world are not linguistic evidence.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np

from ratio_hpo.core.errors import ConfigError
from ratio_hpo.core.fingerprint import integer_hash
from ratio_hpo.core.yaml import load_yaml
from ratio_hpo.data.examples import Answer, Question

LANGUAGES = ("en", "de", "es", "ru", "fi", "id", "sw", "ko")
KINDS = {
    "birthplace": "city",
    "home": "city",
    "study": "city",
    "born": "year",
    "school": "year",
    "spouse": "person",
    "teacher": "person",
    "job": "job",
}
PEOPLE = ("pretraining", "pool", "target", "evaluation")
"""Groups of people with disjoint last names, so no person is in two groups."""


@dataclass(frozen=True, slots=True)
class Passage:
    """A generated passage.

    Attributes:
        name: the person that the passage is about.
        relation: the relation that the question asks about.
        context: text of the passage.
        value: value of the relation, which is the answer.
        start: position of the value in `context`.
    """

    name: str
    relation: str
    context: str
    value: str
    start: int


def generate(language: str, people: str, number: int, *, seed: int) -> list[Question]:
    """Return `number` questions, each on a separate passage.

    Raises:
        ConfigError: if the language or the group of people is unknown.
    """
    check_language(language, people)
    templates = texts()[language]
    result = []
    for k in range(number):
        rng = np.random.default_rng(integer_hash("world", seed, language, people, k))
        passage = _passage(rng, language, people)
        question = templates[passage.relation][2 + rng.integers(2)].format(name=passage.name)
        identifier = f"{language}-{people}-{seed}-{k}"
        answer = Answer(passage.value, passage.start)
        result.append(
            Question(id=identifier, question=question, context=passage.context, answers=(answer,), group=identifier)
        )
    return result


def masked_statements(language: str, number: int, *, seed: int, mask: str) -> list[Question]:
    """Return pretraining examples, whose `question` is a statement of a fact with the value masked."""
    check_language(language, "pretraining")
    templates = texts()[language]
    result = []
    for k in range(number):
        rng = np.random.default_rng(integer_hash("masked", seed, language, k))
        passage = _passage(rng, language, "pretraining")
        statement = templates[passage.relation][rng.integers(2)].format(name=passage.name, value=mask)
        identifier = f"{language}-masked-{k}"
        answer = Answer(passage.value, passage.start)
        result.append(
            Question(id=identifier, question=statement, context=passage.context, answers=(answer,), group=identifier)
        )
    return result


def _passage(rng: np.random.Generator, language: str, people: str) -> Passage:
    templates = texts()
    question_relation = str(rng.choice(list(KINDS)))
    same_kind = [
        relation
        for relation, kind in KINDS.items()
        if kind == KINDS[question_relation] and relation != question_relation
    ]
    others = [relation for relation in KINDS if relation != question_relation and relation not in same_kind]
    relations = [question_relation, *([str(rng.choice(same_kind))] if same_kind else [])]
    extra = int(rng.integers(4, 6)) - len(relations)
    relations += [str(relation) for relation in rng.choice(others, size=extra, replace=False)]
    rng.shuffle(relations)
    names = draw_names(rng, people)
    values = draw_values(rng, relations, language, names[1:])
    context, start = "", 0
    for relation in relations:
        template = templates[language][relation][int(rng.integers(2))]
        before, after = template.split("{value}")
        context += " " if context else ""
        context += before.format(name=names[0])
        if relation == question_relation:
            start = len(context)
        context += values[relation] + after.format(name=names[0])
    return Passage(names[0], question_relation, context, values[question_relation], start)


def draw_values(rng: np.random.Generator, relations: list[str], language: str, names: list[str]) -> dict[str, str]:
    """Draw a value for each relation; two relations of one kind get different values."""
    world = texts()
    cities = iter(rng.choice(world["cities"], size=3, replace=False))
    years = iter(rng.choice(np.arange(1920, 2010), size=2, replace=False))
    people = iter(names)
    draw = {
        "city": lambda: str(next(cities)),
        "year": lambda: str(next(years)),
        "person": lambda: next(people),
        "job": lambda: str(rng.choice(world["jobs"][language])),
    }
    return {relation: draw[KINDS[relation]]() for relation in relations}


def draw_names(rng: np.random.Generator, people: str) -> list[str]:
    """Draw three different people of a group: the person that the passage is about, and two others."""
    world = texts()
    last_names = [name for k, name in enumerate(world["last_names"]) if PEOPLE[k % len(PEOPLE)] == people]
    first_names = rng.choice(world["first_names"], size=3, replace=False)
    drawn_last_names = rng.choice(last_names, size=3, replace=False)
    return [f"{a} {b}" for a, b in zip(first_names, drawn_last_names, strict=True)]


@cache
def texts() -> dict[str, Any]:
    """Return the templates, names, cities and jobs."""
    return load_yaml(Path(__file__).with_name("templates.yaml"))


def check_language(language: str, people: str) -> None:
    """Check that the world has a language and a group of people.

    Raises:
        ConfigError: if the language or the group of people is unknown.
    """
    if language not in LANGUAGES:
        raise ConfigError(f"the embedded world has no language {language!r}; known: {', '.join(LANGUAGES)}")
    if people not in PEOPLE:
        raise ConfigError(f"the embedded world has no group of people {people!r}; known: {', '.join(PEOPLE)}")
