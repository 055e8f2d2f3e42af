"""Commands that change a study: enqueue, retry, rename, delete."""

from __future__ import annotations

import shutil
import sys
from collections.abc import Callable
from pathlib import Path

import click

from ratio_hpo.cli.options import (
    json_option,
    root_option,
    storage_option,
    study_argument,
    tracking_uri_option,
    writing_options,
)
from ratio_hpo.cli.printing import open_stored, print_json
from ratio_hpo.show.words import say


@click.command()
@click.argument("assignments", nargs=-1, required=True, metavar="PARAMETER=VALUE...")
@writing_options
def enqueue(assignments: tuple[str, ...], study: str | None, root: Path, storage: str | None) -> None:
    """Try these parameters next, in absolute values; parameters left out are sampled.

    \b
    ratio-hpo enqueue ratio=0.4
    ratio-hpo enqueue ratio=0.4 learning_rate=0.001 --study polyglot-world-default
    """
    from ratio_hpo.core.overrides import parse_assignment
    from ratio_hpo.study.admin import enqueue as put

    params = dict(parse_assignment(text) for text in assignments)
    name, number = put(open_stored(root, storage), study, params)
    say(f"{name}: trial {number} waits; the next search that asks for more trials runs it")


@click.command()
@click.argument("numbers", nargs=-1, type=int, metavar="[NUMBER]...")
@writing_options
@json_option
def retry(numbers: tuple[int, ...], study: str | None, root: Path, storage: str | None, as_json: bool) -> None:
    """Try failed trials again, as new trials with the same parameters; without numbers, all that failed.

    Trials that diverged are tried again only by their number.

    \b
    ratio-hpo retry
    ratio-hpo retry 7 --study polyglot-world-default
    """
    from ratio_hpo.study.admin import retry as put

    name, made = put(open_stored(root, storage), study, numbers)
    if as_json:
        print_json({"schema": 1, "study": name, "retried": [{"failed": a, "trial": b} for a, b in made.items()]})
        return
    for failed, number in made.items():
        say(f"{name}: trial {number} tries trial {failed} again")
    if made:
        say(f"they wait; the next search with --trials {max(made.values()) + 1} or more runs them")
    else:
        say(f"{name}: no failed trial is left to try again")


@click.command()
@study_argument
@click.argument("new_name")
@root_option
@storage_option
@tracking_uri_option
def rename(study: str, new_name: str, root: Path, storage: str | None, tracking_uri: str | None) -> None:
    """Give a study another name, with its kept weights and its runs in MLflow.

    \b
    ratio-hpo rename polyglot-world-default first-try
    """
    from ratio_hpo.core.errors import StudyError
    from ratio_hpo.experiment.track import rename_runs
    from ratio_hpo.study.admin import rename_study

    folder, new_folder = root / "checkpoints" / study, root / "checkpoints" / new_name
    if folder.is_dir() and new_folder.exists():
        raise StudyError(f"{new_folder} holds weights already; choose another name, or move them away")
    stored = open_stored(root, storage)
    rename_study(stored, study, new_name)
    if folder.is_dir():
        folder.rename(new_folder)
    say(f"study {study} is now {new_name}")
    _in_mlflow(
        lambda: rename_runs(stored, study, new_name, root, tracking_uri),
        "delete those of the old name in its UI, then run `ratio-hpo track`",
    )


@click.command()
@study_argument
@click.option("--yes", is_flag=True, help="Do not ask.")
@root_option
@storage_option
@tracking_uri_option
def delete(study: str, yes: bool, root: Path, storage: str | None, tracking_uri: str | None) -> None:
    """Delete a study: its trials, its kept weights and its runs in MLflow. Asks first.

    Stored stages stay for other studies; `ratio-hpo gc` frees those that no study refers to.

    \b
    ratio-hpo delete first-try
    ratio-hpo delete first-try --yes
    """
    from ratio_hpo.experiment.track import delete_runs
    from ratio_hpo.study.admin import delete_study
    from ratio_hpo.study.view import view_study

    stored = open_stored(root, storage)
    view = view_study(stored, study)
    if not yes:
        if not sys.stdin.isatty():
            raise click.UsageError(f"deleting {study} with {len(view.records)} trial(s) needs --yes without a terminal")
        click.confirm(
            f"Delete study {study} with {len(view.records)} trial(s), weights and runs?", abort=True, err=True
        )
    delete_study(stored, study)
    shutil.rmtree(root / "checkpoints" / study, ignore_errors=True)
    say(f"study {study} is deleted")
    _in_mlflow(lambda: delete_runs(view, root, tracking_uri), "delete them in its UI")


def _in_mlflow(act: Callable[[], object], remedy: str) -> None:
    """Do to the runs what was done to the study; a store that cannot be reached takes nothing back."""
    from ratio_hpo.core.urls import reason_of

    try:
        act()
    except Exception as error:  # a tracking store may raise anything; the study is the truth and is done with
        say(f"its runs in MLflow could not be changed ({reason_of(error)}); {remedy}")
