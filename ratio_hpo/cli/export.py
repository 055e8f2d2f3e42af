"""The `export` command: trials, curves, the recommended configuration, the recipe, weights."""

from __future__ import annotations

import json
import shutil
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import click

from ratio_hpo.cli.options import named_study, reading_timeout, root_option, storage_option
from ratio_hpo.cli.printing import open_view
from ratio_hpo.core.files import written_whole
from ratio_hpo.core.json_format import Result, rounded
from ratio_hpo.core.layout import RunFolder
from ratio_hpo.report.formatting import say

if TYPE_CHECKING:
    from ratio_hpo.study.snapshot import StudyView

TABLE = ("csv", "parquet", "json")
FORMATS: dict[str, tuple[str, ...]] = {
    "trials": TABLE,
    "curves": TABLE,
    "config": ("yaml",),
    "recipe": ("yaml", "json"),
    "weights": ("folder",),
}
"""What can be exported, and its formats; the first format is the default."""


@dataclass(frozen=True, slots=True, kw_only=True)
class TrialRows(Result):
    """The trials of a study as a flat table.

    Attributes:
        study: Name of the study.
        trials: One row for each trial: its fields as in `status`, with `front`, `params.<name>`,
            `realised.<stage>.<source>`, `epochs.<stage>.<source>` and `score.<language>`.
    """

    study: str
    trials: Sequence[Mapping[str, object]]


@dataclass(frozen=True, slots=True, kw_only=True)
class CurveRows(Result):
    """The curves of a study as a flat table.

    Attributes:
        study: Name of the study.
        curves: One row for each evaluation: `trial`, `state`, `ratio`, `stage`, `windows`, `cost`, `paid`, `time`, and
            every score and measure.
    """

    study: str
    curves: Sequence[Mapping[str, object]]


@click.command()
@click.argument("what", type=click.Choice(list(FORMATS)))
@click.option("--format", "form", type=click.Choice(["csv", "parquet", "json", "yaml"]),
              help="File format.  [default: from the suffix of --output, or csv for tables, else yaml]")  # fmt: skip
@click.option(
    "--output", "-o", type=click.Path(path_type=Path),
    help="File to write; for weights, a folder.  [default: stdout; for weights, print where they are kept]",
)  # fmt: skip
@click.option("--trial", "number", type=int, help="Export this trial instead of the recommended one; not for tables.")
@named_study
@root_option
@storage_option
@reading_timeout
def export(
    what: str, form: str | None, output: Path | None, number: int | None, study: str | None, root: Path,
    storage: str | None,
) -> None:  # fmt: skip
    """Export trials, curves, or the configuration, recipe or weights of the recommended trial.

    config is an experiment file for `ratio-hpo search --experiment`. recipe describes the mixture and the training for
    use in other training code. weights is a folder that transformers can load.

    \b
    ratio-hpo export trials -o trials.csv
    ratio-hpo export curves -o curves.parquet
    ratio-hpo export config -o winner.yaml && ratio-hpo search --experiment winner.yaml
    ratio-hpo export recipe
    ratio-hpo export weights -o model/
    """
    if what == "weights":
        if form is not None:
            raise click.UsageError("weights are exported as a folder; omit --format")
        _weights(open_view(root, storage, study), root, number, output)
        return
    if output is not None and output.is_dir():
        raise click.UsageError(f"{output}: is a folder; name a file with --output")
    form = _format(what, form, output)
    if form == "parquet" and output is None:
        raise click.UsageError("parquet is not text; name a file with --output")
    view = open_view(root, storage, study)
    content = _table(view, what, form) if FORMATS[what] == TABLE else _document(view, what, form, number)
    if output is None:
        sys.stdout.write(content.decode())
        return
    with written_whole(output) as part:
        part.write_bytes(content)
    say(f"{what} of {view.name}: {output}")


def _weights(view: StudyView, root: Path, number: int | None, output: Path | None) -> None:
    """Copy the final weights of a trial, or print where they are kept."""
    from ratio_hpo.analysis.recommend import winner
    from ratio_hpo.core.errors import StudyError
    from ratio_hpo.metrics.front import point_key
    from ratio_hpo.study.checkpoint_retention import damaged

    record = winner(view, number)
    last = record.scored[-1]
    weights = RunFolder(root).kept(view.name, point_key(record.number, last.stage, last.windows))
    if weights is None:
        if view.about.objective is not None:
            raise StudyError(f"study {view.name}: a custom objective stores its own weights; look where it saves them")
        raise StudyError(
            f"{RunFolder(root).weights(view.name)}: holds no final weights of trial {record.number} (this study keeps "
            f"{view.about.keep}); run its command again with ⟨keep⟩ all to keep the weights that are still stored"
        )
    damaged_file = damaged(weights)
    if damaged_file is not None:
        raise StudyError(
            f"{weights / damaged_file}: is damaged; delete {weights}, then run the study's command again to "
            "keep the weights that are still stored"
        )
    if output is None:
        click.echo(str(weights))
        return
    if output.exists():
        raise StudyError(f"{output}: already exists; name a new folder with --output")
    with written_whole(output) as part:
        shutil.copytree(weights, part)
    say(f"weights of {view.name}, trial {record.number}: {output}")


def _format(what: str, requested: str | None, output: Path | None) -> str:
    formats = FORMATS[what]
    ending = {"yml": "yaml", "pq": "parquet"}.get(output.suffix[1:], output.suffix[1:]) if output else None
    form = formats[0] if requested is None and ending is None else requested or ending
    if form in formats:
        return form
    supported = f"{what} can be exported as {', '.join(formats)}, but not as"
    if requested is None:
        name = ending or "a file without a suffix"
        raise click.UsageError(f"{output}: {supported} {name}; choose another suffix, or use --format")
    raise click.UsageError(f"{supported} {form}; choose one of them")


def _table(view: StudyView, what: str, form: str) -> bytes:
    from ratio_hpo.analysis.tables import csv_of, curves_table, trials_table

    table = trials_table(view) if what == "trials" else curves_table(view)
    if form == "csv":
        return csv_of(table).encode()
    if form == "parquet":
        return table.to_parquet(index=False)
    rows = json.loads(str(table.to_json(orient="records", double_precision=15)))
    result = TrialRows(study=view.name, trials=rows) if what == "trials" else CurveRows(study=view.name, curves=rows)
    return (json.dumps(result.to_json(), indent=1, ensure_ascii=False) + "\n").encode()


def _document(view: StudyView, what: str, form: str, number: int | None) -> bytes:
    from ratio_hpo.analysis.recipe import recipe, winning_config
    from ratio_hpo.core.yaml import dump_yaml

    if what == "config":
        content, comment = winning_config(view, number)
        return dump_yaml(content, comment).encode()
    content = rounded(recipe(view, number).to_json())
    if form == "json":
        return (json.dumps(content, indent=1, ensure_ascii=False, allow_nan=False) + "\n").encode()
    return dump_yaml(content, f"Recipe of study {view.name}, trial {content['trial']}").encode()
