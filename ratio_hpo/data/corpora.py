"""Corpora: named sets of examples in one or more languages, from files, the hub or the embedded world."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, Field, Strict, model_validator

from ratio_hpo.core.config import Real, Spec, Whole, did_you_mean
from ratio_hpo.core.errors import DataError
from ratio_hpo.core.fingerprint import COMMIT
from ratio_hpo.data.examples import Example
from ratio_hpo.data.formats import load_format, read_file
from ratio_hpo.data.hub import read_hub
from ratio_hpo.data.parallel import ConnectedComponents
from ratio_hpo.data.report import Report
from ratio_hpo.data.splits import Sizes, check_sizes, cut
from ratio_hpo.data.tag_schemes import in_iob2
from ratio_hpo.data.world import LANGUAGES, WORLD_TASKS, world_examples

MAX_QUESTIONS = 10**7
"""Generated examples of a language at most: each is kept in memory."""

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
    """Sizes of parts by name, cut by passage: fractions, numbers of examples, or `rest`; none: one part, `all`."""

    translated_from: Language | None = None
    """The language that a machine translated it from; none: it was written in its own. Reports mark its sources."""

    def code(self, language: str) -> str:
        """What stands for a language in its files."""
        return language

    @property
    def cut_alike(self) -> bool:
        """Whether passages are shared between languages."""
        return False

    @model_validator(mode="after")
    def _sizes_fit(self) -> _CorpusSpec:
        check_sizes(self.parts, parallel=self.cut_alike)
        return self


class _FormattedCorpusSpec(_CorpusSpec):
    """What corpora of a format have."""

    format: Annotated[str, Strict()] = "squad"
    """Name of the format: `squad`, `squad2`, `xnli`, `conllu`, …; docs/data.md lists them."""

    task: Annotated[str, Strict()] | None = None
    """Whose examples it holds, where a format serves several tasks; none: the format's first one."""

    parallel: bool | Literal["rows"] = False
    """Whether languages hold the same passages under the same ids, or, `rows`, in the same rows: all are cut alike."""

    codes: dict[str, Annotated[str, Strict()]] = Field(default_factory=dict)
    """What stands for `{language}` where a set's names are not the languages' codes: `{sw: swh}`."""

    columns: dict[str, Template] = Field(default_factory=dict)
    """What columns are called in its files, by the format's own name: `{premise: sentence1_{language}}`."""

    @model_validator(mode="after")
    def _format_fits(self) -> _FormattedCorpusSpec:
        known = load_format(self.format).columns
        for name in self.columns:
            if name not in known:
                hint = did_you_mean(name, list(known)) if known else "it has no columns with names"
                raise ValueError(f"columns names {name}, which format {self.format} does not read ({hint})")
        if len(set(self.columns.values())) != len(self.columns):
            raise ValueError("columns names one column twice; give each its own")
        tasks = load_format(self.format).tasks
        if self.task is not None and self.task not in tasks:
            raise ValueError(f"task {self.task} is none of format {self.format}; known: {', '.join(tasks)}")
        odd = [language for language in self.codes if language not in self.languages]
        if odd:
            raise ValueError(f"codes names {odd[0]}, which is no language of it; known: {', '.join(self.languages)}")
        return self

    @property
    def cut_alike(self) -> bool:
        return bool(self.parallel)

    @property
    def kind_of_task(self) -> str:
        return self.task or load_format(self.format).tasks[0]

    def code(self, language: str) -> str:
        """What stands for a language in names."""
        return self.codes.get(language, language)

    def renamed(self, language: str) -> dict[str, str]:
        """The standard name of each column that is called otherwise in the files of a language."""
        code = self.code(language)
        return {theirs.format(language=code): name for name, theirs in self.columns.items()}

    def checked(self, examples: list[Any], report: Report) -> tuple[list[Any], Report]:
        """Examples as their task takes them: named entities in IOB2."""
        return in_iob2(examples, report) if self.kind_of_task == "ner" else examples, report


class FileCorpusSpec(_FormattedCorpusSpec):
    """Files below the data folder, one a language."""

    kind: Literal["files"]
    """What tells it from the other corpora."""

    path: Template
    """Below the data folder; the ending says what it is: .json, .jsonl, .ndjson (each also .gz), .parquet, …"""

    def load(self, language: str, root: Path, *, strict: bool) -> tuple[list[Example], Report | None]:
        code = self.code(language)
        path, codes = root / self.path.format(language=code), (language, code)
        return self.checked(*read_file(self.format, path, strict=strict, by_row=self.parallel == "rows", codes=codes,
                                       columns=self.renamed(language)))  # fmt: skip


