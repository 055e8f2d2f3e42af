"""The command line: parse, call, print. Commands are imported when they are called, rooms when they run."""

from __future__ import annotations

import errno
import sys
from importlib import import_module
from typing import Any

import click

DISK_ERRORS = (errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EACCES, errno.EIO)

COMMANDS = {
    "search": ("search", "Search a space, or continue the search."),
    "resume": ("search", "Continue a study by its name."),
    "confirm": ("confirm", "Which ratio beats what, and how sure that is, with fresh seeds."),
    "noise": ("confirm", "How far seeds alone move scores."),
    "status": ("read", "How a study stands."),
    "list": ("read", "All studies."),
    "trial": ("read", "One trial: parameters, curve, state, reason."),
    "best": ("read", "The recommended trial."),
    "pareto": ("pareto", "The front of speed against accuracy, as a table and a picture."),
    "ask": ("ask", "What the response model says: best ratios, speed, importance."),
    "report": ("report", "The answer and all behind it as one page."),
    "plot": ("report", "One picture by itself, for papers."),
    "transfer": ("transfer", "Gains over no intermediate training, by target and language."),
    "compare": ("compare", "Trials or studies side by side."),
    "enqueue": ("write", "Try these parameters next."),
    "retry": ("write", "Try failed trials again."),
    "rename": ("write", "Give a study another name."),
    "delete": ("write", "Delete a study."),
    "export": ("export", "Take out trials, curves, a configuration, a recipe or weights."),
    "track": ("track", "Write a study into an MLflow store or server."),
    "ui": ("track", "Open the MLflow UI on a ready-made view of a study."),
    "validate": ("files", "Check a space or an experiment file."),
    "spaces": ("files", "List the spaces at hand."),
    "doctor": ("machine", "What this machine has, and what is missing."),
    "gc": ("machine", "Free what no study refers to."),
}


class LazyGroup(click.Group):
    """Knows its commands' names and one-liners without importing them."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in COMMANDS:
            return None
        module = import_module(f"ratio_hpo.cli.{COMMANDS[cmd_name][0]}")
        return getattr(module, "list_" if cmd_name == "list" else cmd_name)

    def resolve_command(self, ctx: click.Context, args: list[str]) -> Any:
        if args and args[0] not in COMMANDS:
            from ratio_hpo.core.config import did_you_mean

            raise click.UsageError(f"no command {args[0]!r} ({did_you_mean(args[0], list(COMMANDS))})", ctx)
        return super().resolve_command(ctx, args)

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        with formatter.section("Commands"):
            formatter.write_dl([(name, line) for name, (_, line) in COMMANDS.items()])


def _version(ctx: click.Context, parameter: click.Parameter, value: bool) -> None:
    if value:
        from ratio_hpo import __version__

        click.echo(f"ratio-hpo {__version__}")
        ctx.exit()


@click.group(cls=LazyGroup, context_settings={"help_option_names": ["-h", "--help"]})
@click.option("--version", is_flag=True, is_eager=True, expose_value=False, callback=_version, help="Show the version.")
def app() -> None:
    """Search how much non-English data to mix into intermediate fine-tuning, and how.

    \b
    ratio-hpo search --space default            the main job; the same command continues it
    ratio-hpo pareto                            the front of speed against accuracy
    ratio-hpo ui                                the runs in MLflow
    """


def main() -> None:
    """Entry point. Exit codes: 0, 1 failed, 2 bad input, 3 finished with failed trials, 130 interrupted."""
    from ratio_hpo.cli.printing import fail
    from ratio_hpo.core.option_names import spell_as

    spell_as(lambda name: "--" + name.replace("_", "-"))
    try:
        app(prog_name="ratio-hpo", standalone_mode=False)
    except click.exceptions.Exit as error:
        sys.exit(error.exit_code)
    except click.UsageError as error:
        where = f" (see `{error.ctx.command_path} --help`)" if error.ctx else ""
        fail(error.format_message() + where, 2)
    except click.ClickException as error:
        fail(error.format_message(), 2)
    except (click.Abort, KeyboardInterrupt):
        fail("interrupted", 130)
    except BrokenPipeError:
        sys.exit(0)
    except OSError as error:
        if error.filename is None and error.errno not in DISK_ERRORS:
            raise
        place = f"{error.filename}: " if error.filename else ""
        fail(f"{place}{error.strerror}; check the path, its permissions and the free disk", 1)
    except Exception as error:
        from ratio_hpo.core.errors import RatioHpoError

        if isinstance(error, RatioHpoError):
            fail(str(error), error.exit_code)
        problem = _storage_problem(error)
        if problem is None:
            raise
        fail(problem, 1)


def _storage_problem(error: Exception) -> str | None:
    """What a database that was opened says: locked, full, read-only, gone."""
    storage = sys.modules.get("ratio_hpo.study.storage")  # not imported: not its error
    return None if storage is None else storage.describe_problem(error)
