"""Spans are exact in characters of the passage, whatever the tokenizer's normaliser merges or deletes."""

from __future__ import annotations

import unicodedata
from functools import cache
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tokenizers import Tokenizer, models, normalizers, pre_tokenizers, processors, trainers
from transformers import AutoTokenizer, PreTrainedTokenizerFast

from ratio_hpo.data.examples import Answer, Question
from ratio_hpo.data.offsets import covered, trimmed, with_marks
from ratio_hpo.data.tasks import make_task
from ratio_hpo.data.tasks.qa import WindowSpec
from ratio_hpo.training.base_model import find_base

WORDS = {
    "Latin": ["José", "Zoë", "Nguyễn", "Łukasz", "Mañana", "Å", "ﬁn", "lives", "in", "1950"],
    "Yoruba": ["Ìbàdàn", "ọ̀rẹ́", "rẹ̀", "ní", "Ṣàngó"],
    "Greek": ["Ἀθήνα", "ὕδωρ", "ΐ"],
    "Cyrillic": ["Йод", "ёлка", "Київ"],
    "Hangul": ["김민수", "서연이", "값"],
    "Devanagari": ["हिन्दी", "क़लम", "ज़िन्दगी"],
    "Malayalam": ["അവന്\u200d", "മലയാളം"],
    "Persian": ["می\u200cخواهم", "کتاب"],
    "Thai": ["กำลัง", "น้ำ"],
    "Arabic": ["مُحَمَّد", "آب"],
    "Hebrew": ["שָׁלוֹם"],
    "Japanese": ["がぎぐ", "パン", "東京"],
}
ODD = ["\u200b", "\ufeff", "\u200e", "\u00ad"]
"""Characters without a width, which many normalisers delete."""

FORMS = ["NFC", "NFD", "NFKC", "NFKD"]


def unigram() -> Any:
    """Train a small tokenizer of the same kind as XLM-R's: Unigram, NFKC, metaspace."""
    texts = [unicodedata.normalize("NFC", f"{a} {b}") for words in WORDS.values() for a in words for b in words]
    tokenizer = Tokenizer(models.Unigram())
    tokenizer.normalizer, tokenizer.pre_tokenizer = normalizers.NFKC(), pre_tokenizers.Metaspace()
    special = ["<s>", "<pad>", "</s>", "<unk>"]
    tokenizer.train_from_iterator(
        texts, trainers.UnigramTrainer(vocab_size=400, special_tokens=special, unk_token="<unk>")
    )
    tokenizer.post_processor = processors.TemplateProcessing(
        single="<s> $A </s>", pair="<s> $A </s> </s> $B </s>", special_tokens=[("<s>", 0), ("</s>", 2)]
    )
    return PreTrainedTokenizerFast(tokenizer_object=tokenizer, cls_token="<s>", sep_token="</s>", pad_token="<pad>",
                                   unk_token="<unk>")  # fmt: skip


@cache
def tokenizer_of(name: str) -> Any:
    return unigram() if name == "unigram" else AutoTokenizer.from_pretrained(find_base(name).location)


TOKENIZERS = ["minilm", "polyglot-base", "unigram"]


def spans_of(context: str, answer: str, start: int, tokenizer: Any, **window: int) -> list[str | None]:
    """Return the text that each window's label covers, or None for a window without a label."""
    task = make_task("qa", WindowSpec(**{"max_length": 96, "stride": 32, "max_question": 24, **window}))
    question = Question(id="1", group="g", question="who?", context=context, answers=(Answer(answer, start),))
    rows = task.encode([question], tokenizer)
    found: list[str | None] = []
    for begin, end, offsets in zip(*(rows[key] for key in ("start", "end", "offsets")), strict=True):
        found.append(context[offsets[2 * begin] : offsets[2 * end + 1]].strip() if end else None)
    return found


@pytest.mark.parametrize("name", TOKENIZERS)
@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("script", WORDS)
def test_a_label_covers_the_answer_and_its_marks(name: str, form: str, script: str) -> None:
    """The answer is at the start, in the middle or at the end of the passage."""
    words = [unicodedata.normalize(form, word) for word in WORDS[script]]
    context = " ".join([*words, *words[:1]])
    starts = [(0, words[0]), (context.rindex(" ") + 1, words[0])]
    if len(words) > 1:
        starts.append((len(words[0]) + 1, words[1]))
    for start, answer in starts:
        assert spans_of(context, answer, start, tokenizer_of(name)) == [answer]


@settings(max_examples=60, deadline=None)
@given(data=st.data(), name=st.sampled_from(TOKENIZERS), form=st.sampled_from(FORMS))
def test_spans_hold_for_any_text(data: st.DataObject, name: str, form: str) -> None:
    """The label covers an answer of whole words in any script, with its combining marks, without white space, and
    except for zero-width characters at its ends."""
    every = [word for words in WORDS.values() for word in words]
    odd = st.sampled_from(["", "", "", *ODD])
    parts = data.draw(st.lists(st.tuples(odd, st.sampled_from(every), odd), min_size=1, max_size=8))
    words = [unicodedata.normalize(form, before + word + after) for before, word, after in parts]
    first = data.draw(st.integers(0, len(words) - 1))
    last = data.draw(st.integers(first, len(words) - 1))
    context, answer = " ".join(words), " ".join(words[first : last + 1])
    [span] = spans_of(context, answer, len(" ".join([*words[:first], ""])) if first else 0, tokenizer_of(name))
    assert span is not None
    strip = "".join(ODD) + " "
    assert span.strip(strip) == answer.strip(strip)


@pytest.mark.parametrize("name", TOKENIZERS)
def test_windows_of_one_passage_agree_in_all_normal_forms(name: str) -> None:
    """Equal tokens have equal labels, even if the edge of a window cuts off the answer."""
    words = WORDS["Latin"][:6] + WORDS["Yoruba"]
    labels = []
    for form in ("NFC", "NFD"):
        context = unicodedata.normalize(form, " ".join(words * 3))
        answer = unicodedata.normalize(form, "Łukasz Mañana")
        found = spans_of(context, answer, context.rindex(answer), tokenizer_of(name), max_length=40, stride=10)
        labels.append([span and unicodedata.normalize("NFC", span) for span in found])
    if name != "polyglot-base":  # its normaliser does not compose characters, so the tokens differ
        assert labels[0] == labels[1]
    assert any(labels[0])
    assert {span for spans in labels for span in spans} <= {None, "Łukasz Mañana"}


@pytest.mark.parametrize(
    ("text", "stop", "expected"),
    [
        ("Jose\u0301 x", 4, 5),
        ("김x", 1, 1),
        (unicodedata.normalize("NFD", "값") + " x", 1, 3),
        ("അവന്\u200d x", 4, 5),
        ("می\u200cخ", 2, 2),
        ("ab\u200b x", 2, 2),
    ],
)
def test_what_belongs_to_a_tokens_last_character(text: str, stop: int, expected: int) -> None:
    named = np.ones(len(text), dtype=bool)
    named[stop:expected] = False
    if stop == expected:
        named[stop] = text[stop] not in "\u200b\u200c"
    assert with_marks(text, np.array([stop]), named).tolist() == [expected]


def test_what_no_token_names_is_trimmed_from_an_answer() -> None:
    text = " \u200bJose\u0301 "
    named = covered(np.array([[2, 3], [3, 6]]), len(text))
    assert named.tolist() == [False, False, True, True, True, True, False, False]
    assert trimmed(text, 0, len(text), named) == (2, 6)
    assert trimmed(text, 0, 2, named) == (2, 2)
