"""Selection of the trials to confirm, and of the trial farthest from the baselines."""

from __future__ import annotations

from ratio_hpo.analysis.advice import advice_of
from ratio_hpo.core.errors import StudyError
from ratio_hpo.core.trial import NO_INTERMEDIATE_PARAM, State, TrialRecord
from ratio_hpo.study.front import front
from ratio_hpo.study.response import response_of
from ratio_hpo.study.view import StudyView


def baselines(view: StudyView) -> list[TrialRecord]:
    """Return the completed baselines."""
    return [record for record in view.records if record.is_baseline and record.state is State.COMPLETE]


def finalists(view: StudyView, top: int) -> list[TrialRecord]:
    """Return the trials to confirm in addition to the baselines: trials on the front first, then by predicted score.

    The predicted score is the posterior mean of the response model, or the last score before the model is fitted. A
    pruned trial on the front can be a finalist; `confirm` then trains it to its end. Trials with identical training
    count once.

    Raises:
        StudyError: If no trial is complete.
    """
    if not any(record.state is State.COMPLETE for record in view.records):
        raise StudyError(f"study {view.name} has no COMPLETE trial to confirm; continue its search")
    candidates = [
        r for r in view.records if not r.is_baseline and r.scored and r.state in (State.COMPLETE, State.PRUNED)
    ]
    advice = advice_of(view)
    if advice is None:
        predicted = {record.number: record.scored[-1].primary_score for record in candidates}
        on_front = {member.trial.number for member in front(view.records)}
    else:
        predictions = response_of(view).model(view.records).finals()
        predicted = {number: mean for number, (mean, _) in predictions.items()}
        on_front = {member.trial for member in advice.front} | {advice.trial}
    ranked = sorted(
        (record for record in candidates if record.number in predicted),
        key=lambda record: (record.number not in on_front, -predicted[record.number], record.number),
    )
    selected_keys = {_training_key(record) for record in baselines(view)}
    selected: list[TrialRecord] = []
    for record in ranked:
        if len(selected) < top and _training_key(record) not in selected_keys:
            selected_keys.add(_training_key(record))
            selected.append(record)
    return selected


def _training_key(record: TrialRecord) -> str:
    """Return the parameters and window counts: ratios of .0001 and 0 train on the same windows in a short stage."""
    windows = {name: {k: s.windows for k, s in stage.sources.items()} for name, stage in record.plan.stages.items()}
    mixture = ("ratio", "shares") if windows else ()
    other_params = {key: value for key, value in sorted(record.params.items()) if key not in mixture}
    return repr((other_params, windows))


def extreme(view: StudyView) -> TrialRecord | None:
    """Return the completed trial farthest from the baselines in the space, or None if only baselines are complete."""
    space, completed_baselines = (
        view.space,
        [record for record in baselines(view) if NO_INTERMEDIATE_PARAM not in record.params],
    )
    sampled = [r for r in view.records if not r.is_baseline and r.state is State.COMPLETE and r.params]
    if not sampled or not completed_baselines:
        return sampled[0] if sampled else None
    baseline_points = [space.encode(record.params) for record in completed_baselines]

    def distance(record: TrialRecord) -> float:
        point = space.encode(record.params)
        return min(
            sum((point[key] - baseline.get(key, point[key])) ** 2 for key in point) for baseline in baseline_points
        )

    return max(sampled, key=lambda record: (distance(record), -record.number))
