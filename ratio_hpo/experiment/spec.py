"""The experiment file: on what a search is run. Knobs are declared by their owners and only composed here."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import Field, field_validator, model_validator

from ratio_hpo.core.config import Spec
from ratio_hpo.data.corpora import Corpus
from ratio_hpo.data.splits import WHOLE
from ratio_hpo.data.windows import WindowSpec
from ratio_hpo.experiment.study_spec import StudySpec, Text
from ratio_hpo.metrics import mlqa
from ratio_hpo.training.spec import EngineSpec, StageSpec, StagesSpec

SPLITS = ("prune", "select", "test")


class BaseSpec(Spec):
    """A base by name, with the commit that pins it on the hub."""

    name: Text
    """`polyglot-base`, `minilm`, a folder, or a name on the hub."""

    revision: Text | None = None
    """Commit of 40 hexadecimal digits of a hub base; none: the one that is known for its name."""


class ExperimentSpec(StudySpec):
    """An experiment with the built-in objective."""

    task: Literal["qa"] = "qa"
    """What is trained and scored: extractive question answering."""

    metric: Literal["squad", "mlqa"] = "squad"
    """How answers are scored: as SQuAD v1.1 does in every language, or as MLQA in its seven."""

    base: BaseSpec
    """The pretrained encoder that every trial starts from."""

    target_languages: list[Text] = Field(min_length=1)
    """The languages of the unweighted mean."""

    windows: WindowSpec = WindowSpec()
    """How text is cut into windows."""

    engine: EngineSpec = EngineSpec()
    """How windows go through the model."""

    corpora: dict[str, Corpus] = Field(min_length=1)
    """Where questions come from, by name."""

    evaluation: list[Text] = Field(min_length=1)
    """Corpora with the parts `prune`, `select` and `test`."""

    stages: StagesSpec
    """What is trained, in order."""

    @field_validator("base", mode="before")
    @classmethod
    def _base_by_name(cls, value: Any) -> Any:
        return {"name": value} if isinstance(value, str) else value

    @model_validator(mode="after")
    def _parts_fit(self) -> ExperimentSpec:
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
        self.check_target()
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


def stage_parts(stage: StageSpec) -> list[str]:
    """All `corpus/part` entries of a stage."""
    if isinstance(stage.sources, list):
        return stage.sources
    return [entry for source in stage.sources.values() for entry in source.data]
