"""Supertags in jiant's format: `words TAB supertags`, both separated by blanks and equal in number.

The reader follows jiant's conversion of CCGbank. It was not tested on CCGbank, which requires a licence.
"""

from __future__ import annotations

from typing import Any

from ratio_hpo.data.examples import Sentence
from ratio_hpo.data.formats.base import NO_LABEL, Format, Records
from ratio_hpo.data.formats.files import numbered_lines
from ratio_hpo.data.formats.sentences import of_record, sentence_of
from ratio_hpo.data.report import Report


def _records(path: Any, report: Report) -> Records:
    for number, line in numbered_lines(path):
        yield f"line {number}", line


def _parse(where: str, record: Any, report: Report) -> Sentence | None:
    if isinstance(record, dict):
        return of_record(where, record, report)
    words, _, tags = record.partition("\t")
    if not tags.strip():
        report.drop(where, NO_LABEL)
        return None
    if len(words.split(" ")) != len(tags.split(" ")):
        report.drop(where, "words and supertags differ in number")
        return None
    return sentence_of(where, words.split(" "), list(tags.split(" ")), report)


CCG = Format(tasks=("ccg",), records=_records, parse=_parse, form="words and as many supertags, separated by a tab")
