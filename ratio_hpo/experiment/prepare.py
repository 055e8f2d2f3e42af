"""Data of an experiment: read, split, checked for leaks, tokenised; what workers and the study need of it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from ratio_hpo.core.errors import ConfigError
from ratio_hpo.core.fingerprint import Digests, fingerprint
from ratio_hpo.core.layout import RunFolder
from ratio_hpo.data.corpora import CorpusReader
from ratio_hpo.data.leaks import Leak, find_leaks
from ratio_hpo.data.mixing import SourceSize
from ratio_hpo.data.questions import Question, fingerprint_questions
from ratio_hpo.data.splits import WHOLE
from ratio_hpo.data.tasks import load_task
from ratio_hpo.data.tokenise import save_tokenizer, write_windows
from ratio_hpo.data.windows import open_windows
from ratio_hpo.experiment.spec import SPLITS, ExperimentSpec
from ratio_hpo.training.base import Base, find_base
from ratio_hpo.training.model import load_tokenizer, most_positions
from ratio_hpo.training.spec import SourceData, SourceSpec, StageSpec

SCORED, TEST = ("prune", "select"), "test"


@dataclass(frozen=True, slots=True, kw_only=True)
class Prepared:
    """An experiment with its data at hand.

    Attributes:
        sources: windows of each source of each stage.
        evaluation: window set of each target language and scored split.
        test: window set of each target language that only a confirmation reads.
        splits: number of questions by language and split.
        prints: fingerprint of the questions of each language and split.
        leaks: what training sources share with the evaluation data.
        problems: lines about bad records.
        tokenizer: folder of the tokenizer, kept beside weights.
        pad, token_types: id of padding; whether the model takes segment ids.
    """

    base: Base
    sources: dict[str, dict[str, SourceData]]
    evaluation: dict[str, dict[str, str]]
    test: dict[str, str]
    splits: dict[str, dict[str, int]]
    prints: str
    tokenizer: Path
    pad: int
    token_types: bool
    leaks: tuple[Leak, ...] = ()
    problems: tuple[str, ...] = ()


@dataclass(slots=True)
class _Held:
    """What is evaluated on: of one language, and of all others where corpora are parallel.

    Attributes:
        parallel: of each parallel corpus, the ids of all questions on passages that any language is evaluated on.
    """

    parts: dict[str, dict[str, list[Question]]]
    parallel: dict[str, frozenset[str]]
    generated: bool

    def of(self, language: str) -> list[Question]:
        return [question for part in self.parts.get(language, {}).values() for question in part]


def source_specs(experiment: ExperimentSpec, stage: StageSpec) -> dict[str, SourceSpec]:
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
    folder: RunFolder,
    data_dir: Path,
    strict: bool = False,
    keep_leaks: bool = False,
    say: Callable[[str], None] = lambda line: None,
) -> Prepared:
    """Read and tokenise everything that a search needs; what was tokenised before is found below the run folder.

    Args:
        say: told what is being done.

    Raises:
        ConfigError, DataError: with one line a mistake.
    """
    base = find_base(experiment.base.name, experiment.base.revision, Digests(folder.digests))
    _check_length(experiment, base)
    tokenizer = load_tokenizer(base)
    task, settings = load_task(experiment.task), experiment.windows
    reader = CorpusReader(experiment.corpora, data_dir, seed=experiment.seed, strict=strict)
    say("reading data")
    held = _held_out(experiment, reader)
    say("tokenising (once; kept for the next time)")

    def windows(questions: list[Question]) -> Path:
        return write_windows(questions, tokenizer, task, settings, folder.windows)

    stages: dict[str, dict[str, SourceData]] = {}
    leaks: dict[str, Leak] = {}
    for name in ("intermediate", "target"):
        stages[name] = {}
        for key, source in source_specs(experiment, getattr(experiment.stages, name)).items():
            leak, questions = _without_leaks(f"{name} source {key}", source, reader, held, keep_leaks=keep_leaks)
            if leak.found:
                leaks[leak.source] = leak
            if not questions:
                raise ConfigError(f"stages.{name}.sources: {key} holds no question; give it data, or drop it")
            stages[name][key] = _source_data(source, windows(questions), experiment.reference)
    splits = held.parts
    return Prepared(
        base=base,
        sources=stages,
        evaluation={lang: {split: str(windows(parts[split])) for split in SCORED} for lang, parts in splits.items()},
        test={language: str(windows(parts[TEST])) for language, parts in splits.items()},
        splits={lang: {split: len(part) for split, part in parts.items()} for lang, parts in splits.items()},
        prints=fingerprint(
            {f"{lang}/{s}": fingerprint_questions(p) for lang, ps in splits.items() for s, p in ps.items()}
        ),
        tokenizer=save_tokenizer(tokenizer, folder.tokenizers),
        pad=tokenizer.pad_token_id,
        token_types="token_type_ids" in tokenizer.model_input_names,
        leaks=tuple(leaks.values()),
        problems=tuple(line for report in reader.reports for line in report.lines()),
    )


def basis_of(experiment: ExperimentSpec, prepared: Prepared) -> dict[str, Any]:
    """What is trained and scored, by key, for the study's identity."""
    return {
        "base": prepared.base.identity,
        "data": {f"{n}/{k}": s.fingerprint for n, group in prepared.sources.items() for k, s in group.items()},
        "splits": prepared.prints,
        "stages": experiment.stages.model_dump(),
        "windows": experiment.windows.model_dump(),
        "task": [experiment.task, experiment.metric],
        "reference": experiment.reference,
        "objectives": ["final mean F1 over " + ", ".join(experiment.target_languages), "cost to target"],
    }


