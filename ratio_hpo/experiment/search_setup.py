"""What an experiment becomes: options in, a search that is ready to run out, whatever it trains."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

from ratio_hpo.backends.resources import Resources
from ratio_hpo.core.config import check_name
from ratio_hpo.core.errors import ConfigError
from ratio_hpo.core.fingerprint import Digests
from ratio_hpo.core.layout import RunFolder
from ratio_hpo.core.overrides import Setting
from ratio_hpo.core.plans import TrialPlan
from ratio_hpo.core.trial import Context, Params
from ratio_hpo.core.urls import lasting_url
from ratio_hpo.data.mixing import SourceSize
from ratio_hpo.experiment.study_spec import StudySpec
from ratio_hpo.objective import Objective
from ratio_hpo.study import StudyPlan
from ratio_hpo.study.plan import CONFIRMATION

if TYPE_CHECKING:
    from ratio_hpo.training.calibration import Calibration

Say = Callable[[str], None]


@dataclass(frozen=True, slots=True, kw_only=True)
class SearchOptions:
    """What to search, where and how.

    Attributes:
        experiment: name or path; None: the settings say it all.
        settings: laid over the experiment's keys, later ones over earlier ones.
        study: name of the study; None: `<experiment>-<space>`.
        hours, cost, failures: when to stop, beside the number of trials; `failures` in a row, by the same error.
        retries: of a trial whose process dies, and of Ray, without a new evaluation in between.
        trial_timeout, stall_timeout: minutes that a trial may take in all, and without an evaluation; None: no limit.
        storage_patience: minutes that a storage which is locked, full or away is waited for.
        remote_store: address at which machines without a common disk share what is below `root`; None: they have one.
        tracking_uri: of an MLflow store; None: the SQLite one below `root`.
        isolated: whether an objective of the user's own runs in a process of its own.
        confirming: whether trials are scored on `test` too at their end.
        trust_remote_code: whether code that a base brings along may run.

    Raises:
        ConfigError: a name of a study that cannot stand in paths.
    """

    experiment: str | None = "polyglot-world"
    settings: tuple[Setting, ...] = ()
    study: str | None = None
    hours: float | None = None
    cost: float | None = None
    failures: int | None = 5
    retries: int = 3
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
    resources: Resources = field(default_factory=Resources)

    def __post_init__(self) -> None:
        for key in ("storage", "tracking_uri", "remote_store"):  # other commands and workers may run in other folders
            if getattr(self, key) is not None:
                object.__setattr__(self, key, lasting_url(getattr(self, key)))
        object.__setattr__(self, "data_dir", self.data_dir.expanduser().absolute())
        if self.study is not None:
            check_name(self.study, "⟨study⟩")
            if self.study.endswith(CONFIRMATION) and not self.confirming:
                of = self.study.removesuffix(CONFIRMATION)
                raise ConfigError(
                    f"⟨study⟩: {self.study} is the confirmation of {of}; `ratio-hpo confirm {of}` goes on"
                )

    @property
    def folder(self) -> RunFolder:
        """The run folder; whole, since workers may run elsewhere."""
        return RunFolder(self.root.resolve())


@dataclass(frozen=True, slots=True, kw_only=True)
class SourceFacts:
    """A source of a stage, as people are told of it."""

    language: str
    size: SourceSize
    rows: int = 0
    translated_from: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class DataFacts:
    """What there is to train and to evaluate on; empty for an objective of the user's own.

    Attributes:
        sources: by stage and name.
        splits: number of items by target, language and split.
        problems, leaks: lines about bad records, and about what training and evaluation share.
    """

    sources: Mapping[str, Mapping[str, SourceFacts]] = field(default_factory=dict)
    splits: Mapping[str, Mapping[str, Mapping[str, int]]] = field(default_factory=dict)
    problems: tuple[str, ...] = ()
    leaks: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Search:
    """A search that is ready to run.

    Attributes:
        plan_trial: what parameters come to under a seed, before anything is trained.
        isolated: whether the objective may take its process down, and so gets one of its own.
        checkpoint_bytes: of the model that each worker trains; None: not known.
        tokenizer: folder of files that belong to every kept model; None: nothing.
        calibrate: times a few steps and a small evaluation; None: it cannot be known.
        largest_windows: windows of its largest trial, whatever its cost counts; 0: not known.
    """

    options: SearchOptions
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

    @property
    def workers(self) -> int:
        """Trials at once."""
        return self.options.resources.workers_for(self.checkpoint_bytes)


class ExperimentKind(Protocol):
    """A kind of experiment: with the built-in objective, or with one of the user's own."""

    def check(self) -> str:
        """Refuse what can be seen without data; returns what it is on, in words.

        Raises:
            ConfigError: one line a mistake.
        """
        ...

    def source_names(self) -> tuple[str, ...]:
        """Names of what its mixtures are made of; none, where only the objective knows."""
        ...

    def needs(self, digests: Digests) -> tuple[str, int]:
        """Find on this machine what its objective needs; returns it in words, and the bytes of a checkpoint.

        Raises:
            ConfigError: it is not here.
        """
        ...

    def ready(self, options: SearchOptions, say: Say) -> Search:
        """Load, check and prepare; trains nothing and opens no study.

        Raises:
            ConfigError, DataError: one line a mistake.
        """
        ...
