"""Formats of retrieval: BUCC, LAReQA and Mewsli-X."""

from __future__ import annotations

import re
from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

from ratio_hpo.core.errors import DataError
from ratio_hpo.data.examples import Asked, Mined, Question, group_of
from ratio_hpo.data.formats.base import Format, Records
from ratio_hpo.data.formats.files import json_lines, numbered_lines
from ratio_hpo.data.formats.rows import encodable, id_of, text_of
from ratio_hpo.data.formats.squad import checked_question, squad_records
from ratio_hpo.data.report import BadRecord, Report

DEVELOPMENT = ("dev", "training", "train", "sample")


class _Line(NamedTuple):
    """A line of a bitext, as fields separated by tabs; `mates` are the ids of its translations."""

    fields: list[str]
    english: bool
    development: bool
    mates: tuple[str, ...]


def _read_bucc(path: Path, report: Report) -> Records:
    language = path.suffix
    stem = path.with_suffix("")
    part = stem.suffix
    development = [stem.with_suffix(f".{name}") for name in DEVELOPMENT if f".{name}" != part]
    first = next((other for other in development if _named(other, language).is_file()), None)
    if first is None:
        raise DataError(
            f"{path}: needs a development set in the same folder to find the threshold "
            f"({development[0].name}{language}, .en and .gold); add it"
        )
    for prefix, is_development in ((stem, False), (first, True)):
        gold: dict[str, list[str]] = {}
        for where, fields in _fields(_named(prefix, ".gold")):
            if len(fields) == 2:
                gold.setdefault(fields[0].strip(), []).append(fields[1].strip())
            else:
                report.drop(f"{prefix.name}.gold {where}", f"{len(fields)} fields, not 2")
        for ending in (language, ".en"):
            english = ending == ".en"
            for where, fields in _fields(_named(prefix, ending)):
                mates = () if english else tuple(dict.fromkeys(gold.get(fields[0].strip(), ())))
                yield f"{prefix.name}{ending} {where}", _Line(fields, english, is_development, mates)


def _named(prefix: Path, ending: str) -> Path:
    return prefix.parent / f"{prefix.name}{ending}"


def _fields(path: Path) -> list[tuple[str, list[str]]]:
    return [(f"line {number}", line.split("\t")) for number, line in numbered_lines(path)]


def _parse_bucc(where: str, record: _Line, report: Report) -> Mined:
    if len(record.fields) != 2 or not all(field.strip() for field in record.fields):
        raise BadRecord("not an id and a sentence separated by a tab")
    identifier, text = record.fields
    if not encodable(text):
        raise BadRecord("the sentence is not valid Unicode")
    part = "dev" if record.development else "set"
    return Mined(
        id=f"{part}:{'en' if record.english else 'xx'}:{identifier.strip()}",
        group=group_of(text),
        text=text.strip(),
        english=record.english,
        development=record.development,
        mates=tuple(f"{part}:en:{mate}" for mate in record.mates),
    )


BUCC = Format(tasks=("bucc",), records=_read_bucc, parse=_parse_bucc, form="BUCC's three files per set")


Breaks = list[tuple[int, int]]

SENTENCE = re.compile(r"\S.*?(?:(?<![.!?؟።])[.!?؟።]++[\"'”’)\]]*+(?=\s|$)|[。！？]++[」』”’]*+|[।॥]++|$)", re.DOTALL)
"""A sentence up to a mark that ends it. Latin, Arabic and Ethiopic marks must be followed by white space. A run of
marks is matched once, from its first mark."""


def sentence_breaks(text: str) -> Breaks:
    """Return the start and end of each sentence of a text, by its marks.

    Examples:
        >>> sentence_breaks("It is 1.5 m. Is it?")
        [(0, 12), (13, 19)]
    """
    return [match.span() for match in SENTENCE.finditer(text)]


def _parse_lareqa(where: str, record: Mapping[str, object], report: Report) -> Asked:
    question = checked_question(where, record, report)
    breaks = record.get("sentence_breaks")
    if not isinstance(breaks, list) or not all(_is_span(span, len(question.context)) for span in breaks):
        raise BadRecord("no valid sentence_breaks within the context")
    return _asked(question, [(begin, end) for begin, end in breaks])


def _parse_cut(where: str, record: Mapping[str, object], report: Report) -> Asked:
    question = checked_question(where, record, report)
    return _asked(question, sentence_breaks(question.context))


def _asked(question: Question, breaks: Breaks) -> Asked:
    start = question.answers[0].start
    answer = next((k for k, (begin, end) in enumerate(breaks) if begin <= start < end), None)
    if answer is None:
        raise BadRecord("no sentence contains the start of the answer")
    return Asked(
        id=question.id,
        group=group_of(question.context),
        question=question.question,
        context=question.context,
        candidates=tuple(_candidate(question.context[begin:end], question.context) for begin, end in breaks),
        answer=answer,
    )


def _candidate(sentence: str, passage: str) -> str:
    """Return a sentence joined to its passage as in XTREME: without a blank between them, and without line feeds."""
    return f"{sentence}{passage}".replace("\n", "").strip()


def _is_span(span: Any, length: int) -> bool:
    return (
        isinstance(span, list)
        and len(span) == 2
        and all(isinstance(offset, int) for offset in span)
        and 0 <= span[0] < span[1] <= length
    )


