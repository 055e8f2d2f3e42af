"""What a format is, and what reading one comes to: each record once, read, mended, dropped or refused."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from importlib import import_module
from pathlib import Path
from typing import Any

from ratio_hpo.core.config import did_you_mean
from ratio_hpo.core.errors import ConfigError, DataError
from ratio_hpo.data.examples import ChoiceQuestion, Example, Pair
from ratio_hpo.data.report import Report

Records = Iterator[tuple[str, Any]]
"""Records, each with its place in the file."""

NO_LABEL = "no label"
"""The rule that test files without labels break in every record."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Format:
    """A file format.

    Attributes:
        tasks: whose records it holds; the first is the one that is meant where nothing is said.
        records: from a file to records with their places; lines that hold none go into the report.
        parse: from a record to an example; None where it must be dropped, which the report knows.
        form: what it looks like, in words, for errors.
        columns: names of what it reads of a record; none where its files have no names.
        finish: mends what only the whole file shows, given the codes of its language.
    """

    tasks: tuple[str, ...]
    records: Callable[[Path, Report], Records]
    parse: Callable[[str, Any, Report], Example | None]
    form: str
    columns: tuple[str, ...] = ()
    finish: Callable[[list[Example], Report, Sequence[str]], list[Example]] = lambda examples, report, codes: examples


FORMATS: Mapping[str, str] = {
    "squad": "squad:SQUAD",
    "squad2": "squad:SQUAD_2",
    "xnli": "xnli:XNLI",
    "nli": "nli:NLI",
    "pawsx": "pawsx:PAWSX",
    "qqp": "qqp:QQP",
    "hellaswag": "hellaswag:HELLASWAG",
    "commonsense_qa": "commonsense_qa:COMMONSENSE_QA",
    "cosmos_qa": "cosmos_qa:COSMOS_QA",
    "siqa": "siqa:SIQA",
    "copa": "copa:COPA",
    "conllu": "conllu:CONLLU",
    "tagged": "tagged:TAGGED",
    "iob2": "iob2:IOB2",
    "ccg": "ccg:CCG",
    "text": "text:TEXT",
    "udhr": "udhr:UDHR",
    "lines": "lines:LINES",
    "bucc": "bucc:BUCC",
    "lareqa": "lareqa:LAREQA",
    "squad_sentences": "lareqa:SQUAD_SENTENCES",
    "mewsli": "mewsli:MEWSLI",
}
"""Where each format is read, by the name that `format:` takes."""


def load_format(name: str) -> Format:
    """A format by name.

    Raises:
        ConfigError: there is none of that name.

    Examples:
        >>> load_format("xnli").tasks
        ('nli',)
    """
    if name not in FORMATS:
        raise ConfigError(f"format: unknown format {name!r} ({did_you_mean(name, list(FORMATS))})")
    module, attribute = FORMATS[name].split(":")
    found: Format = getattr(import_module(f"ratio_hpo.data.formats.{module}"), attribute)
    return found


def read_file(
    name: str,
    path: Path,
    *,
    strict: bool = False,
    by_row: bool = False,
    codes: Sequence[str] = (),
    columns: Mapping[str, str] | None = None,
) -> tuple[list[Any], Report]:
    """The examples of a file, in its order; a name that ends in `.gz` is unpacked.

    Args:
        name: of the format.
        strict: refuse a file with any problem instead of mending and dropping.
        by_row: ids are positions in the file, whatever the file gives: rows of parallel files belong together.
        codes: what its language is called.
        columns: the format's name of each column that the file calls otherwise.

    Raises:
        DataError: absent, empty, not UTF-8, not of the format, without a usable record, stripped of its labels, or
            (strict) any problem.
    """
    reader, report = load_format(name), Report(str(path))
    records = _renamed(reader.records(path, report), columns or {}, report)
    return _checked(reader, records, report, strict=strict, by_row=by_row, codes=codes), report


