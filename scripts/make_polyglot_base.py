"""Train the embedded base model: a small RoFormer, pretrained by span selection on the generated world.

    python scripts/make_polyglot_base.py [--out FOLDER]

Each question is a statement of a fact with its value masked; the answer is the value in the passage. Training takes
half a minute on one core. The shipped base is fixed. Another seed changes the scores of single languages, so these
scores are not linguistic findings.
"""

from __future__ import annotations

import argparse
import tempfile
from pathlib import Path

import torch
from tokenizers import Tokenizer, decoders, models, normalizers, pre_tokenizers, processors, trainers
from transformers import PreTrainedTokenizerFast, RoFormerConfig, RoFormerForQuestionAnswering

from ratio_hpo.data.examples import Question
from ratio_hpo.data.mixing import Mixture
from ratio_hpo.data.tasks import Head, Vocabulary, make_task
from ratio_hpo.data.tasks.qa import WindowSpec
from ratio_hpo.data.tokenise import write_windows
from ratio_hpo.data.windows import open_windows
from ratio_hpo.data.world import LANGUAGES, generate, masked_statements
from ratio_hpo.training.base_model import EMBEDDED, find_base
from ratio_hpo.training.engine import Engine
from ratio_hpo.training.evaluation import Evaluation, TaskWindows
from ratio_hpo.training.items import ItemStore
from ratio_hpo.training.loop import StageLoop
from ratio_hpo.training.spec import EngineSpec, Target, TaskDesign
from ratio_hpo.training.stage import Stage
from ratio_hpo.training.store import StageStore

SPECIAL = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]
VOCABULARY = 1849
EXAMPLES, STEPS, BATCH, LEARNING_RATE, SEED = 14_000, 600, 32, 3e-3, 0


def train_tokenizer() -> PreTrainedTokenizerFast:
    """Train a WordPiece tokenizer on the generated text; it splits words where the script changes."""
    tokenizer = Tokenizer(models.WordPiece(unk_token="[UNK]"))
    tokenizer.normalizer = normalizers.NFC()
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
        [pre_tokenizers.BertPreTokenizer(), pre_tokenizers.UnicodeScripts()]
    )
    tokenizer.decoder = decoders.WordPiece()
    texts = [
        text
        for language in LANGUAGES
        for people in ("pretraining", "pool", "target", "evaluation")
        for question in generate(language, people, 400, seed=SEED)
        for text in (question.context, question.question)
    ]
    tokenizer.train_from_iterator(texts, trainers.WordPieceTrainer(vocab_size=VOCABULARY, special_tokens=SPECIAL))
    tokenizer.post_processor = processors.TemplateProcessing(
        single="[CLS] $A [SEP]",
        pair="[CLS] $A [SEP] $B:1 [SEP]:1",
        special_tokens=[(name, tokenizer.token_to_id(name)) for name in ("[CLS]", "[SEP]")],
    )
    return PreTrainedTokenizerFast(
        tokenizer_object=tokenizer,
        pad_token="[PAD]",
        unk_token="[UNK]",
        cls_token="[CLS]",
        sep_token="[SEP]",
        mask_token="[MASK]",
        model_max_length=128,
        model_input_names=["input_ids", "token_type_ids", "attention_mask"],
    )


def new_model(tokenizer: PreTrainedTokenizerFast) -> RoFormerForQuestionAnswering:
    """Create an untrained model of about 220 thousand parameters with relative (rotary) positions."""
    torch.manual_seed(SEED)
    config = RoFormerConfig(
        vocab_size=len(tokenizer),
        embedding_size=64,
        hidden_size=64,
        num_hidden_layers=3,
        num_attention_heads=4,
        intermediate_size=128,
        max_position_embeddings=128,
        initializer_range=0.1,
        hidden_dropout_prob=0.0,
        attention_probs_dropout_prob=0.0,
        pad_token_id=tokenizer.pad_token_id,
    )
    return RoFormerForQuestionAnswering(config)


def pretraining_questions() -> list[Question]:
    """Generate the same number of masked statements in each language."""
    number = EXAMPLES // len(LANGUAGES)
    return [q for language in LANGUAGES for q in masked_statements(language, number, seed=SEED, mask="[MASK]")]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--out", type=Path, default=EMBEDDED["polyglot-base"])
    out = parser.parse_args().out
    with tempfile.TemporaryDirectory() as name:
        scratch = Path(name)
        tokenizer, settings = train_tokenizer(), WindowSpec(max_length=96, stride=32)
        task, identity = make_task("qa", settings), ["qa", settings.model_dump()]
        tokenizer.save_pretrained(scratch / "untrained")
        new_model(tokenizer).save_pretrained(scratch / "untrained")
        base = find_base(str(scratch / "untrained"))
        windows = open_windows(write_windows(pretraining_questions(), tokenizer, task, identity, scratch))
        held_out = {
            (language, "validation"): str(
                write_windows(generate(language, "target", 50, seed=1), tokenizer, task, identity, scratch)
            )
            for language in LANGUAGES
        }
        head = Head(name="qa", auto_class="AutoModelForQuestionAnswering")
        vocabulary = Vocabulary(pad=tokenizer.pad_token_id, token_types=True)
        engine = Engine(base, [head], EngineSpec(), vocabulary=vocabulary, seed=SEED, device="cpu")
        spec = Stage(
            name="pretraining", heads={"world": "qa"}, prints={"qa": ["qa"]},
            mixture=Mixture(shares={"world": 1.0}, sizes={"world": len(windows)}),
            data={"world": "generated"}, unit="examples", steps=STEPS, batch_size=BATCH, learning_rate=LEARNING_RATE,
            schedule="wsd", warmup=20, weight_decay=0.01, clip=1.0, seed=SEED, precision="fp32", parent=base.identity,
        )  # fmt: skip
        target = Target(
            name="qa",
            task=TaskDesign(task="qa", settings=settings, head=head),
            primary="f1",
            languages=tuple(LANGUAGES),
            folders=held_out,
        )
        evaluation = Evaluation([target])
        print(f"{engine.num_parameters:,} parameters, {len(tokenizer):,} tokens, {len(windows):,} windows")
        loop = StageLoop(engine, StageStore(scratch / "store"), ItemStore(scratch / "items"), evaluation)
        for point in loop.run(spec, {"world": TaskWindows(windows, task, "qa")}, final=True):
            print(f"step {point.step}: loss {point.measures['loss']:.3f}, mean F1 {point.scores.get('f1/mean', 0):.3f}")
        engine.model.heads["qa"].save_pretrained(out)  # type: ignore[operator,union-attr]
        tokenizer.save_pretrained(out)


if __name__ == "__main__":
    main()
