"""BUCC: `<name>.<language>` and `<name>.en` with `id TAB sentence`, and `<name>.gold` with `id TAB en-id`.

The threshold of a set to be mined (`…test.hu`) is found on the development set in the same folder (`…dev.hu`, with
`…dev.en` and `…dev.gold`). Without a `dev` set, the names `training` (as in BUCC), `train` and `sample` are tried.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from ratio_hpo.core.errors import DataError
from ratio_hpo.data.examples import Mined, group_of
from ratio_hpo.data.formats.base import Format, Records
from ratio_hpo.data.formats.fields import encodable
from ratio_hpo.data.formats.files import numbered_lines
from ratio_hpo.data.report import Report

DEVELOPMENT = ("dev", "training", "train", "sample")


def _records(path: Path, report: Report) -> Records:
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


def _parse(where: str, record: dict[str, Any], report: Report) -> Mined | None:
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


BUCC = Format(tasks=("bucc",), records=_records, parse=_parse, form="BUCC's three files per set")