def _check_length(experiment: ExperimentSpec, base: Base) -> None:
    """Refuse windows that are longer than the encoder's positions."""
    asked, most = experiment.windows.max_length, most_positions(base)
    if most is not None and asked > most:
        raise ConfigError(
            f"windows.max_length: base {base.name} has positions for {most} tokens, but got {asked}; lower it"
        )


def _source_data(source: SourceSpec, folder: Path, reference: str) -> SourceData:
    opened = open_windows(folder)
    return SourceData(
        folder=str(folder),
        fingerprint=folder.name,
        language=source.language,
        size=SourceSize(
            windows=len(opened),
            questions=opened.num_questions,
            tokens=opened.num_tokens,
            reference=source.language == reference,
        ),
    )


def _held_out(experiment: ExperimentSpec, reader: CorpusReader) -> _Held:
    """The splits of every target language; questions of the same id in two corpora keep both, by the corpus's name."""
    parts: dict[str, dict[str, list[Question]]] = {}
    relatives: dict[str, frozenset[str]] = {}
    for language in experiment.target_languages:
        found: dict[str, list[tuple[str, Question]]] = {split: [] for split in SPLITS}
        for corpus in experiment.evaluation:
            if language in experiment.corpora[corpus].languages:
                for split in SPLITS:
                    questions = reader.part(corpus, split, language)
                    found[split] += [(corpus, question) for question in questions]
                    relatives[corpus] = relatives.get(corpus, frozenset()) | reader.relatives(corpus, questions)
        times = Counter(question.id for entries in found.values() for _, question in entries)
        parts[language] = {
            split: [replace(q, id=f"{corpus}:{q.id}") if times[q.id] > 1 else q for corpus, q in entries]
            for split, entries in found.items()
        }
        for split, questions in parts[language].items():
            if not questions:
                raise ConfigError(f"evaluation: {language} has no question in {split}; enlarge that part of its corpus")
    generated = all(reader.is_generated(corpus) for corpus in experiment.evaluation)
    return _Held(parts, relatives, generated)


def _without_leaks(
    name: str, source: SourceSpec, reader: CorpusReader, held: _Held, *, keep_leaks: bool
) -> tuple[Leak, list[Question]]:
    """What a source shares with the evaluation data, and its questions without it, or with it where that is asked."""
    questions: list[Question] = []
    parallel: list[bool] = []
    for entry in source.data:
        corpus, _, part = entry.partition("/")
        found = reader.part(corpus, part or WHOLE, source.language)
        questions += found
        parallel += [question.id in held.parallel.get(corpus, ()) for question in found]
    generated = held.generated and all(reader.is_generated(entry.partition("/")[0]) for entry in source.data)
    leak, clean = find_leaks(
        name, source.language, questions, held.of(source.language), near=not generated, parallel=parallel
    )
    return leak, questions if keep_leaks else clean