def from_records(
    name: str,
    records: Iterable[Any],
    source: str,
    *,
    strict: bool,
    by_row: bool = False,
    columns: Mapping[str, str] | None = None,
) -> tuple[list[Any], Report]:
    """Examples of records that a library has loaded; as `read_file`."""
    reader, report = load_format(name), Report(source)
    numbered = ((f"record {k}", record) for k, record in enumerate(records, 1))
    renamed = _renamed(numbered, columns or {}, report)
    return _checked(reader, renamed, report, strict=strict, by_row=by_row), report


def _renamed(records: Records, columns: Mapping[str, str], report: Report) -> Records:
    """Records with the format's names of their columns; what had such a name before is another column, and goes.

    Raises:
        DataError: no record has a column of the name that was given.
    """
    if not columns:
        yield from records
        return
    seen: set[str] = set()
    for where, record in records:
        if isinstance(record, dict):
            seen |= record.keys()
            rest = {key: value for key, value in record.items() if key not in columns}
            taken = {name: record[theirs] for theirs, name in columns.items() if theirs in record}
            aliases = {alias for name in taken for alias in ALIASES.get(name, ())}
            record = {key: value for key, value in rest.items() if key not in aliases} | taken
        yield where, record
    absent = [theirs for theirs in columns if theirs not in seen]
    if absent:
        names = ", ".join(sorted(map(str, seen))) or "no names"
        raise DataError(f"{report.file}: has no column {absent[0]!r}, which `columns` names; it has: {names}")


ALIASES: Mapping[str, tuple[str, ...]] = {
    "label": ("gold_label",),
    "premise": ("sentence1", "context"),
    "hypothesis": ("sentence2",),
    "tokens": ("words",),
    "tags": ("upos", "pos_tags", "ner_tags"),
}
"""Other names that formats read a column under: where one is named, these are other columns."""


def _checked(
    reader: Format, records: Records, report: Report, *, strict: bool, by_row: bool, codes: Sequence[str] = ()
) -> list[Example]:
    """The usable examples, in order; what is wrong with the other records is in the report."""
    examples: dict[str, Example] = {}
    for where, record in list(records):  # what is wrong with the file comes before what is wrong in it
        if record is None or isinstance(record, int | float):
            report.drop(where, "not a record")
            continue
        example = reader.parse(where, record, report)
        if example is None:
            continue
        if by_row or not example.id:
            example = replace(example, id=_place_of(where))
        if example.id in examples:
            if examples[example.id] == example:
                report.drop(where, "duplicate id, same content")
                continue
            report.mend(where, "duplicate id, numbered by its place")
            place = _place_of(where)
            example = replace(example, id=place if place not in examples else f"#{where}")
        examples[example.id] = example
    kept = reader.finish(list(examples.values()), report, codes)
    report.questions = len(kept)
    name = report.file
    if strict and report.problems:
        raise DataError("\n".join([*report.lines(), f"{name}: refused (⟨strict⟩); mend it, or leave ⟨strict⟩ out"]))
    if not kept and report.problems and all(p.rule == NO_LABEL for p in report.problems if p.dropped):
        raise _stripped(name, "no record has a label")
    if not kept:
        raise DataError("\n".join([*report.lines(), f"{name}: holds no usable record; check that it is {reader.form}"]))
    if _all_zero(kept):
        raise _stripped(name, "the label of every record is 0")
    return kept


def _place_of(where: str) -> str:
    """An id of where a record stands, the same in every file whose rows belong together."""
    return f"#{where.rpartition(' ')[2].strip('[]')}"


def _stripped(name: str, what: str) -> DataError:
    return DataError(
        f"{name}: {what}: a test file whose labels were taken out, as XTREME's are; take the development file, or the "
        "data set's own release"
    )


def _all_zero(examples: list[Example]) -> bool:
    """Whether every label is the first one, in a file of several records."""
    labels = {e.label if isinstance(e, ChoiceQuestion) else e.label if isinstance(e, Pair) and e.symmetric else None
              for e in examples}  # fmt: skip
    return len(examples) > 1 and labels in ({0}, {"0"})
