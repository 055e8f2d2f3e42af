"""The experiment file: on what a search is run. Knobs are declared by their owners and only composed here."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import Field, field_validator, model_validator

from ratio_hpo.core.config import Real, Spec, Whole
from ratio_hpo.core.errors import ConfigError
from ratio_hpo.core.scores import SPLITS
from ratio_hpo.data.corpora import Corpus
from ratio_hpo.data.splits import WHOLE
from ratio_hpo.data.tasks.registry import TASKS, kind_of_task
from ratio_hpo.data.tasks.settings import TaskSettings, WindowSpec, parse_settings
from ratio_hpo.experiment.study_spec import BaselineName, StudySpec, Text
from ratio_hpo.metrics import mlqa
from ratio_hpo.training.parameters import INTERMEDIATE, TARGET
from ratio_hpo.training.spec import EngineSpec, StageSpec, StagesSpec

ONLY_TARGET = "qa"
Metric = Literal["squad", "mlqa", "squad2"]
TargetName = Annotated[str, Field(pattern=r"^[A-Za-z0-9_-]+$")]
RESERVED = ("score", "xtreme", *SPLITS, "mean", "worst", "f1", "accuracy", "em", "loss", "cost", "paid")


class BaseSpec(Spec):
    """A base by name, with the commit that pins it on the hub."""

    name: Text
    """`polyglot-base`, `minilm`, a folder, or a name on the hub."""

    revision: Text | None = None
    """Commit of 40 hexadecimal digits of a hub base; none: the one that is known for its name."""


class TargetSpec(Spec):
    """What trials are scored on: a task in some languages, and the stage that is trained for it, if one is."""

    task: Text
    """Which one: `qa`, `nli`, `pos`, `tatoeba`, …"""

    languages: list[Text] = Field(min_length=1)
    """The languages of its unweighted mean."""

    evaluation: list[Text] = Field(min_length=1)
    """Corpora with the parts `validation` and `test`."""

    metric: Metric | None = None
    """Of question answering: as SQuAD v1.1 does in every language, as MLQA in its seven, or as SQuAD 2.0 does."""

    primary: Text | None = None
    """The measure of its mean; none: the task's first one."""

    weight: Real = Field(default=1.0, gt=0)
    """In the primary score, the weighted mean over targets."""

    stage: StageSpec | None = None
    """What is trained for it, from the end of the intermediate stage; none: it is scored on that stage's encoder."""

    at: Literal["rungs", "end"] = "rungs"
    """Without a stage: whether it is scored at each rung of the intermediate stage, or at its end alone."""

    items: Whole | Literal["all"] = 500
    """Of retrieval: items of each split that are scored, over all its languages, drawn once."""

    head: Text | None = None
    """Name of the head that it is scored with; none: the task's name."""