LAREQA = Format(
    tasks=("lareqa",),
    records=partial(squad_records, keep=("sentence_breaks",)),
    parse=_parse_lareqa,
    form="SQuAD JSON with sentence_breaks in each paragraph",
)
SQUAD_SENTENCES = Format(tasks=("lareqa",), records=squad_records, parse=_parse_cut, form="SQuAD format")


ENTITIES = "candidate_set_entities.jsonl"

MARKED = re.compile(r"\{(.*?)\}")
"""Braces in a text, which would look like the marks of a mention; they become round brackets."""


def _read_mewsli(path: Path, report: Report) -> Records:
    """Read one record for each mention, and one for each entity without a mention, which is only a candidate."""
    entities: dict[str, str] | None = None
    named: set[str] = set()
    for where, record in json_lines(path, report):
        if "contextual_mention" in record:
            pair = record["contextual_mention"]
            fields = {"context": _value(pair, "context"), "mention": _value(pair, "mention")}
            yield where, fields | {"entity": _description(record.get("entity"))}
            continue
        if entities is None:
            entities = _entities(path, report)
        mentions = record.get("mentions")
        for k, mention in enumerate(mentions if isinstance(mentions, list) else [None]):
            entity = str(_value(mention, "entity_id"))
            named.add(entity)
            fields = {"context": record.get("context"), "mention": mention, "entity": entities.get(entity)}
            yield f"{where} mentions[{k}]", fields
    for name, description in (entities or {}).items():
        if name not in named:
            yield f"{ENTITIES} {name}", {"found": name, "entity": description}


def _parse_mewsli(where: str, record: Mapping[str, object], report: Report) -> Asked:
    description = text_of(record, "entity")
    if "found" in record:
        name = str(record["found"])
        return Asked(id=name, group=name, question="", context="", candidates=(description,), answer=None)
    context, mention = record.get("context"), record.get("mention")
    text, span = _value(context, "text"), _value(mention, "mention_span")
    if not isinstance(text, str) or not text.strip() or not encodable(text):
        raise BadRecord("the context has no text (get-mewsli-x.sh adds it)")
    offsets = _span(span, len(text))
    if offsets is None:
        raise BadRecord("no mention_span within the text")
    begin, end = offsets
    if text[begin:end] != _value(span, "text"):
        raise BadRecord("mention_span does not match the text")
    identifier, document = id_of(_fields_of(mention), "example_id"), str(_value(context, "document_id") or where)
    if not encodable(identifier) or not encodable(document):
        raise BadRecord("an id is not valid Unicode")
    sentences = _spans(_value(context, "sentence_spans"), len(text))
    sentence = next((s for s in sentences if s[0] <= begin and end <= s[1]), (0, len(text)))
    return Asked(
        id=identifier,
        group=document,
        question=_marked(text, offsets, sentence),
        context=text[sentence[0] : sentence[1]],
        candidates=(description,),
        answer=0,
        language=str(_value(context, "language") or ""),
    )


def _entities(path: Path, report: Report) -> dict[str, str]:
    """Return the description of each entity of the candidate set.

    Raises:
        DataError: the candidate set is not in the folder of the file.
    """
    entities_path = path.with_name(ENTITIES)
    if not entities_path.is_file():
        raise DataError(f"{path}: needs {ENTITIES}, the candidate entities, in the same folder; add it")
    descriptions = {}
    for where, record in json_lines(entities_path, report):
        name, description = id_of(record, "entity_id"), _description(record)
        if name and description:
            descriptions[name] = description
        else:
            report.drop(f"{ENTITIES} {where}", "no entity_id or description")
    return descriptions


def _description(entity: object) -> str | None:
    """Return the marked sentences of an entity's description, or all of it if none are marked."""
    text = _value(entity, "description")
    if not isinstance(text, str):
        return None
    spans = _spans(_value(entity, "sentence_spans"), len(text))
    return _plain(" ".join(text[begin:end] for begin, end in spans) or text)


def _fields_of(value: object) -> Mapping[str, object]:
    return value if isinstance(value, dict) else {}


def _value(record: object, key: str) -> object:
    """Return a field of a record, or None if it is absent or there is no record."""
    return _fields_of(record).get(key)


def _spans(values: object, length: int) -> list[tuple[int, int]]:
    """Return the spans of a list that lie within a text."""
    spans = [_span(value, length) for value in values] if isinstance(values, list) else []
    return [span for span in spans if span is not None]


def _span(value: object, length: int) -> tuple[int, int] | None:
    start, end = _value(value, "start"), _value(value, "end")
    if type(start) is not int or type(end) is not int or not 0 <= start < end <= length:
        return None
    return start, end


def _marked(text: str, offsets: tuple[int, int], sentence: tuple[int, int]) -> str:
    """Return a mention, followed by its sentence with the mention in braces."""
    mention = text[offsets[0] : offsets[1]]
    context = text[sentence[0] : offsets[0]], text[offsets[1] : sentence[1]]
    left, right = (MARKED.sub(r"(\1)", part) for part in context)
    return _plain(f"{mention}: {left} {{ {mention} }} {right}")


def _plain(text: str) -> str:
    """Return a text with its lines joined and each pair of blanks replaced by one, in a single pass."""
    return " ".join(text.splitlines()).replace("  ", " ").strip()


MEWSLI = Format(tasks=("mewsli",), records=_read_mewsli, parse=_parse_mewsli, form="JSON lines of Mewsli-X")
