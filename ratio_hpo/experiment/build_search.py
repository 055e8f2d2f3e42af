"""From options to a search that is ready to run: loaded, checked, prepared, planned. Trains nothing."""

from __future__ import annotations

from dataclasses import replace

from ratio_hpo.core.errors import FileFault, RatioHpoError, in_one_line
from ratio_hpo.core.files import is_fault
from ratio_hpo.core.plans import StudyMetadata
from ratio_hpo.core.retry import retry_call
from ratio_hpo.core.urls import reason_of, without_login
from ratio_hpo.experiment.built_in import BuiltIn
from ratio_hpo.experiment.custom_objective import CustomExperiment
from ratio_hpo.experiment.custom_spec import CustomExperimentSpec
from ratio_hpo.experiment.load import Loaded, load_experiment
from ratio_hpo.experiment.places import command_of, find_places
from ratio_hpo.experiment.search_setup import ExperimentKind, Say, Search, SearchOptions
from ratio_hpo.experiment.spec import ExperimentSpec
from ratio_hpo.experiment.track import check_apart, store_key
from ratio_hpo.objective import Objective
from ratio_hpo.space import Space
from ratio_hpo.training.store import store_budget


def kind_of(loaded: Loaded, objective: Objective | None = None, space: Space | None = None) -> ExperimentKind:
    """The kind of an experiment: the only place that tells the two apart.

    Args:
        objective, space: of a user's own, at hand already; None: those that the experiment names.
    """
    if isinstance(loaded.spec, ExperimentSpec):
        return BuiltIn(loaded, loaded.spec)
    assert isinstance(loaded.spec, CustomExperimentSpec)
    return CustomExperiment(loaded, loaded.spec, objective, space)


def _prepared(kind: ExperimentKind, options: SearchOptions, say: Say) -> Search:
    """A search with its data.

    Raises:
        FileFault: a disk or a network failed meanwhile.
    """
    try:
        return kind.ready(options, say)
    except RatioHpoError as error:
        if error.__cause__ is not None and is_fault(error.__cause__):
            raise FileFault(str(error)) from error
        raise
    except Exception as error:  # Arrow, safetensors and tokenizers have errors of their own
        if is_fault(error):
            raise FileFault(f"{in_one_line(error)}; check the disk and the network") from error
        raise


def build_search(
    options: SearchOptions, say: Say, *, objective: Objective | None = None, space: Space | None = None
) -> Search:
    """Load, check and prepare; trains nothing and opens no study.

    Args:
        objective, space: of a user's own, at hand already; None: those that the experiment names.

    Raises:
        ConfigError, DataError: one line a mistake.
    """
    check_apart(options.storage, options.tracking_uri, options.root)
    options.folder.remote_store(options.remote_store)  # a mistake in its address is told before anything is read
    options, loaded = find_places(options, load_experiment(options.experiment, options.settings), say)
    search = retry_call(  # what is made before a fault is found again
        lambda: _prepared(kind_of(loaded, objective, space), options, say), what="data", passes=is_fault,
        reason_of=reason_of, patience=60.0 * options.storage_patience, say=say,
    )  # fmt: skip
    for k, params in enumerate(loaded.spec.enqueue):
        search.plan.space.check(params, f"{loaded.path or 'enqueue'}: enqueue.{k}")
    plan = replace(
        search.plan,
        about=_about(search, loaded),
        enqueue=tuple(loaded.spec.enqueue),
        prune_enqueued=loaded.spec.prune_enqueued,
    )
    return replace(search, plan=plan)


def _about(search: Search, loaded: Loaded) -> StudyMetadata:
    """The facts of the plan, with what reports, `resume` and `export` need to know of the command."""
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
