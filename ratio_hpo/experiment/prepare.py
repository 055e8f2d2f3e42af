"""Prepare the data of an experiment: read, split, check for leaks and tokenise it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import numpy as np

from ratio_hpo.core.errors import ConfigError
from ratio_hpo.core.fingerprint import Digests, fingerprint
from ratio_hpo.core.layout import RunFolder
from ratio_hpo.core.measures import TEST, VALIDATION
from ratio_hpo.data.corpora import CorpusReader
from ratio_hpo.data.examples import Example, fingerprint_examples
from ratio_hpo.data.leaks import Leak, find_leaks
from ratio_hpo.data.mixing import SourceSize
from ratio_hpo.data.splits import WHOLE
from ratio_hpo.data.tasks import Vocabulary, kind_of_task
from ratio_hpo.data.tokenise import save_tokenizer, write_windows
from ratio_hpo.data.windows import open_windows
from ratio_hpo.experiment.evaluation_splits import EvaluationSplits, held_out, retrieval_examples
from ratio_hpo.experiment.heads import ReadSources, check_lengths, check_scored, check_trained, design_tasks
from ratio_hpo.experiment.spec import ExperimentSpec
from ratio_hpo.training.base_model import Base, find_base
from ratio_hpo.training.model import load_tokenizer, most_positions
from ratio_hpo.training.spec import Source, SourceSpec, Target, TaskDesign


@dataclass(frozen=True, slots=True, kw_only=True)
class Prepared:
    """Prepared data of an experiment.

    Attributes:
        base: Pretrained encoder.
        sources: Windows of each source of each stage.
        tasks: Tasks by the name of their head, or of their target if they have no head.
        targets: Targets with the window sets that trials are scored on; `test` only for a confirmation.
        splits: Number of items by target, language and split.
        prints: Fingerprint of the items of all targets, languages and splits.
        tokenizer: Folder of the tokenizer, saved with weights.
        vocabulary: Special tokens and size of the vocabulary.
        leaks: Overlaps of training sources and evaluation data.
        problems: Lines about bad records.
    """

    base: Base
    sources: dict[str, dict[str, Source]]
    tasks: dict[str, TaskDesign]
    targets: tuple[Target, ...]
    splits: dict[str, dict[str, dict[str, int]]]
    prints: str
    tokenizer: Path
    vocabulary: Vocabulary
    leaks: tuple[Leak, ...] = ()
    problems: tuple[str, ...] = ()


def prepare(
    experiment: ExperimentSpec,
    *,
    folder: RunFolder,
    data_dir: Path,
    strict: bool = False,
    keep_leaks: bool = False,
    confirming: bool = False,
    trusted: bool = False,
    say: Callable[[str], None] = lambda line: None,
) -> Prepared:
    """Read and tokenise all data of a search; window sets below the run folder are reused.

    Args:
        experiment: The experiment.
        folder: The run folder.
        data_dir: Folder that relative paths of corpora start from.
        strict: Refuse data files with bad records instead of repairing or dropping the records.
        keep_leaks: Keep training examples that also occur in the evaluation data.
        confirming: Score trials on `test` too at their end.
        trusted: Allow custom code of the base to run.
        say: Callback that prints progress.

    Raises:
        ConfigError: The experiment is invalid; one line per mistake.
        DataError: The data is invalid; one line per mistake.
    """
    base = find_base(experiment.base.name, experiment.base.revision, Digests(folder.digests), trusted=trusted)
    positions = most_positions(base)
    check_lengths(experiment, base.name, positions)
    tokenizer = load_tokenizer(base)
    reader = CorpusReader(experiment.corpora, data_dir, seed=experiment.seed, strict=strict)
    say("reading data")
    evaluation = held_out(experiment, reader)
    leaks: dict[str, Leak] = {}
    read: ReadSources = {}
    for stage, spec in experiment.all_stages().items():
        for name, source in experiment.sources_of(spec).items():
            leak, examples = _read_source(f"{stage} source {name}", source, reader, evaluation, keep_leaks=keep_leaks)
            if leak.found:
                leaks[leak.source] = leak
            if not examples:
                raise ConfigError(f"{stage} sources: {name} has no example; add data, or remove the source")
            read[stage, name] = (source, examples)
    tasks = design_tasks(experiment, read, positions)
    check_trained(
        tasks,
        [
            (f"{stage} source {name}", experiment.head_of(source), examples)
            for (stage, name), (source, examples) in read.items()
        ],
    )
    announce = cache(lambda: say("tokenising (cached for later runs)"))

    def windows(design: TaskDesign, examples: Sequence[Example]) -> str:
        identity = [design.task, design.settings.model_dump(), list(design.labels)]
        return str(write_windows(examples, tokenizer, design.make(), identity, folder.windows, announce))

    splits = (VALIDATION, TEST) if confirming else (VALIDATION,)
    targets = []
    for name, spec in experiment.all_targets().items():
        task = tasks[experiment.head_of_target(name)]
        folders, last = {}, {}
        if not kind_of_task(spec.task).on_layer:
            for language, parts in evaluation.parts[name].items():
                check_scored(name, language, task, [example for part in parts.values() for example in part])
                for split in splits:
                    (last if split == TEST else folders)[language, split] = windows(task, parts[split])
        else:
            folders["", ""] = windows(task, retrieval_examples(experiment, name, reader, (VALIDATION,)))
            if confirming:
                last["", ""] = windows(task, retrieval_examples(experiment, name, reader, splits))
        targets.append(
            Target(
                name=name,
                task=task,
                primary=experiment.primary(spec),
                metric=spec.metric or "",
                languages=tuple(spec.languages),
                folders=folders,
                weight=spec.weight,
                stage=experiment.stage_of(name),
                at_rungs=spec.at == "rungs",
                last=last,
            )
        )
    sources: dict[str, dict[str, Source]] = {stage: {} for stage in experiment.all_stages()}
    for (stage, name), (source, examples) in read.items():
        sources[stage][name] = _prepared_source(
            source, windows(tasks[experiment.head_of(source)], examples), experiment
        )
    evaluated = {
        (name, language, split): part
        for name, by_language in evaluation.parts.items()
        for language, parts in by_language.items()
        for split, part in parts.items()
    }
    return Prepared(
        base=base,
        sources=sources,
        tasks=tasks,
        targets=tuple(targets),
        splits={
            name: {
                lang: {split: sum(example.is_asked for example in part) for split, part in parts.items()}
                for lang, parts in by_language.items()
            }
            for name, by_language in evaluation.parts.items()
        },
        prints=fingerprint({"/".join(key): fingerprint_examples(part) for key, part in evaluated.items()}),
        tokenizer=save_tokenizer(tokenizer, folder.tokenizers),
        vocabulary=Vocabulary(
            pad=tokenizer.pad_token_id,
            mask=tokenizer.mask_token_id,
            size=len(tokenizer),
            special=tuple(i for i in tokenizer.all_special_ids if i != tokenizer.unk_token_id),
            token_types="token_type_ids" in tokenizer.model_input_names,
        ),
        leaks=tuple(leaks.values()),
        problems=tuple(line for report in reader.reports for line in report.lines()),
    )


def basis_of(experiment: ExperimentSpec, prepared: Prepared) -> dict[str, object]:
    """Return the training and evaluation part of the study's identity, by key."""
    return {
        "base": prepared.base.identity,
        "data": {f"{n}/{k}": s.fingerprint for n, group in prepared.sources.items() for k, s in group.items()},
        "splits": prepared.prints,
        "stages": {name: stage.model_dump() for name, stage in experiment.all_stages().items()},
        "tasks": {name: [*design.identity, design.settings.model_dump()] for name, design in prepared.tasks.items()},
        "targets": {name: spec.model_dump(exclude={"stage"}) for name, spec in experiment.all_targets().items()},
        "reference": experiment.reference,
        "cost_unit": experiment.cost_unit,
        "objectives": ["final primary score over " + ", ".join(experiment.languages()), "cost to target"],
    }


