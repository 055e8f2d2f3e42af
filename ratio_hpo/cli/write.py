"""The commands that change a study: `enqueue`, `retry`, `rename` and `delete`."""

from __future__ import annotations

import sys
from dataclasses import dataclass
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
from ratio_hpo.core.json_format import Result
from ratio_hpo.report.formatting import say


@dataclass(frozen=True, slots=True, kw_only=True)
class RetriedTrial:
    """A trial that is retried.

    Attributes:
        failed: Number of the failed trial.
        trial: Number of the new trial.
    """

    failed: int
    trial: int


@dataclass(frozen=True, slots=True, kw_only=True)
class RetriedTrials(Result):
    """The trials that `retry` added.

    Attributes:
        study: Name of the study.
        retried: The failed trials, and the trials that retry them.
    """

    study: str
    retried: tuple[RetriedTrial, ...]


@click.command()
@click.argument("words", nargs=-1, required=True, metavar="[STUDY] PARAMETER=VALUE...")
@click.option(
    "--prunable", is_flag=True, help="Allow the pruner to stop the trial. Without it, the trial runs to its end."
)
@writing_options
def enqueue(words: tuple[str, ...], prunable: bool, study: str | None, root: Path, storage: str | None) -> None:
    """Enqueue a trial with the given parameters, in absolute values. Omitted parameters are sampled.

    A running search takes it as its next trial if it has trials left; otherwise the next search does.

    \b
    ratio-hpo enqueue ratio=0.4
    ratio-hpo enqueue polyglot-world-default ratio=0.4 learning_rate=0.001
    """
    from ratio_hpo.core.overrides import parse_assignment
    from ratio_hpo.study.manage import enqueue as enqueue_trial
    from ratio_hpo.study.snapshot import view_study

    names = [word for word in words if "=" not in word]
    params = dict(parse_assignment(text) for text in words if "=" in text)
    if len(names) > 1 or not params:
        raise click.UsageError("needs at least one PARAMETER=VALUE, such as ratio=0.4, and at most one STUDY")
    stored = open_stored(root, storage)
    name, number = enqueue_trial(stored, one_name(names[0] if names else None, study), params, prunable=prunable)
    view = view_study(stored, name)
    started = sum(record.state.value != "WAITING" for record in view.records)
    running = any(record.worker for record in view.records)
    when = f"the next search with --trials {number + 1} or more runs it"
    if running and started < view.about.trials:
        when = "the running search takes it when a worker is free"
    elif running:
        when = f"the running search has started all {view.about.trials} trials, so {when}"
    say(f"{name}: trial {number} is enqueued; {when}")


@click.command()
@click.argument("words", nargs=-1, metavar="[STUDY] [NUMBER]...")
@writing_options
@json_option
def retry(words: tuple[str, ...], study: str | None, root: Path, storage: str | None, as_json: bool) -> None:
    """Retry failed trials as new trials with the same parameters; without numbers, retry all failed trials.

    Diverged trials are retried only if you name their numbers.

    \b
    ratio-hpo retry
    ratio-hpo retry polyglot-world-default 7
    """
    from ratio_hpo.study.manage import retry as retry_trials

    names = [word for word in words if not is_number(word)]
    if len(names) > 1:
        raise click.UsageError(f"needs one study, but got {' and '.join(names)}; run it twice")
    numbers = [int(word) for word in words if is_number(word)]
    name, retried = retry_trials(open_stored(root, storage), one_name(names[0] if names else None, study), numbers)
    if as_json:
        trials = tuple(RetriedTrial(failed=failed, trial=number) for failed, number in retried.items())
        print_json(RetriedTrials(study=name, retried=trials))
        return
    for failed, number in retried.items():
        say(f"{name}: trial {number} retries trial {failed}")
    if retried:
        say(f"the next search with --trials {max(retried.values()) + 1} or more runs them")
    else:
        say(f"{name}: no failed trials to retry")


@click.command()
@click.argument("names", nargs=-1, required=True, metavar="[STUDY] NEW_NAME")
@needed_study_option
@root_option
@storage_option
@tracking_uri_option
def rename(
    names: tuple[str, ...], study: str | None, root: Path, storage: str | None, tracking_uri: str | None
) -> None:
    """Rename a study, its kept weights and its runs in MLflow.

    \b
    ratio-hpo rename polyglot-world-default first-try
    ratio-hpo rename --study polyglot-world-default first-try
    """
    from ratio_hpo.core.layout import RunFolder
    from ratio_hpo.upkeep import studies

    old_names, new = names[:-1], "".join(names[-1:])
    if len(old_names) > 1:
        raise click.UsageError(f"needs a study and its new name, but got {len(names)} names")
    old = needed(one_name(old_names[0] if old_names else None, study))
    problem = studies.rename(open_stored(root, storage), RunFolder(root), old, new, tracking_uri)
    say(f"study {old} is now {new}")
    if problem is not None:
        remedy = "delete the runs of the old name in its UI, then run `ratio-hpo track`"
        say(f"its runs in MLflow could not be changed ({problem}); {remedy}")


@click.command()
@click.option("--yes", is_flag=True, help="Do not ask for confirmation.")
@needed_study
@root_option
@storage_option
@tracking_uri_option
def delete(yes: bool, study: str | None, root: Path, storage: str | None, tracking_uri: str | None) -> None:
    """Delete a study: its trials, its kept weights and its runs in MLflow. Asks for confirmation.

    Stored stages are kept for other studies; `ratio-hpo gc` deletes stages that no study refers to.

    \b
    ratio-hpo delete first-try
    ratio-hpo delete first-try --yes
    """
    from ratio_hpo.core.layout import RunFolder
    from ratio_hpo.study.snapshot import view_study
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
