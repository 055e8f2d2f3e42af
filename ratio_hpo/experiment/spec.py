"""The experiment file: on what a search is run. Knobs are declared by their owners and only composed here."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import Field, Strict, field_validator, model_validator

from ratio_hpo.core.config import Real, Spec, Whole
from ratio_hpo.data.corpora import Corpus
from ratio_hpo.data.splits import WHOLE
from ratio_hpo.data.windows import WindowSettings
from ratio_hpo.metrics import mlqa
from ratio_hpo.training.design import StageDesign, StagesDesign
from ratio_hpo.training.settings import EngineSettings

Text = Annotated[str, Strict()]
AnchorName = Literal["english", "proportional", "uniform", "non_english"]
SPLITS = ("prune", "select", "test")


class BaseSpec(Spec):
    """A base by name, with the commit that pins it on the hub."""

    name: Text
    revision: Text | None = None


class TargetSpec(Spec):
    """The mean F1 that trials are timed to; without `f1`, a part of the English-only anchor's last one."""

    f1: Real | None = Field(default=None, gt=0, le=1)
    fraction: Real = Field(default=0.95, gt=0)


class Chosen(Spec):
    """A sampler or a pruner by name, with options of Optuna's class."""

    name: Text
    options: dict[str, Any] = Field(default_factory=dict)


class Experiment(Spec):
    """An experiment with the built-in objective.

    Attributes:
        space: name or path of a space.
        reference: the language whose share is 1 - ratio.
        target_languages: the languages of the mean.
        corpora: where questions come from.
        evaluation: corpora with the parts prune, select and test.
        store_gb: size budget of the stage store.
    """

    name: Text = Field(min_length=1)
    description: Text = ""
    space: Text = "default"
    task: Literal["qa"] = "qa"
    metric: Literal["squad", "mlqa"] = "squad"
    base: BaseSpec
    reference: Text = "en"
    target_languages: list[Text] = Field(min_length=1)
    seed: Whole = 0
    trials: Whole = Field(default=16, ge=1)
    windows: WindowSettings = WindowSettings()
    engine: EngineSettings = EngineSettings()
    corpora: dict[str, Corpus] = Field(min_length=1)
    evaluation: list[Text] = Field(min_length=1)
    stages: StagesDesign
    target: TargetSpec = TargetSpec()
    anchors: list[AnchorName] = Field(default=["english", "proportional", "uniform", "non_english"])
    sampler: Chosen = Chosen(name="tpe")
    pruner: Chosen = Chosen(name="successive_halving")
    store_gb: Real | None = Field(default=None, gt=0)

    @field_validator("base", "sampler", "pruner", mode="before")
    @classmethod
    def _name_alone(cls, value: Any) -> Any:
        return {"name": value} if isinstance(value, str) else value

    @model_validator(mode="after")
    def _parts_fit(self) -> Experiment:
        for stage, name in ((self.stages.intermediate, "intermediate"), (self.stages.target, "target")):
            for entry in stage_parts(stage):
                self._check_part(entry, f"stages.{name}.sources")
        for corpus in self.evaluation:
            if corpus not in self.corpora:
                raise ValueError(f"evaluation names {corpus}, which is no corpus; known: {', '.join(self.corpora)}")
            absent = [split for split in SPLITS if split not in self.corpora[corpus].parts]
            if absent:
                raise ValueError(f"corpora.{corpus}.parts needs {', '.join(SPLITS)}, but lacks {absent[0]}; add it")
            for other in ("intermediate", "target"):
                used = [e for e in stage_parts(getattr(self.stages, other)) if e in {f"{corpus}/{s}" for s in SPLITS}]
                if used:
                    raise ValueError(f"stages.{other}.sources trains on {used[0]}, which is for evaluation; drop it")
        held = {language for corpus in self.evaluation for language in self.corpora[corpus].languages}
        for language in self.target_languages:
            if language not in held:
                raise ValueError(f"target_languages has {language}, but no evaluation corpus does; add one or drop it")
        if self.metric == "mlqa":
            odd = [language for language in self.target_languages if language not in mlqa.LANGUAGES]
            if odd:
                raise ValueError(f"metric mlqa is not defined for {odd[0]}; use metric: squad")
        if len(set(self.target_languages)) != len(self.target_languages):
            raise ValueError("target_languages names a language twice; drop one")
        if self.target.f1 is None and self.anchors[:1] != ["english"]:
            raise ValueError(
                "target needs `f1`, since `english`, which would set it, is not the first anchor; mend either"
            )
        if self.reference not in self._source_languages():
            raise ValueError(f"reference {self.reference} is the language of no intermediate source; name one that is")
        return self

    def _source_languages(self) -> set[str]:
        sources = self.stages.intermediate.sources
        if isinstance(sources, dict):
            return {source.language for source in sources.values()}
        return {language for entry in sources for language in self.corpora[entry.partition("/")[0]].languages}

    def _check_part(self, entry: str, where: str) -> None:
        corpus, _, part = entry.partition("/")
        if corpus not in self.corpora:
            raise ValueError(f"{where} names {corpus}, which is no corpus; known: {', '.join(self.corpora)}")
        parts = list(self.corpora[corpus].parts) or [WHOLE]
        if (part or WHOLE) not in parts:
            raise ValueError(f"{where} names the part {part or WHOLE} of {corpus}; known: {', '.join(parts)}")


def stage_parts(stage: StageDesign) -> list[str]:
    """All `corpus/part` entries of a stage."""
    if isinstance(stage.sources, list):
        return stage.sources
    return [entry for source in stage.sources.values() for entry in source.data]
