"""Options of a run, the search that is built from them, and the interface of experiment kinds."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

from ratio_hpo.backends.resources import Backend, Resources
from ratio_hpo.core.errors import ConfigError
from ratio_hpo.core.fingerprint import Digests
from ratio_hpo.core.layout import RunFolder
from ratio_hpo.core.overrides import Setting
from ratio_hpo.core.plans import TrialPlan
from ratio_hpo.core.trial import Context, Params
from ratio_hpo.core.urls import lasting_url
from ratio_hpo.core.yaml import check_name
from ratio_hpo.experiment.study_spec import StudySpec
from ratio_hpo.objective import Objective
from ratio_hpo.pruners.base import Pruner
from ratio_hpo.samplers.base import Sampler
from ratio_hpo.study import StudyPlan
from ratio_hpo.study.plan import CONFIRMATION
from ratio_hpo.training.spec import Source

if TYPE_CHECKING:
    from ratio_hpo.training.calibration import Calibration

Say = Callable[[str], None]


@dataclass(frozen=True, slots=True, kw_only=True)
class RunOptions:
    """What a call runs, where and how; the command line and Python name these options alike.

    Attributes:
        experiment: Name or path. None: the settings define the whole experiment.
        settings: Overrides of the experiment's keys; later ones win.
        study: Name of the study. None: `<experiment>-<space>`.
        workers: Number of trials that run at the same time; more than one uses Ray. None: as many as fit.
        backend: `local`, `ray`, or `auto`: `ray` if more than one worker fits.
        cpus_per_trial: CPUs per trial. None: an equal part.
        gpus_per_trial: GPUs per trial; a fraction shares a GPU. None: an equal part, at most one.
        ray_address: Address of a running Ray cluster: `auto` or `host:port`. None: a Ray on this machine.
        device: `cpu` or `cuda`. None: `cuda` if it is available.
        max_hours: Stop after this many hours. Running trials are released and resumed by the next call.
        max_cost: Start no trial after the study has paid this cost, in its unit.
        max_failures: Stop after this many consecutive trials that fail with the same error. None: no limit.
        max_retries: Crashes tolerated per trial, and of Ray, without a new evaluation in between.
        trial_timeout: Fail a trial that runs longer than this (minutes). None: no limit.
        stall_timeout: Restart a trial that reports nothing for this long (minutes). None: no limit.
        root: The run folder.
        remote_store: Address of a remote store for machines without a common disk. None: not used.
        storage: Optuna storage URL. None: the SQLite file below `root`.
        storage_patience: How long to keep retrying an unavailable storage (minutes).
        data_dir: Folder that relative paths of corpora start from.
        strict: Refuse data files with bad records instead of repairing or dropping the records.
        keep_leaks: Keep training examples that also occur in the evaluation data.
        tracking: Write to MLflow.
        tracking_uri: URI of an MLflow store. None: the SQLite store below `root`.
        system_metrics: Record system metrics.
        isolated: Run a custom objective in a separate process.
        confirming: Score trials on `test` too at their end.
        trust_remote_code: Allow custom code of the base to run.
        resources: Workers, backend and devices, derived from the options above.

    Raises:
        ConfigError: The study's name is not valid in paths, or an option is out of range.
    """

    experiment: str | None = "polyglot-world"
    settings: tuple[Setting, ...] = ()
    study: str | None = None
    workers: int | None = None
    backend: Backend = "auto"
    cpus_per_trial: float | None = None
    gpus_per_trial: float | None = None
    ray_address: str | None = None
    device: str | None = None
    max_hours: float | None = None
    max_cost: float | None = None
    max_failures: int | None = 5
    max_retries: int = 3
    trial_timeout: float | None = None
    stall_timeout: float | None = None
    root: Path = Path("mlruns")
    remote_store: str | None = None
    storage: str | None = None
    storage_patience: float = 10.0
    data_dir: Path = Path("data")
    strict: bool = False
    keep_leaks: bool = False
    tracking: bool = True
    tracking_uri: str | None = None
    system_metrics: bool = False
    isolated: bool = True
    confirming: bool = False
    trust_remote_code: bool = False
    resources: Resources = field(init=False)

    def __post_init__(self) -> None:
        for key in ("storage", "tracking_uri", "remote_store"):  # relative URLs would break in other folders
            if getattr(self, key) is not None:
                object.__setattr__(self, key, lasting_url(getattr(self, key)))
        object.__setattr__(self, "root", Path(self.root))
        object.__setattr__(self, "data_dir", Path(self.data_dir).expanduser().absolute())
        resources = Resources(backend=self.backend, workers=self.workers, cpus=self.cpus_per_trial,
                              gpus=self.gpus_per_trial, ray_address=self.ray_address,
                              device=self.device)  # fmt: skip
        object.__setattr__(self, "resources", resources)
        if self.study is not None:
            check_name(self.study, "⟨study⟩")
            if self.study.endswith(CONFIRMATION) and not self.confirming:
                of = self.study.removesuffix(CONFIRMATION)
                raise ConfigError(
                    f"⟨study⟩: {self.study} is the confirmation of {of}; run `ratio-hpo confirm {of}` to resume it"
                )

    @property
    def folder(self) -> RunFolder:
        """The run folder, as an absolute path, because workers may run in other folders."""
        return RunFolder(self.root.resolve())


@dataclass(frozen=True, slots=True, kw_only=True)
class DataFacts:
    """Displayed facts about training and evaluation data; empty for a custom objective.

    Attributes:
        sources: Sources by stage and name.
        splits: Number of items by target, language and split.
        problems: Lines about bad records.
        leaks: Lines about overlaps of training and evaluation data.
    """

    sources: Mapping[str, Mapping[str, Source]] = field(default_factory=dict)
    splits: Mapping[str, Mapping[str, Mapping[str, int]]] = field(default_factory=dict)
    problems: tuple[str, ...] = ()
    leaks: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Search:
    """Search that is ready to run.

    Attributes:
        options: Options that the search was built from.
        spec: The experiment.
        plan: Plan of the study.
        objective: Function that trains a trial.
        plan_trial: Function that returns the plan of a trial from its parameters and seed, without training.
        isolated: Run the objective in a separate process, because it may crash the process.
        data: Displayed facts about the data.
        checkpoint_bytes: Size of a checkpoint. None: unknown.
        tokenizer: Folder of the tokenizer, copied to every kept model. None: no tokenizer.
        calibrate: Function that times a few steps and a small evaluation. None: not available.
        largest_windows: Windows of the largest trial, for any cost unit. 0: unknown.
        sampler: Sampler passed from Python. None: the one that the experiment names.
        pruner: Pruner passed from Python. None: the one that the experiment names.
    """

    options: RunOptions
    spec: StudySpec
    plan: StudyPlan
    objective: Objective
    plan_trial: Callable[[Params, int], TrialPlan]
    isolated: bool = False
    data: DataFacts = DataFacts()
    checkpoint_bytes: int | None = None
    tokenizer: Path | None = None
    calibrate: Callable[[Params, Context], Calibration] | None = None
    largest_windows: int = 0
    sampler: Sampler | None = None
    pruner: Pruner | None = None

    @property
    def workers(self) -> int:
        """Number of trials that run at the same time."""
        return self.options.resources.workers_for(self.checkpoint_bytes)


class ExperimentKind(Protocol):
    """Kind of experiment: with the built-in objective or a custom objective."""

    def check(self) -> str:
        """Check the experiment without reading data, and return a short description of it.

        Raises:
            ConfigError: The experiment is invalid; one line per mistake.
        """
        ...

    def source_names(self) -> tuple[str, ...]:
        """Return the names of the sources of its mixtures; empty if only the objective knows them."""
        ...

    def needs(self, digests: Digests) -> tuple[str, int]:
        """Check that this machine has what the objective needs; return a description and the bytes of a checkpoint.

        Raises:
            ConfigError: Something is missing.
        """
        ...

    def ready(self, options: RunOptions, say: Say) -> Search:
        """Load, check and prepare a search, without training or opening a study.

        Raises:
            ConfigError: The experiment is invalid; one line per mistake.
            DataError: The data is invalid; one line per mistake.
        """
        ...
