"""Experiment file of the built-in objective, composed of the specifications of its parts."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import AfterValidator, Field, field_validator, model_validator

from ratio_hpo.core.errors import ConfigError
from ratio_hpo.core.measures import SPLITS
from ratio_hpo.core.yaml import Real, Spec, Whole
from ratio_hpo.data.corpora import Corpus
from ratio_hpo.data.splits import WHOLE
from ratio_hpo.data.tasks import TaskSettings, head_name, kind_of_task, parse_settings
from ratio_hpo.data.tasks.qa import WindowSpec
from ratio_hpo.experiment.study_spec import BaselineName, StudySpec, Text
from ratio_hpo.metrics import mlqa
from ratio_hpo.metrics.registry import check_metric
from ratio_hpo.training.parameters import INTERMEDIATE, TARGET
from ratio_hpo.training.spec import BaseSpec, EngineSpec, SourceSpec, StageSpec, StagesSpec

ONLY_TARGET = "qa"
Metric = Annotated[Text, AfterValidator(check_metric)]
TargetName = Annotated[str, Field(pattern=r"^[A-Za-z0-9_-]+$")]
RESERVED = ("score", "xtreme", *SPLITS, "mean", "worst", "f1", "accuracy", "em", "loss", "cost", "paid")


class TargetSpec(Spec):
    """Target that trials are scored on: a task, its languages, and optionally a stage."""

    task: Text
    """Task of the target: `qa`, `nli`, `pos`, `tatoeba`, …"""

    languages: list[Text] = Field(min_length=1)
    """Languages of the target's score, which is their unweighted mean."""

    evaluation: list[Text] = Field(min_length=1)
    """Corpora of the target, with the parts `validation` and `test`."""

    metric: Metric | None = None
    """Metric of question answering: `squad` (v1.1) for any language, `mlqa` for its seven languages, `squad2` (2.0), a
    registered one, or `package.module:function`."""

    primary: Text | None = None
    """Measure of the target's score; none: the task's first measure."""

    weight: Real = Field(default=1.0, gt=0)
    """Weight of the target in the primary score."""

    stage: StageSpec | None = None
    """Stage trained after the intermediate stage; none: the target is scored on the intermediate stage's encoder."""

    at: Literal["rungs", "end"] = "rungs"
    """When a target without a stage is scored: at each rung of the intermediate stage, or only at its end."""

    items: Whole | Literal["all"] = 500
    """Number of scored items per split of a retrieval target, over all languages; the sample is fixed."""

    head: Text | None = None
    """Name of the head that scores the target; none: the task's name."""


