"""Data of an experiment: read, split, checked for leaks, tokenised; what workers and the study need of it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ratio_hpo.core.errors import ConfigError
from ratio_hpo.core.fingerprint import fingerprint
from ratio_hpo.data.corpora import CorpusReader
from ratio_hpo.data.leaks import Leak, find_leaks
from ratio_hpo.data.mixing import SourceSize
from ratio_hpo.data.questions import Question, fingerprint_questions
from ratio_hpo.data.splits import WHOLE
from ratio_hpo.data.tasks import load_task
from ratio_hpo.data.tokenise import tokenizer_fingerprint, write_windows
from ratio_hpo.data.windows import open_windows
from ratio_hpo.experiment.spec import SPLITS, ExperimentSpec
from ratio_hpo.objective import Design, Pipeline
from ratio_hpo.space import Space, Steps
from ratio_hpo.training.model import find_base, load_tokenizer
from ratio_hpo.training.spec import MOST_ADDED_RATIO, SourceData, SourceSpec, StageSpec, steps_with_budget

SCORED = ("prune", "select")


@dataclass(slots=True)
class Prepared:
    """An experiment with its data at hand.

    Attributes:
        design: what workers need.
        splits: number of questions by language and split.
        leaks: what training sources share with the evaluation data.
        problems: lines about bad records.
        tokenizer: folder of the tokenizer, kept beside weights.
    """

    design: Design
    pipeline: Pipeline
    splits: dict[str, dict[str, int]]
    identity: dict[str, Any]
    tokenizer: Path
    leaks: list[Leak] = field(default_factory=list)
    problems: list[str] = field(default_factory=list)
    keep_leaks: bool = False


def source_designs(experiment: ExperimentSpec, stage: StageSpec) -> dict[str, SourceSpec]:
    """The sources of a stage; parts of corpora make one source a language."""
    if isinstance(stage.sources, dict):
        return stage.sources
    grouped: dict[str, list[str]] = {}
    for entry in stage.sources:
        for language in experiment.corpora[entry.partition("/")[0]].languages:
            grouped.setdefault(language, []).append(entry)
    return {language: SourceSpec(language=language, data=data) for language, data in grouped.items()}


def prepare(
    experiment: ExperimentSpec,
    *,
    cache: Path,
    data_dir: Path,
    seed: int,
    strict: bool = False,
    keep_leaks: bool = False,
    largest_steps: dict[str, int],
    say: Callable[[str], None] = lambda line: None,
) -> Prepared:
    """Read and tokenise everything that a search needs; what was tokenised before is found in `cache`.

    Args:
        largest_steps: most steps of each stage that the space allows.
        say: told what is being done.

    Raises:
        ConfigError, DataError: with one line a mistake.
    """
    base = find_base(experiment.base.name, experiment.base.revision)
    tokenizer = load_tokenizer(base)
    task, settings = load_task(experiment.task), experiment.windows
    reader = CorpusReader(experiment.corpora, data_dir, seed=seed, strict=strict)
    say("reading data")
    evaluation = {lang: _evaluation(experiment, reader, lang) for lang in experiment.target_languages}
    held_out = {language: [q for part in parts.values() for q in part] for language, parts in evaluation.items()}
    say("tokenising (once; kept for the next time)")

    def windows(questions: list[Question]) -> Path:
        return write_windows(questions, tokenizer, task, settings, cache / "windows")

    stages: dict[str, dict[str, SourceData]] = {}
    leaks: dict[str, Leak] = {}
    for name in ("intermediate", "target"):
        designs = source_designs(experiment, getattr(experiment.stages, name))
        stages[name] = {}
        for key, source in designs.items():
            questions = _source_questions(reader, source)
            leak, clean = find_leaks(
                f"{name} source {key}", source.language, questions, held_out.get(source.language, [])
            )
            if leak.dropped:
                leaks[leak.source] = leak
                questions = questions if keep_leaks else clean
            if not questions:
                raise ConfigError(f"stages.{name}.sources: {key} holds no question; give it data, or drop it")
            folder = windows(questions)
            opened = open_windows(folder)
            stages[name][key] = SourceData(
                folder=str(folder),
                fingerprint=folder.name,
                language=source.language,
                size=SourceSize(
                    windows=len(opened),
                    questions=opened.num_questions,
                    tokens=opened.num_tokens,
                    reference=source.language == experiment.reference,
                ),
            )
    folders = {
        language: {split: str(windows(parts[split])) for split in SCORED} for language, parts in evaluation.items()
    }
    design = Design(
        base=base,
        task=experiment.task,
        windows=settings,
        engine=experiment.engine,
        metric=experiment.metric,
        seed=seed,
        pad=tokenizer.pad_token_id,
        token_types="token_type_ids" in tokenizer.model_input_names,
        stages=experiment.stages,
        sources=stages,
        evaluation=folders,
        rungs={
            name: tuple(getattr(experiment.stages, name).rungs(largest_steps[name]))
            for name in ("intermediate", "target")
        },
    )
    tokenizer_folder = cache / "tokenizers" / tokenizer_fingerprint(tokenizer)
    if not tokenizer_folder.is_dir():
        tokenizer.save_pretrained(tokenizer_folder)
    prints = {f"{lang}/{s}": fingerprint_questions(p) for lang, ps in evaluation.items() for s, p in ps.items()}
    return Prepared(
        design=design,
        pipeline=Pipeline(design),
        splits={lang: {s: len(p) for s, p in parts.items()} for lang, parts in evaluation.items()},
        identity={
            "base": base.identity,
            "data": {f"{n}/{k}": s.fingerprint for n, group in stages.items() for k, s in group.items()},
            "splits": fingerprint(prints),
            "stages": experiment.stages.model_dump(),
            "windows": settings.model_dump(),
            "task": [experiment.task, experiment.metric],
            "reference": experiment.reference,
            "objectives": ["final mean F1 over " + ", ".join(experiment.target_languages), "cost to target"],
        },
        tokenizer=tokenizer_folder,
        leaks=list(leaks.values()),
        problems=[line for report in reader.reports for line in report.lines()],
        keep_leaks=keep_leaks,
    )


def largest_steps(experiment: ExperimentSpec, space: Space) -> dict[str, int]:
    """The most steps that any trial of the space, or an anchor, gives to each stage."""
    most = {}
    for name, parameter in (("intermediate", "intermediate_steps"), ("target", "target_steps")):
        domain = space.parameters.get(parameter)
        asked = int(max(domain.values)) if isinstance(domain, Steps) else 0
        most[name] = max(asked, getattr(experiment.stages, name).steps)
    stage = experiment.stages.intermediate
    most["intermediate"] = steps_with_budget(most["intermediate"], MOST_ADDED_RATIO, stage.budget)
    return most


def largest_cost(experiment: ExperimentSpec, steps: dict[str, int]) -> float:
    """The most windows that a trial can consume."""
    return float(sum(steps[name] * getattr(experiment.stages, name).batch_size for name in steps))


def _evaluation(experiment: ExperimentSpec, reader: CorpusReader, language: str) -> dict[str, list[Question]]:
    parts: dict[str, list[Question]] = {split: [] for split in SPLITS}
    for corpus in experiment.evaluation:
        if language in experiment.corpora[corpus].languages:
            for split in SPLITS:
                parts[split] += reader.part(corpus, split, language)
    for split, questions in parts.items():
        if not questions:
            raise ConfigError(f"evaluation: {language} has no question in {split}; enlarge that part of its corpus")
    return parts


def _source_questions(reader: CorpusReader, source: SourceSpec) -> list[Question]:
    questions = []
    for entry in source.data:
        corpus, _, part = entry.partition("/")
        for question in reader.part(corpus, part or WHOLE, source.language):
            questions.append(question)
    return questions
