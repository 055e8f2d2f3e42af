"""The commands on the machine and the run folder: `doctor` and `gc`."""

from __future__ import annotations

import sys
from pathlib import Path

import click

from ratio_hpo.cli.deadline import KEY, READING
from ratio_hpo.cli.options import json_option, option, root_option, storage_option, timeout_option, tracking_uri_option
from ratio_hpo.cli.printing import open_stored, print_json, print_table
from ratio_hpo.core.errors import spelled
from ratio_hpo.report.formatting import say


@click.command()
@option("--experiment", default="polyglot-world", show_default=True, help="Experiment whose base model is checked.")
@option("--base", help="Check another base model: a hub name[@commit], a folder, minilm.")
@root_option
@storage_option
@tracking_uri_option
@timeout_option(
    READING, "Exit if the storage, the tracking store or the model hub does not answer for this long (seconds)."
)
@json_option
@click.pass_context
def doctor(
    ctx: click.Context,
    experiment: str,
    base: str | None,
    root: Path,
    storage: str | None,
    tracking_uri: str | None,
    as_json: bool,
) -> None:
    """Check versions, devices, disk, storage, tracking and the base model. Report what is missing and how to get it.

    Exit with code 1 if anything that a search needs is missing.

    \b
    ratio-hpo doctor
    ratio-hpo doctor --experiment tydiqa-goldp --base xlm-roberta-base --tracking-uri https://mlflow.example.org
    """
    from ratio_hpo.upkeep.doctor import EXTRAS, MachineReport, examine

    checks, width = [], max(map(len, EXTRAS))
    for check in examine(root, storage, tracking_uri, experiment, base, timeout=ctx.meta[KEY]):
        checks.append(check)
        if not as_json:  # print each check as soon as it is done
            remedy = f"\n{' ' * (width + 11)}{spelled(check.remedy)}" if check.remedy else ""
            click.echo(f"{check.name.ljust(width)}  {check.state.ljust(7)}  {check.detail}{remedy}")
    missing = sum(check.state == "missing" for check in checks)
    if as_json:
        print_json(MachineReport(ok=not missing, checks=tuple(checks)))
    else:
        click.echo(f"{missing} item(s) missing" if missing else "everything that a search needs is available")
    sys.exit(1 if missing else 0)


@click.command()
@click.option("--dry-run", is_flag=True, help="Show what would be deleted; delete nothing.")
@click.option("--ended", is_flag=True, help="Also delete stages of ended trials; later trials must train them again.")
@root_option
@option(
    "--storage", "storages", multiple=True, metavar="URL", help="Storage whose studies use --root. May be repeated."
)
@json_option
def gc(dry_run: bool, ended: bool, root: Path, storages: tuple[str, ...], as_json: bool) -> None:
    """Delete stages, item scores, kept weights, tokenised data and plots that no study refers to.

    Files used within the last hour or by a running search are kept. If studies of several storages share --root, name
    every storage.

    \b
    ratio-hpo gc --dry-run
    ratio-hpo gc --ended
    """
    from ratio_hpo.core.layout import RunFolder
    from ratio_hpo.experiment.places import DEFAULT, check_storages
    from ratio_hpo.upkeep.garbage import collect_garbage

    folder = RunFolder(root)
    urls = [None if url == DEFAULT else url for url in storages] or [None]
    opened = [open_stored(root, url, only_read=True) for url in urls]
    check_storages(folder, urls)
    result = collect_garbage(opened, folder, ended=ended, dry_run=dry_run)
    if as_json:
        print_json(result)
        return
    rows = [[f"{item.bytes / 1e6:,.1f}", item.why, str(item.path)] for item in result.garbage]
    print_table(["MB", "what", "path"], rows, right=["MB"])
    if dry_run:
        say(f"{len(rows)} item(s) of {result.bytes / 1e6:,.1f} MB would be deleted; nothing was deleted")
    else:
        say(f"{result.freed_bytes / 1e6:,.1f} MB freed")
    if result.ended_bytes > 0:
        say(f"{result.ended_bytes / 1e6:,.1f} MB more with --ended: stages of ended trials")