def _prepared_source(source: SourceSpec, folder: str, experiment: ExperimentSpec) -> Source:
    windows, task = open_windows(folder), experiment.task_of(source.data[0])
    corpora = [experiment.corpora[entry.partition("/")[0]] for entry in source.data]
    return Source(
        folder=folder,
        fingerprint=Path(folder).name,
        language=source.language,
        head=experiment.head_of(source),
        size=SourceSize(
            windows=len(windows),
            questions=windows.num_items,
            tokens=windows.num_tokens,
            reference=source.language == experiment.reference,
            task=task,
            auxiliary=task == "mlm",
        ),
        rows=windows.num_rows,
        longest=int(np.diff(windows.bounds).max()),
        translated_from=next((corpus.translated_from for corpus in corpora if corpus.translated_from), None),
    )


def _read_source(
    name: str, source: SourceSpec, reader: CorpusReader, evaluation: EvaluationSplits, *, keep_leaks: bool
) -> tuple[Leak, list[Example]]:
    """Return the overlap of a source with the evaluation data, and its examples (without the overlap by default)."""
    examples: list[Example] = []
    parallel: list[bool] = []
    generated = evaluation.generated
    for entry in source.data:
        corpus, _, part = entry.partition("/")
        usable = [e for e in reader.part(corpus, part or WHOLE, source.language) if e.is_asked and e.is_trained]
        examples += usable
        parallel += [example.id in evaluation.parallel.get(corpus, ()) for example in usable]
        generated &= reader.is_generated(corpus)
    leak, clean = find_leaks(
        name,
        source.language,
        examples,
        evaluation.of(source.language),
        near=not generated,
        parallel=parallel,
        ids=evaluation.ids,
    )
    return leak, examples if keep_leaks else clean
