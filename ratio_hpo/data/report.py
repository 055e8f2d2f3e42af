"""Reports on reading a file: each record is counted once, as unchanged, corrected or dropped."""

from __future__ import annotations

from dataclasses import dataclass, field

SHOWN = 5


class BadRecord(ValueError):
    """A record that breaks a rule of its format; it is dropped, and the message is the rule in a few words."""


@dataclass(frozen=True, slots=True)
class Problem:
    """A violation of the format in a record.

    Attributes:
        record: position in the file, in words.
        rule: short description of the violation; problems are counted by it.
        dropped: whether the record was dropped; otherwise it was corrected, or its faulty part was left out.
    """

    record: str
    rule: str
    dropped: bool


@dataclass(slots=True)
class Report:
    """Result of reading a file; each record is counted once, as unchanged, corrected or dropped.

    A record is a question, or an entry in the place of questions that holds none.

    Attributes:
        notes: guesses about the file as a whole.
    """

    file: str
    questions: int = 0
    problems: list[Problem] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)

    def note(self, text: str) -> None:
        """Add a guess about the whole file; a note is no problem."""
        if text not in self.notes:
            self.notes.append(text)

    def mend(self, record: str, rule: str) -> None:
        """Record a problem that was corrected or left out; the record is kept."""
        self.problems.append(Problem(record, rule, False))

    def drop(self, record: str, rule: str) -> None:
        """Record a problem for which the record is dropped."""
        self.problems.append(Problem(record, rule, True))

    @property
    def dropped(self) -> int:
        """Number of dropped records."""
        return len({p.record for p in self.problems if p.dropped})

    @property
    def mended(self) -> int:
        """Number of records that are kept with a change."""
        return len({p.record for p in self.problems} - {p.record for p in self.problems if p.dropped})

    def lines(self) -> list[str]:
        """Return a line of counts, one line per kind of problem with its first records, and the notes."""
        notes = [f"{self.file}: {note}" for note in self.notes]
        if not self.problems:
            return notes
        whole = self.questions + self.dropped
        result = [
            f"{self.file}: {whole} record(s): {self.questions - self.mended} read unchanged, "
            f"{self.mended} corrected, {self.dropped} dropped"
        ]
        by_rule: dict[tuple[str, bool], list[str]] = {}
        for problem in self.problems:
            positions = by_rule.setdefault((problem.rule, problem.dropped), [])
            if problem.record not in positions[-1:]:
                positions.append(problem.record)
        for (rule, dropped), positions in sorted(by_rule.items()):
            more = ", …" if len(positions) > SHOWN else ""
            outcome = "dropped" if dropped else "corrected"
            shown = ", ".join(positions[:SHOWN])
            result.append(f"{self.file}: {rule}: {len(positions)} record(s) {outcome} ({shown}{more})")
        return result + notes