class ExperimentSpec(StudySpec):
    """An experiment with the built-in objective."""

    task: Literal["qa"] = "qa"
    """What the one target is, where `targets` names none: extractive question answering."""

    baselines: list[BaselineName] = Field(
        default=["reference_only", "none", "proportional", "uniform", "non_reference_only"]
    )
    """What runs first and is never pruned, in this order; `none` is the base without intermediate training. Beside
    these: `all_tasks`, the reference language's data of every task, capped by size; `task:<name>`, that of one."""

    metric: Metric = "squad"
    """How its answers are scored, where `targets` names none: as SQuAD v1.1, MLQA or SQuAD 2.0 does."""

    base: BaseSpec
    """The pretrained encoder that every trial starts from."""

    target_languages: list[Text] = Field(default_factory=list)
    """The languages of the unweighted mean, where `targets` names none."""

    windows: WindowSpec = WindowSpec()
    """How passages are cut into windows, for question answering."""

    tasks: dict[str, dict[str, Any]] = Field(default_factory=dict)
    """Settings of the other tasks by name: `nli: {max_length: 128}`."""

    engine: EngineSpec = EngineSpec()
    """How windows go through the model."""

    corpora: dict[str, Corpus] = Field(min_length=1)
    """Where examples come from, by name."""

    evaluation: list[Text] = Field(default_factory=list)
    """Corpora with the parts `validation` and `test`, where `targets` names none."""

    targets: dict[TargetName, TargetSpec] = Field(default_factory=dict)
    """What trials are scored on, by name; none: one target of question answering, as the keys above say it."""

    stages: StagesSpec
    """What is trained, in order."""

    cost_unit: Literal["windows", "tokens"] = "windows"
    """What the cost of a trial counts, which the front weighs against its score: windows, or tokens without padding,
    which are fairer where the windows of tasks differ in length."""

    @field_validator("base", mode="before")
    @classmethod
    def _base_by_name(cls, value: Any) -> Any:
        return {"name": value} if isinstance(value, str) else value

    @model_validator(mode="after")
    def _parts_fit(self) -> ExperimentSpec:
        self._check_targets()
        for name in self.tasks:
            if name == "qa":
                raise ValueError("tasks.qa is said by the key `windows`; move it there")
            try:
                self.settings(name)
            except ConfigError as error:
                raise ValueError(str(error)) from error
        stages = self.all_stages()
        for name, stage in stages.items():
            for entry in stage_parts(stage):
                self._check_part(entry, f"{_key(name)}.sources")
            if isinstance(stage.sources, dict):
                for key, source in stage.sources.items():
                    tasks = {self.task_of(entry) for entry in source.data}
                    if len(tasks) > 1:
                        raise ValueError(f"{_key(name)}.sources.{key} holds several tasks; make it one source each")
            self._check_trained(name, stage)
        for target in self.all_targets().values():
            for corpus in target.evaluation:
                held = {f"{corpus}/{split}" for split in SPLITS}
                for name, stage in stages.items():
                    used = [entry for entry in stage_parts(stage) if entry in held]
                    if used:
                        raise ValueError(f"{_key(name)}.sources trains on {used[0]}, which is for evaluation; drop it")
        self.check_target()
        if self.reference not in self._source_languages():
            raise ValueError(f"reference {self.reference} is the language of no intermediate source; name one that is")
        return self

    def all_targets(self) -> dict[str, TargetSpec]:
        """The targets by name: those of `targets`, or the one of question answering."""
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
        """The stages by name: `intermediate`, and `target`, or several `target.<name>`."""
        stages = {INTERMEDIATE: self.stages.intermediate}
        for name, target in self.all_targets().items():
            if target.stage is not None:
                stages[str(self.stage_of(name))] = target.stage
        return stages

    def stage_of(self, target: str) -> str | None:
        """The name of the stage that is trained for a target."""
        trained = [name for name, spec in self.all_targets().items() if spec.stage is not None]
        if target not in trained:
            return None
        return TARGET if len(trained) == 1 else f"{TARGET}.{target}"

    def languages(self) -> list[str]:
        """The languages of all targets, in their order."""
        return list(dict.fromkeys(language for target in self.all_targets().values() for language in target.languages))

    def settings(self, task: str) -> TaskSettings:
        """What is set of a task.

        Raises:
            ConfigError: an unknown task, key or value.
        """
        if task == "qa":
            return self.windows
        return parse_settings(task, kind_of_task(task).settings, self.tasks.get(task, {}))

    def task_of(self, entry: str) -> str:
        """The task of a part of a corpus."""
        return self.corpora[entry.partition("/")[0]].kind_of_task

    def primary(self, target: TargetSpec) -> str:
        """The measure of a target's mean."""
        return target.primary or TASKS[target.task].measures[0]

    def _check_targets(self) -> None:
        if not self.targets:
            if not self.target_languages or not self.evaluation or self.stages.target is None:
                raise ValueError("needs target_languages, evaluation and stages.target, or targets; add them")
        elif self.target_languages or self.evaluation or self.stages.target is not None:
            raise ValueError("says its targets twice: in `targets`, and in target_languages, evaluation or "
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
            raise ValueError(f"task {target.task} is trained alone and is no target; name another")
        if name in RESERVED:
            raise ValueError(f"a target cannot be called {name}, which names scores; choose another name")
        if target.primary is not None and target.primary not in kind.measures:
            raise ValueError(
                f"primary {target.primary} is no measure of {target.task}; known: {', '.join(kind.measures)}"
            )
        if target.stage is not None and not kind.is_trained:
            raise ValueError(f"task {target.task} is scored on a layer and has no stage; drop it")
        if target.stage is not None and target.at == "end":
            raise ValueError("at `end` is of targets without a stage, whose pruning does not need them; drop it")
        if target.stage is None and not kind.on_layer:
            raise ValueError(f"task {target.task} needs a stage to be trained in; add it")
        if target.metric is not None and target.task != "qa":
            raise ValueError(f"metric {target.metric} is of question answering, not of {target.task}; drop it")
        for corpus in target.evaluation:
            if corpus not in self.corpora:
                raise ValueError(f"evaluation names {corpus}, which is no corpus; known: {', '.join(self.corpora)}")
            if self.task_of(corpus) != target.task:
                raise ValueError(f"evaluation names {corpus}, whose task is {self.task_of(corpus)}, not {target.task}")
            absent = [split for split in SPLITS if split not in self.corpora[corpus].parts]
            if absent:
                raise ValueError(f"corpora.{corpus}.parts needs {', '.join(SPLITS)}, but lacks {absent[0]}; add it")
        held = {language for corpus in target.evaluation for language in self.corpora[corpus].languages}
        key = "languages" if self.targets else "target_languages"
        for language in target.languages:
            if language not in held:
                raise ValueError(f"{key} has {language}, but no evaluation corpus does; add one or drop it")
            if language in ("mean", "worst"):
                raise ValueError(f"{key} has {language}, which names scores over languages; choose another code")
        if target.metric == "mlqa":
            odd = [language for language in target.languages if language not in mlqa.LANGUAGES]
            if odd:
                raise ValueError(f"metric mlqa is not defined for {odd[0]}; use metric: squad")
        if len(set(target.languages)) != len(target.languages):
            raise ValueError(f"{key} names a language twice; drop one")

    def _check_trained(self, name: str, stage: StageSpec) -> None:
        tasks = {self.task_of(entry) for entry in stage_parts(stage)}
        untrained = sorted(task for task in tasks if not kind_of_task(task).is_trained)
        if untrained:
            raise ValueError(f"{_key(name)}.sources has {untrained[0]}, which is scored and not trained; drop it")
        target = next((t for n, t in self.all_targets().items() if self.stage_of(n) == name), None)
        if target is not None and tasks != {target.task}:
            odd = min(tasks - {target.task})
            raise ValueError(f"{_key(name)}.sources has {odd}, but the stage is for {target.task}; drop it")
        if stage.mlm_share > 0 and "mlm" not in tasks:
            raise ValueError(f"{_key(name)}.mlm_share needs a source of task mlm; add one, or drop it")
        if tasks == {"mlm"}:
            raise ValueError(f"{_key(name)}.sources has no labelled source, which the ratio is over; add one")

    def _source_languages(self) -> set[str]:
        sources = self.stages.intermediate.sources
        if isinstance(sources, dict):
            return {source.language for source in sources.values() if self.task_of(source.data[0]) != "mlm"}
        return {
            language for entry in sources if self.task_of(entry) != "mlm"
            for language in self.corpora[entry.partition("/")[0]].languages
        }  # fmt: skip

    def _check_part(self, entry: str, where: str) -> None:
        corpus, _, part = entry.partition("/")
        if corpus not in self.corpora:
            raise ValueError(f"{where} names {corpus}, which is no corpus; known: {', '.join(self.corpora)}")
        parts = list(self.corpora[corpus].parts) or [WHOLE]
        if (part or WHOLE) not in parts:
            raise ValueError(f"{where} names the part {part or WHOLE} of {corpus}; known: {', '.join(parts)}")


def _key(stage: str) -> str:
    """The key of a stage in the file."""
    kind, _, target = stage.partition(".")
    return f"targets.{target}.stage" if target else f"stages.{kind}"


def stage_parts(stage: StageSpec) -> list[str]:
    """All `corpus/part` entries of a stage."""
    if isinstance(stage.sources, list):
        return stage.sources
    return [entry for source in stage.sources.values() for entry in source.data]
