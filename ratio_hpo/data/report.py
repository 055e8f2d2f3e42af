"""What reading a file came to: every record is counted once, as it is, mended or dropped."""

from __future__ import annotations

from dataclasses import dataclass, field

SHOWN = 5


@dataclass(frozen=True, slots=True)
class Problem:
    """Something in a record that breaks the format.

    Attributes:
        record: where in the file, in words.
        rule: short name of what is wrong, for counting.
        dropped: whether the record is; otherwise it was certain how to put it right, or the rest of it stands.
    """

    record: str
    rule: str
    dropped: bool


@dataclass(slots=True)
class Report:
    """What reading a file came to; every record is counted once: read, mended or dropped.

    A record is a question, or what stands in the place of questions and holds none.

    Attributes:
        notes: what was guessed about the file.
    """

    file: str
    questions: int = 0
    problems: list[Problem] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)

    def note(self, what: str) -> None:
        """Something was guessed about the whole file; nothing in it is wrong."""
        if what not in self.notes:
            self.notes.append(what)

    def mend(self, record: str, rule: str) -> None:
        """The record is kept, with something put right or left out."""
        self.problems.append(Problem(record, rule, False))

    def drop(self, record: str, rule: str) -> None:
        """The record is lost."""
        self.problems.append(Problem(record, rule, True))

    @property
    def dropped(self) -> int:
        """Records that are lost."""
        return len({p.record for p in self.problems if p.dropped})

    @property
    def mended(self) -> int:
        """Records that are kept, but not as they stand in the file."""
        return len({p.record for p in self.problems} - {p.record for p in self.problems if p.dropped})

    def lines(self) -> list[str]:
        """What became of all records, and one line a kind of problem, with the first records."""
        noted = [f"{self.file}: {what}" for what in self.notes]
        if not self.problems:
            return noted
        whole = self.questions + self.dropped
        result = [
            f"{self.file}: {whole} record(s): {self.questions - self.mended} read as they are, "
            f"{self.mended} mended, {self.dropped} dropped"
        ]
        by_rule: dict[tuple[str, bool], list[str]] = {}
        for problem in self.problems:
            places = by_rule.setdefault((problem.rule, problem.dropped), [])
            if problem.record not in places[-1:]:
                places.append(problem.record)
        for (rule, dropped), places in sorted(by_rule.items()):
            more = ", …" if len(places) > SHOWN else ""
            what = "dropped" if dropped else "mended"
            result.append(f"{self.file}: {rule}: {len(places)} record(s) {what} ({', '.join(places[:SHOWN])}{more})")
        return result + noted
