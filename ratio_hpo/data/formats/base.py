"""Definition of a format, and reading a file: each record is read, corrected or dropped, or the file is refused."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from ratio_hpo.core.errors import ConfigError, DataError, RatioHpoError, in_one_line
from ratio_hpo.core.extensions import Registry
from ratio_hpo.core.files import is_fault
from ratio_hpo.core.yaml import show
from ratio_hpo.data.examples import ChoiceQuestion, Example, Pair
from ratio_hpo.data.report import BadRecord, Report

Records = Iterator[tuple[str, Any]]
"""Records, each with its position in the file."""

NO_LABEL = "no label"
"""Rule of records without a label; test files with removed labels break it in every record."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Format:
    """A file format.

    Attributes:
        tasks: tasks of the examples; the first one is the default.
        records: reads a file into records with their positions, and reports lines without a record.
        parse: converts a record to an example, given its position; raises BadRecord to drop the record.
        form: description of the format, for errors.
        columns: names of the columns that are read; empty for files without column names.
        finish: corrects what only the whole file shows, given the codes of its language.
    """

    tasks: tuple[str, ...]
    records: Callable[[Path, Report], Records]
    parse: Callable[[str, Any, Report], Example]
    form: str
    columns: tuple[str, ...] = ()
    finish: Callable[[list[Example], Report, Sequence[str]], list[Example]] = lambda examples, report, codes: examples


FORMATS: Registry[Format] = Registry(
    "format",
    {
        "squad": "ratio_hpo.data.formats.squad:SQUAD",
        "squad2": "ratio_hpo.data.formats.squad:SQUAD_2",
        "xnli": "ratio_hpo.data.formats.pairs:XNLI",
        "nli": "ratio_hpo.data.formats.pairs:NLI",
        "pawsx": "ratio_hpo.data.formats.pairs:PAWSX",
        "qqp": "ratio_hpo.data.formats.pairs:QQP",
        "hellaswag": "ratio_hpo.data.formats.choice:HELLASWAG",
        "commonsense_qa": "ratio_hpo.data.formats.choice:COMMONSENSE_QA",
        "cosmos_qa": "ratio_hpo.data.formats.choice:COSMOS_QA",
        "siqa": "ratio_hpo.data.formats.choice:SIQA",
        "copa": "ratio_hpo.data.formats.choice:COPA",
        "conllu": "ratio_hpo.data.formats.tagged:CONLLU",
        "tagged": "ratio_hpo.data.formats.tagged:TAGGED",
        "iob2": "ratio_hpo.data.formats.tagged:IOB2",
        "ccg": "ratio_hpo.data.formats.tagged:CCG",
        "text": "ratio_hpo.data.formats.text:TEXT",
        "udhr": "ratio_hpo.data.formats.text:UDHR",
        "lines": "ratio_hpo.data.formats.text:LINES",
        "bucc": "ratio_hpo.data.formats.retrieval:BUCC",
        "lareqa": "ratio_hpo.data.formats.retrieval:LAREQA",
        "squad_sentences": "ratio_hpo.data.formats.retrieval:SQUAD_SENTENCES",
        "mewsli": "ratio_hpo.data.formats.retrieval:MEWSLI",
    },
)
"""The formats, by the name that `format:` takes."""


def register_format(name: str, format: Format) -> None:
    """Add a format, which `format:` of a corpus then names; registering the name again replaces the format.

    Raises:
        ConfigError: the name belongs to a built-in format, or holds characters that names may not have.

    Examples:
        >>> from dataclasses import replace
        >>> register_format("relevance", replace(load_format("nli"), tasks=("relevance",)))
        >>> load_format("relevance").tasks
        ('relevance',)
    """
    _check(name, format)
    FORMATS.register(name, format)


def load_format(name: str) -> Format:
    """Return a format by its name or its import path.

    Raises:
        ConfigError: no format has that name, or the import path leads to something else.

    Examples:
        >>> load_format("xnli").tasks
        ('nli',)
    """
    loaded = FORMATS.find(name)
    _check(name, loaded)
    return loaded


def _check(name: str, format: object) -> None:
    if not isinstance(format, Format):
        raise ConfigError(f"format: {name} needs to be a Format, but is a {type(format).__name__}; name the Format")
    if not isinstance(format.tasks, tuple) or not format.tasks:
        raise ConfigError(f"format: {name} needs `tasks`, a tuple of one or more names, but got {format.tasks!r}")


@contextmanager
def _errors_of(name: str, file: str) -> Iterator[None]:
    """Turn errors of a format that is not built in into one line.

    Raises:
        DataError: the format raised an error.
    """
    try:
        yield
    except Exception as error:  # a user's format may raise any error
        if isinstance(error, RatioHpoError) or FORMATS.is_built_in(name) or is_fault(error):
            raise
        raise DataError(f"{file}: format {name} failed ({in_one_line(error)}); correct the format") from error