class HubCorpusSpec(_FormattedCorpusSpec):
    """A data set of the hub at a pinned commit."""

    kind: Literal["hub"]
    """What tells it from the other corpora."""

    dataset: str
    """Name on the hub, `owner/name`."""

    config: Template | None = None
    """Configuration of the data set; none: its default."""

    split: Template
    """Split of the data set."""

    revision: str = ""
    """Commit of 40 hexadecimal digits, which has no default; branches and tags move."""

    @model_validator(mode="after")
    def _is_pinned(self) -> HubCorpusSpec:
        if not COMMIT.fullmatch(self.revision):
            raise ValueError(
                f"revision needs a commit of 40 hexadecimal digits, but got {self.revision or 'none'}; "
                f"https://huggingface.co/datasets/{self.dataset}/commits/main lists them: pin one"
            )
        return self

    def load(self, language: str, root: Path, *, strict: bool) -> tuple[list[Example], Report | None]:
        code = self.code(language)
        config = self.config.format(language=code) if self.config else None
        split, by_row = self.split.format(language=code), self.parallel == "rows"
        read = read_hub(self.dataset, config, split, self.revision, form=self.format, strict=strict, by_row=by_row,
                        columns=self.renamed(language))  # fmt: skip
        return self.checked(*read)


class WorldCorpusSpec(_CorpusSpec):
    """Generated examples of the embedded world."""

    kind: Literal["world"]
    """What tells it from the other corpora."""

    task: Annotated[str, Strict()] = "qa"
    """What they are examples of: `qa`, `nli`, `paraphrase`, `choice`, `pos`, `ner`, `ccg`, `mlm`, `tatoeba`, …"""

    people: Literal["pool", "target", "evaluation"]
    """Whose facts they are about: no person is in two groups."""

    questions: Whole | dict[str, Whole]
    """How many examples, in each language or by language."""

    seed: Whole = 0
    """Of the generated facts."""

    @property
    def kind_of_task(self) -> str:
        return self.task

    @model_validator(mode="after")
    def _languages_known(self) -> WorldCorpusSpec:
        if self.task not in WORLD_TASKS:
            raise ValueError(f"the embedded world has no task {self.task}; known: {', '.join(WORLD_TASKS)}")
        unknown = [language for language in self.languages if language not in LANGUAGES]
        if unknown:
            raise ValueError(f"the embedded world has no language {unknown[0]}; known: {', '.join(LANGUAGES)}")
        most = max(self.questions.values(), default=0) if isinstance(self.questions, dict) else self.questions
        if most > MAX_QUESTIONS:
            raise ValueError(f"questions needs at most {MAX_QUESTIONS:,} a language, but got {most:,}; lower it")
        if isinstance(self.questions, dict):
            absent = [language for language in self.languages if language not in self.questions]
            if absent:
                raise ValueError(f"questions needs a number for {absent[0]}; add it")
        return self

    def load(self, language: str, root: Path, *, strict: bool) -> tuple[list[Example], Report | None]:
        number = self.questions[language] if isinstance(self.questions, dict) else self.questions
        return world_examples(self.task, language, self.people, number, seed=self.seed), None


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
        self._read: dict[tuple[str, str], list[Any]] = {}
        self._parts: dict[tuple[str, str], dict[str, list[Any]]] = {}
        self._components: dict[str, ConnectedComponents] = {}
        self.reports: list[Report] = []

    def part(self, corpus: str, part: str, language: str) -> list[Any]:
        """The examples of a part of a corpus in a language.

        Raises:
            DataError: the corpus cannot be read.
            ConfigError: it holds too few examples for its parts.
        """
        key = (corpus, language)
        if key not in self._parts:
            sizes: Sizes = self._corpora[corpus].parts
            self._parts[key] = cut(self.whole(corpus, language), sizes, seed=self._seed)
        return self._parts[key][part]

    def whole(self, corpus: str, language: str) -> list[Any]:
        """All examples of a corpus in a language, whatever its parts."""
        examples = self._examples(corpus, language)
        return self._shared(corpus).keyed(examples) if self._corpora[corpus].cut_alike else examples

    def relatives(self, corpus: str, examples: Sequence[Example]) -> frozenset[str]:
        """Ids of all examples that belong together with these in any language; none, unless it is parallel."""
        return self._shared(corpus).relatives(examples) if self._corpora[corpus].cut_alike else frozenset()

    def is_generated(self, corpus: str) -> bool:
        """Whether it is of the embedded world, whose groups of people share nothing."""
        return isinstance(self._corpora[corpus], WorldCorpusSpec)

    def _shared(self, corpus: str) -> ConnectedComponents:
        """The passages of a parallel corpus, over all languages that it declares."""
        if corpus not in self._components:
            languages = self._corpora[corpus].languages
            self._components[corpus] = ConnectedComponents({lang: self._examples(corpus, lang) for lang in languages})
        return self._components[corpus]

    def _examples(self, corpus: str, language: str) -> list[Any]:
        key = (corpus, language)
        if key not in self._read:
            examples, report = self._corpora[corpus].load(language, self._root, strict=self._strict)
            if report is not None:
                self.reports.append(report)
            code = self._corpora[corpus].code(language)
            self._read[key] = [example for example in examples if example.written_in in ("", code)]
            if not any(example.is_asked for example in self._read[key]):
                raise DataError(
                    f"corpora.{corpus}: holds no example in {language} ({code}); check its files and `codes`"
                )
        return self._read[key]
