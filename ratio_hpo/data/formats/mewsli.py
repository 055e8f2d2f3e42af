"""Mewsli-X: mentions of entities in WikiNews, and pairs of a mention and its entity from Wikipedia, as JSON lines.

Each line of `wikinews_mentions-*.jsonl` is an article with its mentions; `candidate_set_entities.jsonl`, in the same
folder, holds all candidate entities. Each line of `wikipedia_pairs-*.jsonl` is a mention and its entity, for training.
Texts are formatted as in XTREME-R (utils_mewslix.py): `mention: the { mention } in its sentence`.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ratio_hpo.core.errors import DataError
from ratio_hpo.data.examples import Asked
from ratio_hpo.data.formats.base import Format, Records
from ratio_hpo.data.formats.fields import encodable, id_of, text_of
from ratio_hpo.data.formats.files import json_lines
from ratio_hpo.data.report import Report

ENTITIES = "candidate_set_entities.jsonl"

MARKED = re.compile(r"\{(.*?)\}")
"""Braces in a text, which would look like the marks of a mention; they become round brackets."""


def _records(path: Path, report: Report) -> Records:
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


def _parse(where: str, record: dict[str, Any], report: Report) -> Asked | None:
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


MEWSLI = Format(tasks=("mewsli",), records=_records, parse=_parse, form="JSON lines of Mewsli-X")