def read_file(
    name: str,
    path: Path,
    *,
    strict: bool = False,
    by_row: bool = False,
    codes: Sequence[str] = (),
    columns: Mapping[str, str] | None = None,
) -> tuple[list[Any], Report]:
    """Read the examples of a file, in their order; a compressed file (gzip) is unpacked.

    Args:
        name: name of the format.
        strict: whether a file with any problem is refused, instead of correcting or dropping records.
        by_row: whether ids are row positions, even if the file has ids; rows of parallel files belong together.
        codes: codes of the file's language.
        columns: the format's name of each renamed column, by its name in the file.

    Raises:
        DataError: the file is missing, empty, not UTF-8, not in the format, has no usable record or no labels, or
            (with strict) has any problem.
    """
    reader, report = load_format(name), Report(str(path))
    with _errors_of(name, str(path)):
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
    """Read the examples of records that a library has loaded; see `read_file`."""
    reader, report = load_format(name), Report(source)
    numbered = ((f"record {k}", record) for k, record in enumerate(records, 1))
    with _errors_of(name, source):
        renamed = _renamed(numbered, columns or {}, report)
        return _checked(reader, renamed, report, strict=strict, by_row=by_row), report


def _renamed(records: Records, columns: Mapping[str, str], report: Report) -> Records:
    """Rename the columns of records to the format's names; columns that already had such a name are removed.

    Raises:
        DataError: no record has one of the named columns.
    """
    if not columns:
        yield from records
        return
    seen: set[str] = set()
    for where, record in records:
        if isinstance(record, dict):
            seen |= record.keys()
            taken = {name: record[file_name] for file_name, name in columns.items() if file_name in record}
            aliases = {alias for name in taken for alias in ALIASES.get(name, ())}
            rest = {key: value for key, value in record.items() if key not in columns and key not in aliases}
            record = rest | taken
        yield where, record
    missing = [file_name for file_name in columns if file_name not in seen]
    if missing:
        names = ", ".join(sorted(map(str, seen))) or "no names"
        raise DataError(f"{report.file}: has no column {missing[0]!r}, which `columns` names; it has: {names}")


ALIASES: Mapping[str, tuple[str, ...]] = {
    "label": ("gold_label",),
    "premise": ("sentence1", "context"),
    "hypothesis": ("sentence2",),
    "tokens": ("words",),
    "tags": ("upos", "pos_tags", "ner_tags"),
}
"""Alternative names of columns; they are ignored for a column that `columns` renames."""


def _checked(
    reader: Format, records: Records, report: Report, *, strict: bool, by_row: bool, codes: Sequence[str] = ()
) -> list[Example]:
    """Return the usable examples in order; problems of all records are added to the report."""
    examples: dict[str, Example] = {}
    for where, record in list(records):  # a list, so that errors of the whole file come before those of a record
        if record is None or isinstance(record, int | float):
            report.drop(where, "not a record")
            continue
        try:
            example = reader.parse(where, record, report)
        except BadRecord as error:
            report.drop(where, str(error))
            continue
        if not isinstance(example, Example):
            raise DataError(f"{report.file}: {where}: the format returned {show(example)}, not an example; correct it")
        if by_row or not example.id:
            example = replace(example, id=_position_of(where))
        if example.id in examples:
            if examples[example.id] == example:
                report.drop(where, "duplicate id, same content")
                continue
            report.mend(where, "duplicate id, numbered by position")
            position = _position_of(where)
            example = replace(example, id=position if position not in examples else f"#{where}")
        examples[example.id] = example
    kept = reader.finish(list(examples.values()), report, codes)
    report.questions = len(kept)
    name = report.file
    if strict and report.problems:
        raise DataError("\n".join([*report.lines(), f"{name}: refused (⟨strict⟩); correct it, or omit ⟨strict⟩"]))
    if not kept and report.problems and all(p.rule == NO_LABEL for p in report.problems if p.dropped):
        raise _without_labels(name, "no record has a label")
    if not kept:
        raise DataError("\n".join([*report.lines(), f"{name}: holds no usable record; check that it is {reader.form}"]))
    if _all_zero(kept):
        raise _without_labels(name, "the label of every record is 0")
    return kept


def _position_of(where: str) -> str:
    """Return an id from the position of a record; it is the same in all files whose rows belong together."""
    return f"#{where.rpartition(' ')[2].strip('[]')}"


def _without_labels(name: str, reason: str) -> DataError:
    return DataError(
        f"{name}: {reason}; it is a test file with its labels removed, as in XTREME; use the development file or the "
        "data set's original release"
    )


def _all_zero(examples: list[Example]) -> bool:
    """Return whether a file has several records and the label of each is 0."""
    labelled = (e for e in examples if isinstance(e, ChoiceQuestion) or (isinstance(e, Pair) and e.symmetric))
    labels = [str(example.label) for example in labelled]
    return len(examples) > 1 and len(labels) == len(examples) and set(labels) == {"0"}
