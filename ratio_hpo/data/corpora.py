"""Corpora: named sets of examples in one or more languages, read from files, the hub or the embedded world."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, Field, Strict, model_validator

from ratio_hpo.core.errors import DataError
from ratio_hpo.core.fingerprint import COMMIT
from ratio_hpo.core.yaml import Real, Spec, Whole, did_you_mean
from ratio_hpo.data.examples import Example
from ratio_hpo.data.formats import load_format, read_file
from ratio_hpo.data.hub import read_hub
from ratio_hpo.data.report import Report
from ratio_hpo.data.splits import ConnectedComponents, Sizes, check_sizes, cut
from ratio_hpo.data.tag_schemes import in_iob2
from ratio_hpo.data.tasks import TASKS, kind_of_task
from ratio_hpo.data.world import LANGUAGES, WORLD_TASKS, world_examples

MAX_QUESTIONS = 10**7
"""Maximum number of generated examples per language; all of them are kept in memory."""

PartSize = Whole | Real | Literal["rest"]
Language = Annotated[str, Strict()]


def _fillable(template: str) -> str:
    try:
        template.format(language="xx")
    except (KeyError, IndexError, ValueError) as error:
        raise ValueError(f"{template!r} may contain {{language}} and no other braces; correct it") from error
    return template


Template = Annotated[str, Strict(), AfterValidator(_fillable)]


class _CorpusSpec(Spec):
    """Fields that all corpora share."""

    languages: list[Language] = Field(min_length=1)
    """Language codes; `{language}` in a path, config or split is replaced by each of them."""

    parts: dict[str, PartSize] = Field(default_factory=dict)
    """Size of each part by name: a fraction, a number of examples or `rest`; default: one part, `all`. No part splits a
    passage."""

    translated_from: Language | None = None
    """Language that the corpus was machine-translated from; reports mark such sources. Default: not translated."""

    def code(self, language: str) -> str:
        """Return the code that replaces `{language}` in names of files."""
        return language

    @property
    def cut_alike(self) -> bool:
        """Whether languages share passages, so that all of them are cut alike."""
        return False

    @model_validator(mode="after")
    def _sizes_fit(self) -> _CorpusSpec:
        check_sizes(self.parts, parallel=self.cut_alike)
        return self


class _FormattedCorpusSpec(_CorpusSpec):
    """Fields of corpora that are read by a format."""

    format: Annotated[str, Strict()] = "squad"
    """Name of the format: `squad`, `squad2`, `xnli`, `conllu`, …; docs/reference/tasks.md lists all formats. A format
    of your own has the name that it is registered by, or `package.module:NAME`."""

    task: Annotated[str, Strict()] | None = None
    """Task of the examples, for formats that serve several tasks; default: the first task of the format."""

    parallel: bool | Literal["rows"] = False
    """Whether languages hold the same passages, under the same ids (`true`) or in the same rows (`rows`)."""

    codes: dict[str, Annotated[str, Strict()]] = Field(default_factory=dict)
    """Replacement for `{language}` where the data set uses other codes than the languages': `{sw: swh}`."""

    columns: dict[str, Template] = Field(default_factory=dict)
    """Name of a column in the files by its name in the format: `{premise: sentence1_{language}}`."""

    @model_validator(mode="after")
    def _format_fits(self) -> _FormattedCorpusSpec:
        format_columns = load_format(self.format).columns
        for name in self.columns:
            if name not in format_columns:
                hint = did_you_mean(name, list(format_columns)) if format_columns else "the format has no named columns"
                raise ValueError(f"columns names {name}, which format {self.format} does not read ({hint})")
        if len(set(self.columns.values())) != len(self.columns):
            raise ValueError("columns names one column twice; give each key a different column")
        tasks = load_format(self.format).tasks
        if self.task is not None and self.task not in tasks and not _reads_alike(self.task, tasks[0]):
            raise ValueError(f"format {self.format} has no task {self.task}; known: {', '.join(tasks)}")
        unknown = [language for language in self.codes if language not in self.languages]
        if unknown:
            raise ValueError(f"codes names {unknown[0]}, which is not in `languages`: {', '.join(self.languages)}")
        return self

    @property
    def cut_alike(self) -> bool:
        return bool(self.parallel)

    @property
    def kind_of_task(self) -> str:
        return self.task or load_format(self.format).tasks[0]

    def code(self, language: str) -> str:
        """Return the code that replaces `{language}` in names of files, columns and configurations."""
        return self.codes.get(language, language)

    def renamed(self, language: str) -> dict[str, str]:
        """Return the format's name of each renamed column, by its name in the files of a language."""
        code = self.code(language)
        return {file_name.format(language=code): name for name, file_name in self.columns.items()}

    def checked(self, examples: list[Any], report: Report) -> tuple[list[Any], Report]:
        """Return the examples in the form that their task requires: named entities in IOB2."""
        return in_iob2(examples, report) if self.kind_of_task == "ner" else examples, report


