"""Which trials of a search are worth confirming, and which place is the farthest from what was usual."""

from __future__ import annotations

from ratio_hpo.analysis.advice import advice_of
from ratio_hpo.core.errors import StudyError
from ratio_hpo.core.trial import NO_INTERMEDIATE_PARAM, State, TrialRecord
from ratio_hpo.study.front import front
from ratio_hpo.study.response import response_of
from ratio_hpo.study.view import StudyView


def baselines(view: StudyView) -> list[TrialRecord]:
    """The baselines that were trained to their end."""
    return [record for record in view.records if record.is_baseline and record.state is State.COMPLETE]


def finalists(view: StudyView, top: int) -> list[TrialRecord]:
    """The trials to confirm beside the baselines: by what is expected of their end, those of the front first.

    Expected is the posterior mean of the response model; before there is one, the last score. A stopped trial that the
    front holds may be among them, and is then trained to its end. Trials that come to the same training count once.

    Raises:
        StudyError: no trial has a score, or the first baseline did not end.
    """
    if not any(record.state is State.COMPLETE for record in view.records):
        raise StudyError(f"study {view.name} has no COMPLETE trial yet, so nothing to confirm; go on with its search")
    known = [r for r in view.records if not r.is_baseline and r.scored and r.state in (State.COMPLETE, State.PRUNED)]
    advice = advice_of(view)
    if advice is None:
        expected = {record.number: record.scored[-1].primary_score for record in known}
        on_front = {member.trial.number for member in front(view.records)}
    else:
        told = response_of(view).model(view.records).finals()
        expected = {number: mean for number, (mean, _) in told.items()}
        on_front = {member.trial for member in advice.front} | {advice.trial}
    ranked = sorted(
        (record for record in known if record.number in expected),
        key=lambda record: (record.number not in on_front, -expected[record.number], record.number),
    )
    taken = {_what_is_trained(record) for record in baselines(view)}
    chosen: list[TrialRecord] = []
    for record in ranked:
        if len(chosen) < top and _what_is_trained(record) not in taken:
            taken.add(_what_is_trained(record))
            chosen.append(record)
    return chosen


def _what_is_trained(record: TrialRecord) -> str:
    """Other parameters and the windows of each source: ratios of .0001 and 0 come to the same in a short stage."""
    drawn = {name: {k: s.windows for k, s in stage.sources.items()} for name, stage in record.plan.stages.items()}
    mixture = ("ratio", "shares") if drawn else ()
    rest = {key: value for key, value in sorted(record.params.items()) if key not in mixture}
    return repr((rest, drawn))


def extreme(view: StudyView) -> TrialRecord | None:
    """The COMPLETE trial that lies farthest from the baselines in the space; None where only baselines are."""
    space, fixed = view.space, [record for record in baselines(view) if NO_INTERMEDIATE_PARAM not in record.params]
    sampled = [r for r in view.records if not r.is_baseline and r.state is State.COMPLETE and r.params]
    if not sampled or not fixed:
        return sampled[0] if sampled else None
    centre = [space.encode(record.params) for record in fixed]

    def distance(record: TrialRecord) -> float:
        cube = space.encode(record.params)
        return min(sum((cube[key] - other.get(key, cube[key])) ** 2 for key in cube) for other in centre)

    return max(sampled, key=lambda record: (distance(record), -record.number))
