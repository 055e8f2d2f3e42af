"""The command line: parse, call, print. Commands are imported when called, other packages when used."""

from __future__ import annotations

import errno
import sys
from importlib import import_module
from typing import Any

import click

DISK_ERRORS = (errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EACCES, errno.EIO)

COMMANDS = {
    "search": ("search", "Search a space, or continue a search."),
    "resume": ("search", "Resume a study by its name."),
    "confirm": ("confirm", "Retrain finalists with fresh seeds and test which ratios differ."),
    "noise": ("confirm", "Measure how much scores vary between training seeds."),
    "status": ("read", "Show the state of a study."),
    "list": ("read", "List all studies."),
    "trial": ("read", "Show one trial: parameters, curve, state, reason."),
    "best": ("read", "Show the recommended trial (not the highest score)."),
    "pareto": ("pareto", "Show the cost-score front as a table and a plot."),
    "ask": ("ask", "Query the response model: best ratios, speed-up, importance."),
    "report": ("report", "Write an HTML report of a study."),
    "plot": ("report", "Write one plot to a file, for papers."),
    "transfer": ("compare", "Show gains over no intermediate training, by target and language."),
    "compare": ("compare", "Compare trials or studies side by side."),
    "enqueue": ("write", "Enqueue a trial with given parameters."),
    "retry": ("write", "Retry failed trials."),
    "rename": ("write", "Rename a study."),
    "delete": ("write", "Delete a study."),
    "export": ("export", "Export trials, curves, a configuration, a recipe or weights."),
    "track": ("track", "Write a study to an MLflow store or server."),
    "ui": ("track", "Open the MLflow UI on a prepared view of a study."),
    "validate": ("files", "Check a space or an experiment file."),
    "spaces": ("files", "List the available search spaces."),
    "doctor": ("machine", "Check this machine and list what is missing."),
    "gc": ("machine", "Delete stored data that no study refers to."),
}


class LazyGroup(click.Group):
    """A command group that lists commands and their summaries without importing them."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in COMMANDS:
            return None
        module = import_module(f"ratio_hpo.cli.{COMMANDS[cmd_name][0]}")
        return getattr(module, "list_" if cmd_name == "list" else cmd_name)

    def resolve_command(self, ctx: click.Context, args: list[str]) -> Any:
        if args and args[0] not in COMMANDS:
            from ratio_hpo.core.yaml import did_you_mean

            raise click.UsageError(f"no command {args[0]!r} ({did_you_mean(args[0], list(COMMANDS))})", ctx)
        return super().resolve_command(ctx, args)

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        with formatter.section("Commands"):
            formatter.write_dl([(name, line) for name, (_, line) in COMMANDS.items()])


def _version(ctx: click.Context, parameter: click.Parameter, value: bool) -> None:
    if value:
        from ratio_hpo.version import __version__

        click.echo(f"ratio-hpo {__version__}")
        ctx.exit()


@click.group(cls=LazyGroup, context_settings={"help_option_names": ["-h", "--help"]})
@click.option(
    "--version", is_flag=True, is_eager=True, expose_value=False, callback=_version, help="Show the version and exit."
)
def app() -> None:
    """Search how much non-English data to mix into intermediate fine-tuning, and how.

    \b
    ratio-hpo search --space default            search a space; run it again to continue
    ratio-hpo pareto                            show the cost-score front
    ratio-hpo ui                                show the runs in MLflow
    """


def main() -> None:
    """Run the command line. Exit codes: 0 done, 1 failed, 2 bad input, 3 done with failed trials, 130 interrupted."""
    from ratio_hpo.cli.printing import fail
    from ratio_hpo.core.errors import spell_as

    spell_as(lambda name: "--" + name.replace("_", "-"))
    try:
        app(prog_name="ratio-hpo", standalone_mode=False)
    except click.exceptions.Exit as error:
        sys.exit(error.exit_code)
    except click.UsageError as error:
        hint = f" (see `{error.ctx.command_path} --help`)" if error.ctx else ""
        fail(error.format_message() + hint, 2)
    except click.ClickException as error:
        fail(error.format_message(), 2)
    except (click.Abort, KeyboardInterrupt):
        fail("interrupted", 130)
    except BrokenPipeError:
        sys.exit(0)
    except OSError as error:
        if error.filename is None and error.errno not in DISK_ERRORS:
            raise
        prefix = f"{error.filename}: " if error.filename else ""
        fail(f"{prefix}{error.strerror}; check the path, its permissions and the free disk space", 1)
    except Exception as error:
        from ratio_hpo.core.errors import RatioHpoError

        if isinstance(error, RatioHpoError):
            fail(str(error), error.exit_code)
        problem = _storage_problem(error)
        if problem is None:
            raise
        fail(problem, 1)


def _storage_problem(error: Exception) -> str | None:
    """Return a message for an error of an opened database (locked, full, read-only, gone), or None for other errors."""
    storage = sys.modules.get("ratio_hpo.storage.connect")  # if it was not imported, the error is not from the storage
    return None if storage is None else storage.describe_problem(error)
