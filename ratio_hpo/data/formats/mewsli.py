"""Mewsli-X: mentions of entities in WikiNews, and pairs of a mention and its entity from Wikipedia, as JSON lines.

`wikinews_mentions-*.jsonl` has an article a line, with its mentions; beside it stands `candidate_set_entities.jsonl`,
whose entities are all there to be found. `wikipedia_pairs-*.jsonl` has a mention and its entity a line, for training.
Texts are made as XTREME-R makes them (utils_mewslix.py): `mention: the { mention } in its sentence`.
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
"""What looks like our mark of a mention in a text; it becomes round brackets."""


def _records(path: Path, report: Report) -> Records:
    """A record a mention, or an entity that is only there to be found."""
    articles = False
    entities: dict[str, str] = {}
    named: set[str] = set()
    for where, record in json_lines(path, report):
        if not isinstance(record, dict):
            report.drop(where, "not a record")
        elif "contextual_mention" in record:
            pair = record["contextual_mention"]
            yield where, {**_of(pair), "entity": _description(record.get("entity"))}
        else:
            if not articles:
                articles, entities = True, _entities(path, report)
            mentions = record.get("mentions")
            for k, mention in enumerate(mentions if isinstance(mentions, list) else [None]):
                about = {"context": record.get("context"), "mention": mention}
                entity = mention.get("entity_id") if isinstance(mention, dict) else None
                named.add(str(entity))
                yield f"{where} mentions[{k}]", {**about, "entity": entities.get(str(entity))}
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
        report.drop(where, "no text of the context (get-mewsli-x.sh puts it in)")
        return None
    span = mention.get("mention_span") if isinstance(mention, dict) else None
    place = _span(span, len(text))
    if not isinstance(mention, dict) or not isinstance(span, dict) or place is None:
        report.drop(where, "no mention_span within the text")
        return None
    if text[place[0] : place[1]] != span.get("text"):
        report.drop(where, "mention_span does not match the text")
        return None
    identifier, document = id_of(mention, "example_id"), str(context.get("document_id") or where)
    if not encodable(identifier) or not encodable(document):
        report.drop(where, "an id is not valid Unicode")
        return None
    sentence = _sentence(context.get("sentence_spans"), place, len(text))
    return Asked(
        id=identifier,
        group=document,
        question=_marked(text, place, sentence),
        context=text[sentence[0] : sentence[1]],
        candidates=(description,),
        answer=0,
        language=str(context.get("language") or ""),
    )


def _of(pair: Any) -> Mapping[str, Any]:
    return {"context": pair.get("context"), "mention": pair.get("mention")} if isinstance(pair, dict) else {}


def _entities(path: Path, report: Report) -> dict[str, str]:
    """The description of each entity of the candidate set.

    Raises:
        DataError: it does not stand beside the file.
    """
    beside = path.with_name(ENTITIES)
    if not beside.is_file():
        raise DataError(f"{path}: needs {ENTITIES} beside it, which holds what is there to be found; put it there")
    found = {}
    for where, record in json_lines(beside, report):
        name, description = id_of(record, "entity_id") if isinstance(record, dict) else "", _description(record)
        if name and description and encodable(name):
            found[name] = description
        else:
            report.drop(f"{ENTITIES} {where}", "no entity_id or description")
    return found


def _description(entity: Any) -> str | None:
    """The sentences of an entity's description; all of it where none are marked."""
    text = entity.get("description") if isinstance(entity, dict) else None
    if not isinstance(text, str):
        return None
    spans = entity.get("sentence_spans")
    places = [_span(span, len(text)) for span in spans] if isinstance(spans, list) else []
    return _plain(" ".join(text[place[0] : place[1]] for place in places if place is not None) or text)


def _span(span: Any, length: int) -> tuple[int, int] | None:
    start, end = (span.get("start"), span.get("end")) if isinstance(span, dict) else (None, None)
    if not isinstance(start, int) or not isinstance(end, int) or isinstance(start, bool) or isinstance(end, bool):
        return None
    if not 0 <= start < end <= length:
        return None
    return start, end


def _sentence(spans: Any, place: tuple[int, int], length: int) -> tuple[int, int]:
    """The sentence that holds a mention; all of the text where none does."""
    found = [_span(span, length) for span in spans] if isinstance(spans, list) else []
    return next((s for s in found if s is not None and s[0] <= place[0] and place[1] <= s[1]), (0, length))


def _marked(text: str, place: tuple[int, int], sentence: tuple[int, int]) -> str:
    """A mention, and it in its sentence between braces."""
    mention = text[place[0] : place[1]]
    left, right = (MARKED.sub(r"(\1)", part) for part in (text[sentence[0] : place[0]], text[place[1] : sentence[1]]))
    return _plain(f"{mention}: {left} {{ {mention} }} {right}")


def _plain(text: str) -> str:
    """Lines joined, and pairs of blanks made one, once."""
    return " ".join(text.splitlines()).replace("  ", " ").strip()


MEWSLI = Format(tasks=("mewsli",), records=_records, parse=_parse, form="JSON lines of Mewsli-X")
