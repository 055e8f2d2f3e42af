"""Commands that change a study: enqueue, retry, rename, delete."""

from __future__ import annotations

import sys
from pathlib import Path

import click

from ratio_hpo.cli.options import (
    is_number,
    json_option,
    needed,
    needed_study,
    needed_study_option,
    one_name,
    root_option,
    storage_option,
    tracking_uri_option,
    writing_options,
)
from ratio_hpo.cli.printing import open_stored, print_json
from ratio_hpo.core.json_format import SCHEMA
from ratio_hpo.show.formatting import say


@click.command()
@click.argument("words", nargs=-1, required=True, metavar="[STUDY] PARAMETER=VALUE...")
@click.option("--prunable", is_flag=True, help="Let the pruner stop it; what you ask for runs to its end otherwise.")
@writing_options
def enqueue(words: tuple[str, ...], prunable: bool, study: str | None, root: Path, storage: str | None) -> None:
    """Try these parameters next, in absolute values; parameters left out are sampled.

    A search that runs takes it as its next trial, if it was asked for more; else the next search does.

    \b
    ratio-hpo enqueue ratio=0.4
    ratio-hpo enqueue polyglot-world-default ratio=0.4 learning_rate=0.001
    """
    from ratio_hpo.core.overrides import parse_assignment
    from ratio_hpo.study.admin import enqueue as put
    from ratio_hpo.study.view import view_study

    names = [word for word in words if "=" not in word]
    params = dict(parse_assignment(text) for text in words if "=" in text)
    if len(names) > 1 or not params:
        raise click.UsageError("needs one PARAMETER=VALUE or more, as in ratio=0.4, and at most one STUDY")
    stored = open_stored(root, storage)
    name, number = put(stored, one_name(names[0] if names else None, study), params, prunable=prunable)
    view = view_study(stored, name)
    begun = sum(record.state.value != "WAITING" for record in view.records)
    running = any(record.worker for record in view.records)
    if running and begun < view.about.trials:
        say(f"{name}: trial {number} waits; the search that runs takes it when a worker is free")
    elif running:
        say(
            f"{name}: trial {number} waits; the search that runs was asked for {view.about.trials} trials and has "
            f"begun them all, so the next one with --trials {number + 1} or more runs it"
        )
    else:
        say(f"{name}: trial {number} waits; the next search with --trials {number + 1} or more runs it")


@click.command()
@click.argument("words", nargs=-1, metavar="[STUDY] [NUMBER]...")
@writing_options
@json_option
def retry(words: tuple[str, ...], study: str | None, root: Path, storage: str | None, as_json: bool) -> None:
    """Try failed trials again, as new trials with the same parameters; without numbers, all that failed.

    Trials that diverged are tried again only by their number.

    \b
    ratio-hpo retry
    ratio-hpo retry polyglot-world-default 7
    """
    from ratio_hpo.upkeep.studies import retry as put

    names = [word for word in words if not is_number(word)]
    if len(names) > 1:
        raise click.UsageError(f"takes one study, but got {' and '.join(names)}; run it twice")
    numbers = [int(word) for word in words if is_number(word)]
    name, made = put(open_stored(root, storage), one_name(names[0] if names else None, study), numbers)
    if as_json:
        print_json({"schema": SCHEMA, "study": name, "retried": [{"failed": a, "trial": b} for a, b in made.items()]})
        return
    for failed, number in made.items():
        say(f"{name}: trial {number} tries trial {failed} again")
    if made:
        say(f"they wait; the next search with --trials {max(made.values()) + 1} or more runs them")
    else:
        say(f"{name}: no failed trial is left to try again")


@click.command()
@click.argument("names", nargs=-1, required=True, metavar="[STUDY] NEW_NAME")
@needed_study_option
@root_option
@storage_option
@tracking_uri_option
def rename(
    names: tuple[str, ...], study: str | None, root: Path, storage: str | None, tracking_uri: str | None
) -> None:
    """Give a study another name, with its kept weights and its runs in MLflow.

    \b
    ratio-hpo rename polyglot-world-default first-try
    ratio-hpo rename --study polyglot-world-default first-try
    """
    from ratio_hpo.core.layout import RunFolder
    from ratio_hpo.upkeep import studies

    named, new = names[:-1], "".join(names[-1:])
    if len(named) > 1:
        raise click.UsageError(f"takes a study and its new name, but got {len(names)} names")
    old = needed(one_name(named[0] if named else None, study))
    problem = studies.rename(open_stored(root, storage), RunFolder(root), old, new, tracking_uri)
    say(f"study {old} is now {new}")
    if problem is not None:
        remedy = "delete those of the old name in its UI, then run `ratio-hpo track`"
        say(f"its runs in MLflow could not be changed ({problem}); {remedy}")


@click.command()
@click.option("--yes", is_flag=True, help="Do not ask.")
@needed_study
@root_option
@storage_option
@tracking_uri_option
def delete(yes: bool, study: str | None, root: Path, storage: str | None, tracking_uri: str | None) -> None:
    """Delete a study: its trials, its kept weights and its runs in MLflow. Asks first.

    Stored stages stay for other studies; `ratio-hpo gc` frees those that no study refers to.

    \b
    ratio-hpo delete first-try
    ratio-hpo delete first-try --yes
    """
    from ratio_hpo.core.layout import RunFolder
    from ratio_hpo.study.view import view_study
    from ratio_hpo.upkeep import studies

    stored, name = open_stored(root, storage), needed(study)
    view = view_study(stored, name)
    if not yes:
        if not sys.stdin.isatty():
            raise click.UsageError(f"deleting {name} with {len(view.records)} trial(s) needs --yes without a terminal")
        click.confirm(f"Delete study {name} with {len(view.records)} trial(s), weights and runs?", abort=True, err=True)
    problem = studies.delete(stored, RunFolder(root), name, tracking_uri)
    say(f"study {name} is deleted")
    if problem is not None:
        say(f"its runs in MLflow could not be changed ({problem}); delete them in its UI")
