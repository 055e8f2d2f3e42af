"""Corpora: named sets of questions in one or more languages, from files, the hub or the embedded world."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated, Literal

from pydantic import AfterValidator, Field, Strict, model_validator

from ratio_hpo.core.config import Real, Spec, Whole
from ratio_hpo.data.hub import read_hub
from ratio_hpo.data.parallel import Components
from ratio_hpo.data.questions import Question
from ratio_hpo.data.report import Report
from ratio_hpo.data.splits import Sizes, check_sizes, cut
from ratio_hpo.data.squad import read_squad
from ratio_hpo.data.world import LANGUAGES, generate

PartSize = Whole | Real | Literal["rest"]
Language = Annotated[str, Strict()]


def _fillable(template: str) -> str:
    try:
        template.format(language="xx")
    except (KeyError, IndexError, ValueError) as error:
        raise ValueError(f"{template!r} may hold {{language}} and no other braces; correct it") from error
    return template


Template = Annotated[str, Strict(), AfterValidator(_fillable)]


class _CorpusSpec(Spec):
    """What all corpora have."""

    languages: list[Language] = Field(min_length=1)
    """Language codes; `{language}` in a path, config or split stands for each."""

    parts: dict[str, PartSize] = Field(default_factory=dict)
    """Sizes of parts by name, cut by passage: fractions, numbers of questions, or `rest`; none: one part, `all`."""

    @property
    def cut_alike(self) -> bool:
        """Whether passages are shared between languages."""
        return False

    @model_validator(mode="after")
    def _sizes_fit(self) -> _CorpusSpec:
        check_sizes(self.parts, parallel=self.cut_alike)
        return self


class FileCorpusSpec(_CorpusSpec):
    """SQuAD-format JSON, JSONL or Parquet below the data folder."""

    kind: Literal["files"]
    """What tells it from the other corpora."""

    path: Template
    """Below the data folder; the ending says what it is: .json, .jsonl, .ndjson (each also .gz), .parquet."""

    parallel: bool = False
    """Whether languages hold the same passages under the same question ids, so that all are cut alike."""

    @property
    def cut_alike(self) -> bool:
        return self.parallel

    def load(self, language: str, root: Path, *, strict: bool) -> tuple[list[Question], Report | None]:
        path = root / self.path.format(language=language)
        return read_squad(path, strict=strict)


class HubCorpusSpec(_CorpusSpec):
    """A data set of the hub at a pinned commit."""

    kind: Literal["hub"]
    """What tells it from the other corpora."""

    dataset: str
    """Name on the hub, `owner/name`."""

    config: Template | None = None
    """Configuration of the data set; none: its default."""

    split: Template
    """Split of the data set."""

    revision: str
    """Commit of 40 hexadecimal digits; branches and tags move."""

    parallel: bool = False
    """As in files."""

    @property
    def cut_alike(self) -> bool:
        return self.parallel

    def load(self, language: str, root: Path, *, strict: bool) -> tuple[list[Question], Report | None]:
        config = self.config.format(language=language) if self.config else None
        split = self.split.format(language=language)
        return read_hub(self.dataset, config, split, self.revision, strict=strict)


class WorldCorpusSpec(_CorpusSpec):
    """Generated questions of the embedded world."""

    kind: Literal["world"]
    """What tells it from the other corpora."""

    people: Literal["pool", "target", "evaluation"]
    """Whose facts they are about: no person is in two groups."""

    questions: Whole | dict[str, Whole]
    """How many, in each language or by language."""

    seed: Whole = 0
    """Of the generated facts."""

    @model_validator(mode="after")
    def _languages_known(self) -> WorldCorpusSpec:
        unknown = [language for language in self.languages if language not in LANGUAGES]
        if unknown:
            raise ValueError(f"the embedded world has no language {unknown[0]}; known: {', '.join(LANGUAGES)}")
        if isinstance(self.questions, dict):
            absent = [language for language in self.languages if language not in self.questions]
            if absent:
                raise ValueError(f"questions needs a number for {absent[0]}; add it")
        return self

    def load(self, language: str, root: Path, *, strict: bool) -> tuple[list[Question], Report | None]:
        number = self.questions[language] if isinstance(self.questions, dict) else self.questions
        return generate(language, self.people, number, seed=self.seed), None


Corpus = Annotated[FileCorpusSpec | HubCorpusSpec | WorldCorpusSpec, Field(discriminator="kind")]


class CorpusReader:
    """Reads corpora once each, and cuts them into parts.

    Args:
        root: the data folder.
        seed: of the cuts.
        strict: refuse files with bad records.
    """

    def __init__(self, corpora: Mapping[str, Corpus], root: Path, *, seed: int, strict: bool) -> None:
        self._corpora, self._root, self._seed, self._strict = corpora, root, seed, strict
        self._read: dict[tuple[str, str], list[Question]] = {}
        self._parts: dict[tuple[str, str], dict[str, list[Question]]] = {}
        self._components: dict[str, Components] = {}
        self.reports: list[Report] = []

    def part(self, corpus: str, part: str, language: str) -> list[Question]:
        """The questions of a part of a corpus in a language.

        Raises:
            DataError: the corpus cannot be read.
            ConfigError: it holds too few questions for its parts.
        """
        key = (corpus, language)
        if key not in self._parts:
            questions = self._questions(corpus, language)
            if self._corpora[corpus].cut_alike:
                questions = self._shared(corpus).keyed(questions)
            sizes: Sizes = self._corpora[corpus].parts
            self._parts[key] = cut(questions, sizes, seed=self._seed)
        return self._parts[key][part]

    def relatives(self, corpus: str, questions: Sequence[Question]) -> frozenset[str]:
        """Ids of all questions that share a passage with these in any language; none, unless it is parallel."""
        return self._shared(corpus).relatives(questions) if self._corpora[corpus].cut_alike else frozenset()

    def is_generated(self, corpus: str) -> bool:
        """Whether it is of the embedded world, whose groups of people share nothing."""
        return isinstance(self._corpora[corpus], WorldCorpusSpec)

    def _shared(self, corpus: str) -> Components:
        """The passages of a parallel corpus, over all languages that it declares."""
        if corpus not in self._components:
            languages = self._corpora[corpus].languages
            self._components[corpus] = Components({lang: self._questions(corpus, lang) for lang in languages})
        return self._components[corpus]

    def _questions(self, corpus: str, language: str) -> list[Question]:
        key = (corpus, language)
        if key not in self._read:
            questions, report = self._corpora[corpus].load(language, self._root, strict=self._strict)
            if report is not None:
                self.reports.append(report)
            self._read[key] = questions
        return self._read[key]
