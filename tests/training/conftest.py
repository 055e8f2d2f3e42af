"""A tiny real model on the embedded world, and a tiny random XLM-R with a tokenizer trained by these fixtures."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import torch

from ratio_hpo.data.examples import Question
from ratio_hpo.data.mixing import Mixture
from ratio_hpo.data.tasks import Head, Vocabulary, make_task
from ratio_hpo.data.tasks.qa import WindowSpec
from ratio_hpo.data.tokenise import write_windows
from ratio_hpo.data.windows import WindowSet, open_windows
from ratio_hpo.data.world import generate
from ratio_hpo.training.base_model import find_base
from ratio_hpo.training.engine import Engine
from ratio_hpo.training.evaluation import Evaluation, TaskWindows
from ratio_hpo.training.items import ItemStore
from ratio_hpo.training.loop import StageLoop, StagePoint
from ratio_hpo.training.model import load_tokenizer
from ratio_hpo.training.spec import EngineSpec, Target, TaskDesign
from ratio_hpo.training.stage import Stage
from ratio_hpo.training.store import StageStore

SETTINGS = WindowSpec(max_length=96, stride=32, max_answer=8)
HEAD = Head(name="qa", auto_class="AutoModelForQuestionAnswering")


class Lab:
    """An engine with two sources and an evaluation, ready to train stages."""

    def __init__(self, base_name: str, folder: Path, settings: EngineSpec | None = None) -> None:
        torch.set_num_threads(1)
        self.base = find_base(base_name)
        self.tokenizer, self.task = load_tokenizer(self.base), make_task("qa", SETTINGS)
        self.folder = folder
        self.sources = {lang: self.windows(generate(lang, "pool", 60, seed=0)) for lang in ("en", "ko")}
        held_out = {lang: generate(lang, "evaluation", 20, seed=0) for lang in ("en", "ko")}
        folders = {(lang, "validation"): self.windows(questions).folder for lang, questions in held_out.items()}
        target = Target(
            name="qa",
            task=TaskDesign(task="qa", settings=SETTINGS, head=HEAD),
            primary="f1",
            languages=("en", "ko"),
            folders=folders,
        )
        self.evaluation = Evaluation([target])
        self.engine = self.new_engine(settings)

    def new_engine(self, settings: EngineSpec | None = None) -> Engine:
        return Engine(self.base, [HEAD], settings or EngineSpec(), vocabulary=self.vocabulary, seed=0, device="cpu")

    @property
    def vocabulary(self) -> Vocabulary:
        types = "token_type_ids" in self.tokenizer.model_input_names
        return Vocabulary(pad=self.tokenizer.pad_token_id, token_types=types)

    @property
    def scored_on(self) -> str:
        """The fingerprint of the evaluation that scores every stage."""
        return self.evaluation.fingerprint(self.evaluation.targets)

    def windows(self, questions: list[Question]) -> WindowSet:
        identity = ["qa", SETTINGS.model_dump()]
        return open_windows(write_windows(questions, self.tokenizer, self.task, identity, self.folder))

    def spec(self, **changes: Any) -> Stage:
        sizes = {name: len(windows) for name, windows in self.sources.items()}
        values: dict[str, Any] = {
            "name": "stage", "heads": dict.fromkeys(self.sources, "qa"), "prints": {"qa": ["qa"]},
            "mixture": Mixture(shares={"en": 0.5, "ko": 0.5}, sizes=sizes),
            "data": dict.fromkeys(self.sources, "d"), "unit": "examples", "steps": 20, "batch_size": 8,
            "learning_rate": 1e-3, "schedule": "constant", "warmup": 4, "weight_decay": 0.01, "clip": 1.0, "seed": 0,
            "precision": "fp32", "parent": self.base.identity, "rungs": (5, 10, 20),
        }  # fmt: skip
        return Stage(**{**values, **changes})

    def loop(self, store: StageStore) -> StageLoop:
        """Return a loop that runs stages on the engine's weights and writes item scores next to the store."""
        return StageLoop(self.engine, store, ItemStore(store.root.parent / "items"), self.evaluation)

    def train(self, stage: Stage, store: StageStore, *, final: bool = True) -> Iterator[StagePoint]:
        """Train a stage on the engine's weights."""
        return self.loop(store).run(stage, self.trained(), final=final)

    def trained(self) -> dict[str, TaskWindows]:
        return {name: TaskWindows(windows, self.task, "qa") for name, windows in self.sources.items()}

    def weights(self) -> dict[str, torch.Tensor]:
        return {name: tensor.clone() for name, tensor in self.engine.model.heads["qa"].state_dict().items()}


@pytest.fixture(scope="session")
def lab(tmp_path_factory: pytest.TempPathFactory) -> Lab:
    return Lab("polyglot-base", tmp_path_factory.mktemp("lab"))


@pytest.fixture(scope="session")
def xlmr_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A random XLM-R with a few thousand parameters and a Unigram tokenizer built like that of XLM-R."""
    from tokenizers import Regex, Tokenizer, decoders, models, normalizers, pre_tokenizers, processors, trainers
    from transformers import PreTrainedTokenizerFast, XLMRobertaConfig, XLMRobertaForQuestionAnswering

    special = ["<s>", "<pad>", "</s>", "<unk>", "<mask>"]
    tokenizer = Tokenizer(models.Unigram())
    tokenizer.normalizer = normalizers.Sequence([normalizers.NFKC(), normalizers.Replace(Regex(" {2,}"), " ")])
    tokenizer.pre_tokenizer = pre_tokenizers.Metaspace()
    tokenizer.decoder = decoders.Metaspace()
    texts = [
        text
        for lang in ("en", "ru", "ko")
        for q in generate(lang, "pool", 150, seed=0)
        for text in (q.context, q.question)
    ]
    tokenizer.train_from_iterator(
        texts, trainers.UnigramTrainer(vocab_size=600, special_tokens=special, unk_token="<unk>", show_progress=False)
    )
    ids = [(name, tokenizer.token_to_id(name)) for name in ("<s>", "</s>")]
    tokenizer.post_processor = processors.TemplateProcessing(
        single="<s> $A </s>", pair="<s> $A </s> </s> $B </s>", special_tokens=ids
    )
    fast = PreTrainedTokenizerFast(
        tokenizer_object=tokenizer, bos_token="<s>", cls_token="<s>", eos_token="</s>", sep_token="</s>",
        pad_token="<pad>", unk_token="<unk>", mask_token="<mask>", model_input_names=["input_ids", "attention_mask"],
    )  # fmt: skip
    config = XLMRobertaConfig(
        vocab_size=len(fast), hidden_size=32, num_hidden_layers=1, num_attention_heads=2, intermediate_size=32,
        max_position_embeddings=130, type_vocab_size=1, pad_token_id=fast.pad_token_id,
    )  # fmt: skip
    folder = tmp_path_factory.mktemp("xlmr")
    fast.save_pretrained(folder)
    torch.manual_seed(0)
    XLMRobertaForQuestionAnswering(config).save_pretrained(folder)
    return folder


@pytest.fixture(scope="session")
def make_lab(tmp_path_factory: pytest.TempPathFactory) -> Callable[..., Lab]:
    return lambda base, settings=None: Lab(str(base), tmp_path_factory.mktemp("lab"), settings)
