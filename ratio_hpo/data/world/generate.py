"""Generate passages about one person each: four or five facts, including the answer and a distractor of its type.

Text is a function of (seed, language, people, position). The languages share names, cities and years, so results on
this world are not linguistic evidence.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from pathlib import Path

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
    questions = []
    for k in range(number):
        rng = np.random.default_rng(integer_hash("world", seed, language, people, k))
        passage = _passage(rng, language, people)
        question = texts().text(language, passage.relation, 2 + int(rng.integers(2)), name=passage.name)
        questions.append(_question(passage, question, f"{language}-{people}-{seed}-{k}"))
    return questions


def masked_statements(language: str, number: int, *, seed: int, mask: str) -> list[Question]:
    """Return pretraining examples, whose `question` is a statement of a fact with the value masked."""
    check_language(language, "pretraining")
    statements = []
    for k in range(number):
        rng = np.random.default_rng(integer_hash("masked", seed, language, k))
        passage = _passage(rng, language, "pretraining")
        statement = texts().text(language, passage.relation, int(rng.integers(2)), name=passage.name, value=mask)
        statements.append(_question(passage, statement, f"{language}-masked-{k}"))
    return statements


def _question(passage: Passage, question: str, identifier: str) -> Question:
    answer = Answer(passage.value, passage.start)
    return Question(id=identifier, question=question, context=passage.context, answers=(answer,), group=identifier)


def _passage(rng: np.random.Generator, language: str, people: str) -> Passage:
    question_relation = str(rng.choice(list(KINDS)))
    same_kind, others = other_relations(question_relation)
    relations = [question_relation, *([str(rng.choice(same_kind))] if same_kind else [])]
    extra = int(rng.integers(4, 6)) - len(relations)
    relations += [str(relation) for relation in rng.choice(others, size=extra, replace=False)]
    rng.shuffle(relations)
    names = draw_names(rng, people)
    values = draw_values(rng, relations, language, names[1:])
    context, start = "", 0
    for relation in relations:
        template = texts().templates[language][relation][int(rng.integers(2))]
        before, after = template.split("{value}")
        context += " " if context else ""
        context += before.format(name=names[0])
        if relation == question_relation:
            start = len(context)
        context += values[relation] + after.format(name=names[0])
    return Passage(names[0], question_relation, context, values[question_relation], start)


def other_relations(relation: str) -> tuple[list[str], list[str]]:
    """Return the other relations whose values are of the same kind, and those whose values are not."""
    others = [other for other in KINDS if other != relation]
    return [o for o in others if KINDS[o] == KINDS[relation]], [o for o in others if KINDS[o] != KINDS[relation]]


def draw_values(rng: np.random.Generator, relations: list[str], language: str, names: list[str]) -> dict[str, str]:
    """Draw a value for each relation; two relations of one kind get different values."""
    world = texts()
    cities = iter(rng.choice(world.cities, size=3, replace=False))
    years = iter(rng.choice(np.arange(1920, 2010), size=2, replace=False))
    people = iter(names)
    draw = {
        "city": lambda: str(next(cities)),
        "year": lambda: str(next(years)),
        "person": lambda: next(people),
        "job": lambda: str(rng.choice(world.jobs[language])),
    }
    return {relation: draw[KINDS[relation]]() for relation in relations}


def draw_names(rng: np.random.Generator, people: str) -> list[str]:
    """Draw three different people of a group: the person that the passage is about, and two others."""
    world = texts()
    last_names = [name for k, name in enumerate(world.last_names) if PEOPLE[k % len(PEOPLE)] == people]
    first_names = rng.choice(world.first_names, size=3, replace=False)
    drawn_last_names = rng.choice(last_names, size=3, replace=False)
    return [f"{a} {b}" for a, b in zip(first_names, drawn_last_names, strict=True)]


@dataclass(frozen=True, slots=True, kw_only=True)
class Texts:
    """The texts that the world is made of.

    Attributes:
        templates: two statements and two questions of each relation, by language and relation.
        first_names, last_names, cities: names that all languages share.
        jobs: jobs by language; equal positions are translations.
    """

    templates: dict[str, dict[str, list[str]]]
    first_names: list[str]
    last_names: list[str]
    cities: list[str]
    jobs: dict[str, list[str]]

    def text(self, language: str, relation: str, position: int, **values: str) -> str:
        """Return a template of a relation with its values."""
        return self.templates[language][relation][position].format(**values)


@cache
def texts() -> Texts:
    """Return the templates, names, cities and jobs."""
    content = load_yaml(Path(__file__).with_name("templates.yaml"))
    lists = {name: content[name] for name in ("first_names", "last_names", "cities", "jobs")}
    return Texts(templates={language: content[language] for language in LANGUAGES}, **lists)


def check_language(language: str, people: str) -> None:
    """Check that the world has a language and a group of people.

    Raises:
        ConfigError: if the language or the group of people is unknown.
    """
    if language not in LANGUAGES:
        raise ConfigError(f"the embedded world has no language {language!r}; known: {', '.join(LANGUAGES)}")
    if people not in PEOPLE:
        raise ConfigError(f"the embedded world has no group of people {people!r}; known: {', '.join(PEOPLE)}")
