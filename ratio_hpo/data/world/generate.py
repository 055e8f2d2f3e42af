"""Passages about one person each: four or five facts, one of them asked for, one a distractor of its type.

Text is a function of (seed, language, people, position). The languages share names, cities and years; nothing
here is linguistic evidence.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np

from ratio_hpo.core.config import load_yaml
from ratio_hpo.core.errors import ConfigError
from ratio_hpo.core.fingerprint import integer_hash
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
"""Groups with last names of their own: nobody is in two of them."""


@dataclass(frozen=True, slots=True)
class Passage:
    """A generated passage, the relation asked for, and where its value stands."""

    name: str
    relation: str
    context: str
    value: str
    start: int


def generate(language: str, people: str, number: int, *, seed: int) -> list[Question]:
    """`number` questions on as many passages.

    Raises:
        ConfigError: an unknown language or group of people.
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
    """Pretraining material: the `question` is a statement of a fact with its value masked."""
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
    known = texts()
    asked = str(rng.choice(list(KINDS)))
    same = [relation for relation, kind in KINDS.items() if kind == KINDS[asked] and relation != asked]
    others = [relation for relation in KINDS if relation != asked and relation not in same]
    relations = [asked, *([str(rng.choice(same))] if same else [])]
    extra = int(rng.integers(4, 6)) - len(relations)
    relations += [str(relation) for relation in rng.choice(others, size=extra, replace=False)]
    rng.shuffle(relations)
    names = draw_names(rng, people)
    values = draw_values(rng, relations, language, names[1:])
    context, start = "", 0
    for relation in relations:
        template = known[language][relation][int(rng.integers(2))]
        before, after = template.split("{value}")
        context += " " if context else ""
        context += before.format(name=names[0])
        if relation == asked:
            start = len(context)
        context += values[relation] + after.format(name=names[0])
    return Passage(names[0], asked, context, values[asked], start)


def draw_values(rng: np.random.Generator, relations: list[str], language: str, names: list[str]) -> dict[str, str]:
    """A value of each relation, different ones where two are of one kind."""
    known = texts()
    cities = iter(rng.choice(known["cities"], size=3, replace=False))
    years = iter(rng.choice(np.arange(1920, 2010), size=2, replace=False))
    people = iter(names)
    draw = {
        "city": lambda: str(next(cities)),
        "year": lambda: str(next(years)),
        "person": lambda: next(people),
        "job": lambda: str(rng.choice(known["jobs"][language])),
    }
    return {relation: draw[KINDS[relation]]() for relation in relations}


def draw_names(rng: np.random.Generator, people: str) -> list[str]:
    """Three different people of a group: who the passage is about, and two others."""
    known = texts()
    last = [name for k, name in enumerate(known["last_names"]) if PEOPLE[k % len(PEOPLE)] == people]
    firsts = rng.choice(known["first_names"], size=3, replace=False)
    lasts = rng.choice(last, size=3, replace=False)
    return [f"{a} {b}" for a, b in zip(firsts, lasts, strict=True)]


@cache
def texts() -> dict[str, Any]:
    """Templates, names, cities and jobs."""
    return load_yaml(Path(__file__).with_name("templates.yaml"))


def check_language(language: str, people: str) -> None:
    """Refuse what the world does not have.

    Raises:
        ConfigError: an unknown language or group of people.
    """
    if language not in LANGUAGES:
        raise ConfigError(f"the embedded world has no language {language!r}; known: {', '.join(LANGUAGES)}")
    if people not in PEOPLE:
        raise ConfigError(f"the embedded world has no people {people!r}; known: {', '.join(PEOPLE)}")
