"""Formats of retrieval: BUCC, LAReQA and Mewsli-X."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ratio_hpo.core.errors import DataError
from ratio_hpo.data.examples import Asked, Mined, Question, group_of
from ratio_hpo.data.formats.base import Format, Records
from ratio_hpo.data.formats.files import json_lines, numbered_lines
from ratio_hpo.data.formats.rows import encodable, id_of, text_of
from ratio_hpo.data.formats.squad import checked_question, squad_records
from ratio_hpo.data.report import Report

DEVELOPMENT = ("dev", "training", "train", "sample")


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
            for where, fields in _fields(_named(prefix, ending)):
                yield (
                    f"{prefix.name}{ending} {where}",
                    {
                        "fields": fields,
                        "english": ending == ".en",
                        "development": is_development,
                        "mates": tuple(dict.fromkeys(gold.get(fields[0].strip(), ()))) if ending != ".en" else (),
                    },
                )


def _named(prefix: Path, ending: str) -> Path:
    return prefix.parent / f"{prefix.name}{ending}"


def _fields(path: Path) -> list[tuple[str, list[str]]]:
    return [(f"line {number}", line.split("\t")) for number, line in numbered_lines(path)]


def _parse_bucc(where: str, record: dict[str, Any], report: Report) -> Mined | None:
    fields = record["fields"]
    if len(fields) != 2 or not fields[0].strip() or not fields[1].strip():
        report.drop(where, "not an id and a sentence separated by a tab")
        return None
    if not encodable(fields[1]):
        report.drop(where, "the sentence is not valid Unicode")
        return None
    side = f"{'dev' if record['development'] else 'set'}:{'en' if record['english'] else 'xx'}"
    return Mined(
        id=f"{side}:{fields[0].strip()}",
        group=group_of(fields[1]),
        text=fields[1].strip(),
        english=record["english"],
        development=record["development"],
        mates=tuple(f"{side[:4]}en:{mate}" for mate in record["mates"]),
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


def _read_lareqa(path: Path, report: Report) -> Records:
    return squad_records(path, report, keep=("sentence_breaks",))


def _parse_lareqa(where: str, record: dict[str, Any], report: Report) -> Asked | None:
    question = checked_question(where, record, report)
    if question is None:
        return None
    breaks = record.get("sentence_breaks")
    if not isinstance(breaks, list) or not all(_is_span(span, len(question.context)) for span in breaks):
        report.drop(where, "no valid sentence_breaks within the context")
        return None
    return _asked(where, question, [(begin, end) for begin, end in breaks], report)


def _parse_cut(where: str, record: dict[str, Any], report: Report) -> Asked | None:
    question = checked_question(where, record, report)
    return None if question is None else _asked(where, question, sentence_breaks(question.context), report)


def _asked(where: str, question: Question, breaks: Breaks, report: Report) -> Asked | None:
    start = question.answers[0].start
    answer = next((k for k, (begin, end) in enumerate(breaks) if begin <= start < end), None)
    if answer is None:
        report.drop(where, "no sentence contains the start of the answer")
        return None
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
    records=_read_lareqa,
    parse=_parse_lareqa,
    form="SQuAD JSON with sentence_breaks in each paragraph",
)
SQUAD_SENTENCES = Format(tasks=("lareqa",), records=squad_records, parse=_parse_cut, form="SQuAD format")


ENTITIES = "candidate_set_entities.jsonl"

MARKED = re.compile(r"\{(.*?)\}")
"""Braces in a text, which would look like the marks of a mention; they become round brackets."""


def _read_mewsli(path: Path, report: Report) -> Records:
    """Read one record for each mention, and one for each entity without a mention, which is only a candidate."""
    articles = False
    entities: dict[str, str] = {}
    named: set[str] = set()
    for where, record in json_lines(path, report):
        if not isinstance(record, dict):
            report.drop(where, "not a record")
        elif "contextual_mention" in record:
            pair = record["contextual_mention"]
            yield where, {**_mention_fields(pair), "entity": _description(record.get("entity"))}
        else:
            if not articles:
                articles, entities = True, _entities(path, report)
            mentions = record.get("mentions")
            for k, mention in enumerate(mentions if isinstance(mentions, list) else [None]):
                entity = mention.get("entity_id") if isinstance(mention, dict) else None
                named.add(str(entity))
                fields = {"context": record.get("context"), "mention": mention, "entity": entities.get(str(entity))}
                yield f"{where} mentions[{k}]", fields
    for name, description in entities.items():
        if name not in named:
            yield f"{ENTITIES} {name}", {"found": name, "entity": description}


def _parse_mewsli(where: str, record: dict[str, Any], report: Report) -> Asked | None:
    description = text_of(record, ("entity",), where, report)
    if description is None:
        return None
    if "found" in record:
        name = str(record["found"])
        return Asked(id=name, group=name, question="", context="", candidates=(description,), answer=None)
    context, mention = record.get("context"), record.get("mention")
    text = context.get("text") if isinstance(context, dict) else None
    if not isinstance(context, dict) or not isinstance(text, str) or not text.strip() or not encodable(text):
        report.drop(where, "the context has no text (get-mewsli-x.sh adds it)")
        return None
    span = mention.get("mention_span") if isinstance(mention, dict) else None
    offsets = _span(span, len(text))
    if not isinstance(mention, dict) or not isinstance(span, dict) or offsets is None:
        report.drop(where, "no mention_span within the text")
        return None
    if text[offsets[0] : offsets[1]] != span.get("text"):
        report.drop(where, "mention_span does not match the text")
        return None
    identifier, document = id_of(mention, "example_id"), str(context.get("document_id") or where)
    if not encodable(identifier) or not encodable(document):
        report.drop(where, "an id is not valid Unicode")
        return None
    sentence = _sentence(context.get("sentence_spans"), offsets, len(text))
    return Asked(
        id=identifier,
        group=document,
        question=_marked(text, offsets, sentence),
        context=text[sentence[0] : sentence[1]],
        candidates=(description,),
        answer=0,
        language=str(context.get("language") or ""),
    )


def _mention_fields(pair: Any) -> Mapping[str, Any]:
    return {"context": pair.get("context"), "mention": pair.get("mention")} if isinstance(pair, dict) else {}


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
        name, description = id_of(record, "entity_id") if isinstance(record, dict) else "", _description(record)
        if name and description and encodable(name):
            descriptions[name] = description
        else:
            report.drop(f"{ENTITIES} {where}", "no entity_id or description")
    return descriptions


def _description(entity: Any) -> str | None:
    """Return the marked sentences of an entity's description, or all of it if none are marked."""
    text = entity.get("description") if isinstance(entity, dict) else None
    if not isinstance(text, str):
        return None
    spans = entity.get("sentence_spans")
    sentences = [_span(span, len(text)) for span in spans] if isinstance(spans, list) else []
    return _plain(" ".join(text[offsets[0] : offsets[1]] for offsets in sentences if offsets is not None) or text)


def _span(span: Any, length: int) -> tuple[int, int] | None:
    start, end = (span.get("start"), span.get("end")) if isinstance(span, dict) else (None, None)
    if not isinstance(start, int) or not isinstance(end, int) or isinstance(start, bool) or isinstance(end, bool):
        return None
    if not 0 <= start < end <= length:
        return None
    return start, end


def _sentence(spans: Any, offsets: tuple[int, int], length: int) -> tuple[int, int]:
    """Return the span of the sentence that holds a mention, or of the whole text if none does."""
    sentences = [_span(span, length) for span in spans] if isinstance(spans, list) else []
    return next((s for s in sentences if s is not None and s[0] <= offsets[0] and offsets[1] <= s[1]), (0, length))


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
