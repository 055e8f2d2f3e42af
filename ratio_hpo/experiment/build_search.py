"""Build a search from its options: load, check, prepare and plan it, without training."""

from __future__ import annotations

from dataclasses import replace

from ratio_hpo.core.errors import FileFault, RatioHpoError, in_one_line
from ratio_hpo.core.files import is_fault
from ratio_hpo.core.plans import StudyMetadata
from ratio_hpo.core.retry import retry_call
from ratio_hpo.core.urls import reason_of, without_login
from ratio_hpo.experiment.built_in import BuiltIn
from ratio_hpo.experiment.custom_objective import CustomExperiment
from ratio_hpo.experiment.load import Loaded, load_experiment
from ratio_hpo.experiment.places import command_of, find_places
from ratio_hpo.experiment.search_setup import ExperimentKind, RunOptions, Say, Search
from ratio_hpo.experiment.spec import ExperimentSpec
from ratio_hpo.experiment.study_spec import CustomExperimentSpec
from ratio_hpo.experiment.track import check_apart, store_key
from ratio_hpo.objective import Objective
from ratio_hpo.space import Space
from ratio_hpo.training.store import store_budget


def kind_of(loaded: Loaded, objective: Objective | None = None, space: Space | None = None) -> ExperimentKind:
    """Return the experiment kind (built-in or custom objective) that matches a loaded file.

    Args:
        loaded: The experiment.
        objective: Custom objective passed from Python. None: the one that the experiment names.
        space: Space passed from Python. None: the one that the experiment names.
    """
    if isinstance(loaded.spec, ExperimentSpec):
        return BuiltIn(loaded, loaded.spec)
    assert isinstance(loaded.spec, CustomExperimentSpec)
    return CustomExperiment(loaded, loaded.spec, objective, space)


def _prepare(kind: ExperimentKind, options: RunOptions, say: Say) -> Search:
    """Return the search with its data.

    Raises:
        FileFault: A disk or a network failed.
    """
    try:
        return kind.ready(options, say)
    except RatioHpoError as error:
        if error.__cause__ is not None and is_fault(error.__cause__):
            raise FileFault(str(error)) from error
        raise
    except Exception as error:  # Arrow, safetensors and tokenizers raise their own error classes
        if is_fault(error):
            raise FileFault(f"{in_one_line(error)}; check the disk and the network") from error
        raise


def build_search(
    options: RunOptions, say: Say, *, objective: Objective | None = None, space: Space | None = None
) -> Search:
    """Load, check and prepare a search, without training or opening a study.

    Args:
        options: What to search, where and how.
        say: Callback that prints a line.
        objective: Custom objective passed from Python. None: the one that the experiment names.
        space: Space passed from Python. None: the one that the experiment names.

    Raises:
        ConfigError: The experiment is invalid; one line per mistake.
        DataError: The data is invalid; one line per mistake.
    """
    check_apart(options.storage, options.tracking_uri, options.root)
    options.folder.remote_store(options.remote_store)  # reports a bad address before any data is read
    options, loaded = find_places(options, load_experiment(options.experiment, options.settings), say)
    search = retry_call(  # a new attempt reuses the files that an earlier one wrote
        lambda: _prepare(kind_of(loaded, objective, space), options, say), what="data", passes=is_fault,
        reason_of=reason_of, patience=60.0 * options.storage_patience, say=say,
    )  # fmt: skip
    for k, params in enumerate(loaded.spec.enqueue):
        search.plan.space.check(params, f"{loaded.path or 'enqueue'}: enqueue.{k}")
    plan = replace(
        search.plan,
        about=_study_metadata(search, loaded),
        enqueue=tuple(loaded.spec.enqueue),
        prune_enqueued=loaded.spec.prune_enqueued,
    )
    return replace(search, plan=plan)


def _study_metadata(search: Search, loaded: Loaded) -> StudyMetadata:
    """Return the plan's metadata with the parts of the command that reports, `resume` and `export` need."""
    options, checkpoint = search.options, search.checkpoint_bytes
    return replace(
        search.plan.about,
        store_bytes=0 if checkpoint is None else store_budget(loaded.spec.store_gb, checkpoint),
        reference=loaded.spec.reference,
        trials=loaded.spec.trials,
        keep=loaded.spec.keep,
        store=store_key(options.tracking_uri) if options.tracking else None,
        tracking_uri=without_login(options.tracking_uri) if options.tracking_uri else None,
        config=loaded.spec.model_dump(mode="json"),
        command=command_of(options, loaded),
    )
