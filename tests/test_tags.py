"""Tags that a head does not know are refused before training, and the error lists the tags found."""

from __future__ import annotations

import pytest

from ratio_hpo.core.errors import DataError
from ratio_hpo.data.examples import Sentence
from ratio_hpo.data.tasks import Head, kind_of_task
from ratio_hpo.data.tasks.tagging import UPOS
from ratio_hpo.experiment.heads import check_scored, check_trained
from ratio_hpo.training.spec import TaskDesign


def design(task: str, labels: tuple[str, ...]) -> TaskDesign:
    settings = kind_of_task(task).settings()
    return TaskDesign(task=task, settings=settings, head=Head(name=task, auto_class="", labels=labels))


def sentences(tags: str) -> list[Sentence]:
    words = tuple(tags.split())
    return [Sentence(id="1", group="g", words=words, tags=words)]


POS, NER = design("pos", UPOS), design("ner", ("O", "B-PER", "I-PER", "B-LOC", "I-LOC"))


@pytest.mark.parametrize("tags", ["O B-PER O", "NN VBZ DT SYM", "1 2 3", "NOUN NN NN"])
def test_training_data_of_another_task_is_refused(tags: str) -> None:
    with pytest.raises(DataError, match=r"stage source sw: task pos knows the tags of \d of") as told:
        check_trained({"pos": POS}, [("stage source sw", "pos", sentences(tags))])
    assert tags.split()[0] in str(told.value) or "NN" in str(told.value)


def test_entities_without_any_entity_are_refused() -> None:
    with pytest.raises(DataError, match="all words of its training data have the tag O"):
        check_trained({"ner": NER}, [("a", "ner", sentences("O O O")), ("b", "ner", sentences("O"))])
    check_trained({"ner": NER}, [("a", "ner", sentences("O O O")), ("b", "ner", sentences("O B-PER"))])


@pytest.mark.parametrize(("found", "tags"), [(POS, "O B-PER"), (NER, "O B-person I-person"), (NER, "O O")])
def test_gold_that_the_head_cannot_name_is_refused(found: TaskDesign, tags: str) -> None:
    with pytest.raises(DataError, match=r"targets.names in sw: "):
        check_scored("names", "sw", found, sentences(tags))


@pytest.mark.parametrize(("found", "tags"), [(POS, "NOUN VERB X _"), (NER, "O B-PER B-DATE"), (POS, "NOUN NOUN odd")])
def test_a_few_tags_that_it_does_not_know_are_not(found: TaskDesign, tags: str) -> None:
    check_scored("names", "sw", found, sentences(tags))