def _reads_alike(added: str, task: str) -> bool:
    """Return whether a task that is not built in has the class of examples that a format reads for another task."""
    if TASKS.is_built_in(added) or (added not in TASKS.names() and ":" not in added):
        return False
    return kind_of_task(added).implementation.examples is kind_of_task(task).implementation.examples


class FileCorpusSpec(_FormattedCorpusSpec):
    """Files below the data folder, one per language."""

    kind: Literal["files"]
    """What tells it from the other corpora."""

    path: Template
    """Path below the data folder; the suffix is the file type: .json, .jsonl, .ndjson (each also .gz), .parquet, …"""

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
    """Configuration of the data set; default: its default configuration."""

    split: Template
    """Split of the data set."""

    revision: str = ""
    """Commit of 40 hexadecimal digits; required, since branches and tags move."""

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
    """Task of the examples: `qa`, `nli`, `paraphrase`, `choice`, `pos`, `ner`, `ccg`, `mlm`, `tatoeba`, …"""

    people: Literal["pool", "target", "evaluation"]
    """Group of people that the facts are about; no person is in two groups."""

    questions: Whole | dict[str, Whole]
    """Number of examples: one number for every language, or a number by language."""

    seed: Whole = 0
    """Seed of the generated facts."""

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
        numbers = self.questions if isinstance(self.questions, dict) else dict.fromkeys(self.languages, self.questions)
        largest = max(numbers.values(), default=0)
        if largest > MAX_QUESTIONS:
            raise ValueError(f"questions needs at most {MAX_QUESTIONS:,} per language, but got {largest:,}; lower it")
        missing = [language for language in self.languages if language not in numbers]
        if missing:
            raise ValueError(f"questions needs a number for {missing[0]}; add it")
        return self

    def load(self, language: str, root: Path, *, strict: bool) -> tuple[list[Example], Report | None]:
        number = self.questions[language] if isinstance(self.questions, dict) else self.questions
        return world_examples(self.task, language, self.people, number, seed=self.seed), None


Corpus = Annotated[FileCorpusSpec | HubCorpusSpec | WorldCorpusSpec, Field(discriminator="kind")]


class CorpusReader:
    """Reader that loads each corpus once and cuts it into parts.

    Args:
        root: the data folder.
        seed: seed of the cuts.
        strict: whether files with bad records are refused.
    """

    def __init__(self, corpora: Mapping[str, Corpus], root: Path, *, seed: int, strict: bool) -> None:
        self._corpora, self._root, self._seed, self._strict = corpora, root, seed, strict
        self._read: dict[tuple[str, str], list[Any]] = {}
        self._parts: dict[tuple[str, str], dict[str, list[Any]]] = {}
        self._components: dict[str, ConnectedComponents] = {}
        self.reports: list[Report] = []

    def part(self, corpus: str, part: str, language: str) -> list[Any]:
        """Return the examples of one part of a corpus in a language.

        Raises:
            DataError: the corpus cannot be read.
            ConfigError: the corpus holds too few examples for its parts.
        """
        key = (corpus, language)
        if key not in self._parts:
            sizes: Sizes = self._corpora[corpus].parts
            self._parts[key] = cut(self.whole(corpus, language), sizes, seed=self._seed)
        return self._parts[key][part]

    def whole(self, corpus: str, language: str) -> list[Any]:
        """Return all examples of a corpus in a language, in any part or none."""
        examples = self._examples(corpus, language)
        return self._shared(corpus).keyed(examples) if self._corpora[corpus].cut_alike else examples

    def relatives(self, corpus: str, examples: Sequence[Example]) -> frozenset[str]:
        """Return the ids in the groups of these examples, in any language; empty unless the corpus is parallel."""
        return self._shared(corpus).relatives(examples) if self._corpora[corpus].cut_alike else frozenset()

    def is_generated(self, corpus: str) -> bool:
        """Return whether the corpus is generated; groups of people in the embedded world share no facts."""
        return isinstance(self._corpora[corpus], WorldCorpusSpec)

    def _shared(self, corpus: str) -> ConnectedComponents:
        """Return the shared groups of a parallel corpus, over all languages that it declares."""
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
                    f"corpora.{corpus}: holds no example in {language} ({code}); check the files and `codes`"
                )
        return self._read[key]