class ExperimentSpec(StudySpec):
    """Experiment with the built-in objective."""

    task: Literal["qa"] = "qa"
    """Task of the only target if `targets` is empty: extractive question answering."""

    baselines: list[BaselineName] = Field(
        default=["reference_only", "none", "proportional", "uniform", "non_reference_only"]
    )
    """Trials that run first, in this order, and are never pruned. `none` skips the intermediate stage; `all_tasks`
    trains on the reference-language data of all tasks, capped by size; `task:<name>` on that of one task."""

    metric: Metric = "squad"
    """Metric of the only target if `targets` is empty, as in a target."""

    base: BaseSpec
    """Pretrained encoder that every trial starts from."""

    target_languages: list[Text] = Field(default_factory=list)
    """Languages of the primary score if `targets` is empty."""

    windows: WindowSpec = WindowSpec()
    """How question answering splits passages into windows."""

    tasks: dict[str, dict[str, Any]] = Field(default_factory=dict)
    """Settings of other tasks by name: `nli: {max_length: 128}`."""

    engine: EngineSpec = EngineSpec()
    """Precision and batch sizes of training and evaluation."""

    corpora: dict[str, Corpus] = Field(min_length=1)
    """Corpora by name."""

    evaluation: list[Text] = Field(default_factory=list)
    """Evaluation corpora if `targets` is empty, with the parts `validation` and `test`."""

    targets: dict[TargetName, TargetSpec] = Field(default_factory=dict)
    """Targets by name; empty: one question answering target, defined by the keys above."""

    stages: StagesSpec
    """Stages in training order."""

    cost_unit: Literal["windows", "tokens"] = "windows"
    """Unit of cost: windows, or tokens without padding. Use tokens if the windows of tasks differ in length."""

    @field_validator("base", mode="before")
    @classmethod
    def _base_by_name(cls, value: Any) -> Any:
        return {"name": value} if isinstance(value, str) else value

    @model_validator(mode="after")
    def _parts_fit(self) -> ExperimentSpec:
        self._check_targets()
        for name in self.tasks:
            if name == "qa":
                raise ValueError("configure question answering under `windows`, not `tasks.qa`")
            try:
                self.settings(name)
            except ConfigError as error:
                raise ValueError(str(error)) from error
        stages = self.all_stages()
        for name, stage in stages.items():
            for entry in stage.parts:
                self._check_part(entry, f"{_key(name)}.sources")
            for key, source in self.sources_of(stage).items():
                if len({self.task_of(entry) for entry in source.data}) > 1:
                    raise ValueError(f"{_key(name)}.sources.{key} has several tasks; make one source per task")
            self._check_trained(name, stage)
        for corpus in [corpus for target in self.all_targets().values() for corpus in target.evaluation]:
            evaluated = {f"{corpus}/{split}" for split in SPLITS}
            for name, stage in stages.items():
                used = [entry for entry in stage.parts if entry in evaluated]
                if used:
                    raise ValueError(f"{_key(name)}.sources has {used[0]}, which is evaluation data; remove it")
        self.check_target()
        intermediate = self.sources_of(self.stages.intermediate).values()
        if self.reference not in {s.language for s in intermediate if self.task_of(s.data[0]) != "mlm"}:
            raise ValueError(f"reference {self.reference} is the language of no intermediate source; change it")
        return self

    def all_targets(self) -> dict[str, TargetSpec]:
        """Return the targets by name; without `targets`, the only target is question answering."""
        if self.targets:
            return dict(self.targets)
        return {
            ONLY_TARGET: TargetSpec(
                task=self.task,
                languages=self.target_languages,
                evaluation=self.evaluation,
                metric=self.metric,
                stage=self.stages.target,
            )
        }

    def all_stages(self) -> dict[str, StageSpec]:
        """Return the stages by name: `intermediate`, then `target` or several `target.<name>`."""
        targets = {name: target.stage for name, target in self.all_targets().items() if target.stage is not None}
        return {INTERMEDIATE: self.stages.intermediate} | {str(self.stage_of(k)): stage for k, stage in targets.items()}

    def stage_of(self, target: str) -> str | None:
        """Return the name of a target's stage, or None if it has no stage."""
        trained = [name for name, spec in self.all_targets().items() if spec.stage is not None]
        if target not in trained:
            return None
        return TARGET if len(trained) == 1 else f"{TARGET}.{target}"

    def languages(self) -> list[str]:
        """Return the languages of all targets, in order, without duplicates."""
        return list(dict.fromkeys(language for target in self.all_targets().values() for language in target.languages))

    def settings(self, task: str) -> TaskSettings:
        """Return the settings of a task.

        Raises:
            ConfigError: The task, a key or a value is unknown.
        """
        if task == "qa":
            return self.windows
        return parse_settings(task, self.tasks.get(task, {}))

    def sources_of(self, stage: StageSpec) -> dict[str, SourceSpec]:
        """Return the sources of a stage by name; corpus parts are grouped by language, and by task if several."""
        if isinstance(stage.sources, dict):
            return stage.sources
        grouped: dict[tuple[str, str], list[str]] = {}
        for entry in stage.sources:
            for language in self.corpora[entry.partition("/")[0]].languages:
                grouped.setdefault((self.task_of(entry), language), []).append(entry)
        heads: dict[str, str] = {}
        for task, _ in grouped:
            if heads.setdefault(head_name(task), task) != task:
                raise ConfigError(
                    f"head {head_name(task)} is shared by {heads[head_name(task)]} and {task}; name them apart"
                )
        single = len(heads) == 1
        return {language if single else f"{head_name(task)}.{language}": SourceSpec(language=language, data=data)
                for (task, language), data in grouped.items()}  # fmt: skip

    def head_of(self, source: SourceSpec) -> str:
        """Return the name of the head that a source trains; by default, it is that of its task."""
        return source.head or head_name(self.task_of(source.data[0]))

    def head_of_target(self, target: str) -> str:
        """Return the name of the head that scores a target; without a head, the name of the target."""
        spec = self.all_targets()[target]
        return spec.head or (head_name(spec.task) if spec.stage is not None else target)

    def task_of(self, entry: str) -> str:
        """Return the task of a `corpus/part` entry."""
        return self.corpora[entry.partition("/")[0]].kind_of_task

    def primary(self, target: TargetSpec) -> str:
        """Return the measure of a target's score."""
        return target.primary or kind_of_task(target.task).measures[0]

    def _check_targets(self) -> None:
        if not self.targets:
            if not self.target_languages or not self.evaluation or self.stages.target is None:
                raise ValueError("needs target_languages, evaluation and stages.target, or targets; add them")
        elif self.target_languages or self.evaluation or self.stages.target is not None:
            raise ValueError("defines targets twice: in `targets`, and in target_languages, evaluation or "
                             "stages.target; keep one")  # fmt: skip
        for name, target in self.all_targets().items():
            where = f"targets.{name}" if self.targets else ""
            try:
                self._check_one_target(name, target)
            except (ValueError, ConfigError) as error:
                raise ValueError(f"{where}{': ' if where else ''}{error}") from error

    def _check_one_target(self, name: str, target: TargetSpec) -> None:
        kind = kind_of_task(target.task)
        if not kind.measures:
            raise ValueError(f"task {target.task} can only be trained, not scored; choose another task")
        if name in RESERVED:
            raise ValueError(f"{name} is a reserved name of scores; choose another name for the target")
        if target.primary is not None and target.primary not in kind.measures:
            raise ValueError(
                f"primary {target.primary} is not a measure of {target.task}; use one of {', '.join(kind.measures)}"
            )
        if target.stage is not None and not kind.is_trained:
            raise ValueError(f"task {target.task} is scored on a layer and cannot have a stage; remove it")
        if target.stage is not None and target.at == "end":
            raise ValueError("`at: end` is only valid for targets without a stage; remove it")
        if target.stage is None and not kind.on_layer:
            raise ValueError(f"task {target.task} needs a stage; add it")
        if target.metric is not None and target.task != "qa":
            raise ValueError(f"metric {target.metric} is only valid for task qa, not {target.task}; remove it")
        for corpus in target.evaluation:
            if corpus not in self.corpora:
                raise ValueError(f"evaluation: unknown corpus {corpus}; use one of {', '.join(self.corpora)}")
            if self.task_of(corpus) != target.task:
                raise ValueError(f"evaluation names {corpus}, whose task is {self.task_of(corpus)}, not {target.task}")
            absent = [split for split in SPLITS if split not in self.corpora[corpus].parts]
            if absent:
                raise ValueError(f"corpora.{corpus}.parts needs {', '.join(SPLITS)}, but lacks {absent[0]}; add it")
        evaluated = {language for corpus in target.evaluation for language in self.corpora[corpus].languages}
        key = "languages" if self.targets else "target_languages"
        for language in target.languages:
            if language not in evaluated:
                raise ValueError(f"{key} has {language}, but no evaluation corpus does; add one or remove it")
            if language in ("mean", "worst"):
                raise ValueError(f"{key} has {language}, which is a reserved name of scores; choose another code")
        unsupported = [language for language in target.languages if language not in mlqa.LANGUAGES]
        if target.metric == "mlqa" and unsupported:
            raise ValueError(f"metric mlqa is not defined for {unsupported[0]}; use metric: squad")
        if len(set(target.languages)) != len(target.languages):
            raise ValueError(f"{key} names a language twice; remove one")

    def _check_trained(self, name: str, stage: StageSpec) -> None:
        tasks = {self.task_of(entry) for entry in stage.parts}
        untrained = sorted(task for task in tasks if not kind_of_task(task).is_trained)
        if untrained:
            raise ValueError(f"{_key(name)}.sources has {untrained[0]}, which cannot be trained; remove it")
        target = next((t for n, t in self.all_targets().items() if self.stage_of(n) == name), None)
        if target is not None and tasks != {target.task}:
            other = min(tasks - {target.task})
            raise ValueError(f"{_key(name)}.sources has {other}, but the stage is for {target.task}; remove it")
        if stage.mlm_share > 0 and "mlm" not in tasks:
            raise ValueError(f"{_key(name)}.mlm_share needs a source of task mlm; add one, or remove the key")
        if tasks == {"mlm"}:
            raise ValueError(f"{_key(name)}.sources has no labelled source, which the ratio needs; add one")

    def _check_part(self, entry: str, where: str) -> None:
        corpus, _, part = entry.partition("/")
        if corpus not in self.corpora:
            raise ValueError(f"{where}: unknown corpus {corpus}; use one of {', '.join(self.corpora)}")
        parts = list(self.corpora[corpus].parts) or [WHOLE]
        if (part or WHOLE) not in parts:
            raise ValueError(f"{where}: {corpus} has no part {part or WHOLE}; use one of {', '.join(parts)}")


def _key(stage: str) -> str:
    """Return the key of a stage in the file."""
    kind, _, target = stage.partition(".")
    return f"targets.{target}.stage" if target else f"stages.{kind}"
