"""Compare the engine with a plain torch loop on the same model and batches; time several trials on one device.

    python benchmarks/training.py [--steps 60] [--device cpu|cuda] [--shape polyglot|xlmr-large] [--sharing 4]
    python benchmarks/training.py --tydiqa DATA [--micro-batch 4]

Prints the examples per second of both and their ratio (median over alternating pairs), and whether a resumed stage
equals an uninterrupted one on this device. On CUDA both use bf16 autocast and fused AdamW. With --tydiqa, it compares
whole batches with micro-batches of windows of similar length instead, on TyDiQA's English training file.
"""

from __future__ import annotations

import argparse
import statistics
import tempfile
import time
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from pathlib import Path

import torch

from ratio_hpo.data.formats import read_file
from ratio_hpo.data.mixing import Mixture, MixtureStream
from ratio_hpo.data.tasks import Drawn, Head, Vocabulary, make_task
from ratio_hpo.data.tasks.qa import WindowSpec
from ratio_hpo.data.tokenise import write_windows
from ratio_hpo.data.windows import WindowSet, open_windows
from ratio_hpo.data.world import generate
from ratio_hpo.training.base_model import find_base
from ratio_hpo.training.checkpoint import StageMetrics
from ratio_hpo.training.engine import Engine
from ratio_hpo.training.evaluation import Evaluation, TaskWindows
from ratio_hpo.training.items import ItemStore
from ratio_hpo.training.loop import StageLoop, StagePoint
from ratio_hpo.training.model import load_tokenizer
from ratio_hpo.training.spec import EngineSpec, Target, TaskDesign
from ratio_hpo.training.stage import Stage
from ratio_hpo.training.store import StageStore

HEAD = Head(name="qa", auto_class="AutoModelForQuestionAnswering")
XLMR_LARGE = {"hidden_size": 1024, "num_hidden_layers": 24, "num_attention_heads": 16, "intermediate_size": 4096}


def make_base(shape: str, folder: Path) -> str:
    """Load the embedded base, or create a random model of the size of XLM-R Large with the embedded tokenizer."""
    if shape == "polyglot":
        return "polyglot-base"
    from transformers import XLMRobertaConfig, XLMRobertaForQuestionAnswering

    tokenizer = load_tokenizer(find_base("polyglot-base"))
    config = XLMRobertaConfig(
        vocab_size=250_002, max_position_embeddings=514, type_vocab_size=2, pad_token_id=0, **XLMR_LARGE
    )
    torch.manual_seed(0)
    XLMRobertaForQuestionAnswering(config).save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return str(folder)


class Bench:
    """The model, windows and batches that both loops share."""

    def __init__(self, base_name: str, folder: Path, device: str, batch_size: int, steps: int) -> None:
        settings = WindowSpec(max_length=96, stride=32)
        self.base, self.task = find_base(base_name), make_task("qa", settings)
        self.steps, self.batch_size = steps, batch_size
        tokenizer, identity = load_tokenizer(self.base), ["qa", settings.model_dump()]
        questions = generate("en", "pool", 2000, seed=0)
        self.windows: WindowSet = open_windows(write_windows(questions, tokenizer, self.task, identity, folder))
        held_out = write_windows(generate("en", "evaluation", 20, seed=0), tokenizer, self.task, identity, folder)
        target = Target(
            name="qa", task=TaskDesign(task="qa", settings=settings, head=HEAD), primary="f1", languages=("en",),
            folders={("en", "validation"): str(held_out)},
        )  # fmt: skip
        self.evaluation = Evaluation([target])
        self.vocabulary = Vocabulary(pad=tokenizer.pad_token_id, token_types=True)
        self.engine = Engine(self.base, [HEAD], EngineSpec(), vocabulary=self.vocabulary, seed=0, device=device)
        self.mixture = Mixture(shares={"en": 1.0}, sizes={"en": len(self.windows)})

    def spec(self, seed: int, steps: int | None = None) -> Stage:
        return Stage(
            name="bench", heads={"en": "qa"}, prints={"qa": ["qa"]}, mixture=self.mixture, data={"en": "generated"},
            unit="examples",
            steps=steps or self.steps, batch_size=self.batch_size, learning_rate=1e-4, schedule="constant", warmup=5,
            weight_decay=0.01, clip=1.0, seed=seed, precision=self.engine.precision, parent=self.base.identity,
        )  # fmt: skip

    def train(self, stage: Stage, store: StageStore) -> list[StagePoint]:
        loop = StageLoop(self.engine, store, ItemStore(store.root / "items"), self.evaluation)
        return list(loop.run(stage, {"en": TaskWindows(self.windows, self.task, "qa")}, final=False))

    def engine_rate(self, store: StageStore, seed: int) -> float:
        """Return the examples per second of the engine's training steps."""
        self.engine.reset()
        points = self.train(self.spec(seed), store)
        return points[-1].measures["examples_per_second"]

    def bare_rate(self, seed: int) -> float:
        """Return the examples per second of a plain loop with the same batches, loss, clipping and optimiser."""
        self.engine.reset()
        model, device = self.engine.model.heads["qa"], self.engine.accelerator.device
        optimizer = torch.optim.AdamW(model.parameters(), lr=1e-4, weight_decay=0.01, fused=device.type == "cuda")
        stream = MixtureStream(self.mixture, seed)
        model.train()
        began = time.monotonic()
        for step in range(self.steps):
            _, indices = stream.take(step * self.batch_size, (step + 1) * self.batch_size)
            batch = self.task.collate([Drawn(self.windows, int(k)) for k in indices], self.vocabulary)
            batch = {key: value.to(device) for key, value in batch.items()}
            with torch.autocast(device.type, torch.bfloat16, enabled=self.engine.precision == "bf16"):
                outputs = model(**self.task.inputs(batch))
            loss = self.task.loss(outputs, batch).mean()
            loss.backward()
            torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
            optimizer.step()
            optimizer.zero_grad(set_to_none=True)
            loss.item()
        return self.steps * self.batch_size / (time.monotonic() - began)

    def resumes_exactly(self, folder: Path) -> bool:
        """Whether a stage that is stopped half-way and resumed gives bit-identical weights."""
        results = []
        for stops in ((20,), (10, 20)):
            store = StageStore(folder / f"resume{len(stops)}")
            for steps in stops:
                self.engine.reset()
                spec = self.spec(99, steps)
                self.train(spec, store)
            results.append({name: tensor.clone() for name, tensor in self.engine.model.state_dict().items()})
        return all(torch.equal(results[0][name], results[1][name]) for name in results[0])


def compare_padding(base_name: str, data: Path, device: str, micro_batch: int, pairs: int, steps: int) -> None:
    """Return the examples per second of whole batches and of micro-batches of similar length, on real passages."""
    settings = WindowSpec()
    base, task = find_base(base_name), make_task("qa", settings)
    tokenizer = load_tokenizer(base)
    questions, _ = read_file("squad", data / "tydiqa_goldp" / "train.sw.json")
    with tempfile.TemporaryDirectory() as folder:
        identity = ["qa", settings.model_dump()]
        windows = open_windows(write_windows(questions, tokenizer, task, identity, Path(folder)))
        stream_of = Mixture(shares={"sw": 1.0}, sizes={"sw": len(windows)})
        types = "token_type_ids" in tokenizer.model_input_names
        engines = [
            Engine(
                base, [HEAD], EngineSpec(micro_batch=size),
                vocabulary=Vocabulary(pad=tokenizer.pad_token_id, token_types=types), seed=0, device=device,
            )
            for size in (None, micro_batch)
        ]  # fmt: skip
        spec = Stage(
            name="bench", heads={"sw": "qa"}, prints={"qa": ["qa"]}, mixture=stream_of, data={"sw": "d"},
            unit="examples", steps=steps, batch_size=32, learning_rate=1e-5, schedule="constant", warmup=1,
            weight_decay=0.01, clip=1.0, seed=0, precision="fp32", parent=base.identity,
        )  # fmt: skip
        rates: list[list[float]] = [[], []]
        for pair in range(pairs):
            for k, engine in enumerate(engines):
                optimizer, stream = engine.optimizer(spec), MixtureStream(stream_of, 0)
                began = time.monotonic()
                for step in range(pair * steps, (pair + 1) * steps):
                    engine.step(spec, step, stream, {"sw": TaskWindows(windows, task, "qa")}, optimizer, StageMetrics())
                rates[k].append(steps * spec.batch_size / (time.monotonic() - began))
    whole, sorted_ = (statistics.median(rate) for rate in rates)
    ratio = statistics.median(b / a for a, b in zip(*rates, strict=True))
    print(
        f"whole batches {whole:.2f} examples/s, micro-batches of {micro_batch} of similar length {sorted_:.2f}: "
        f"{ratio:.2f}x"
    )


def share(job: tuple[str, int, int, int]) -> float:
    """Return the examples per second of one of several trials that share a device."""
    device, batch_size, steps, seed = job
    with tempfile.TemporaryDirectory() as name:
        bench = Bench("polyglot-base", Path(name), device, batch_size, steps)
        bench.engine_rate(StageStore(Path(name) / "warm"), 1000 + seed)
        return bench.engine_rate(StageStore(Path(name) / "store"), seed)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--steps", type=int, default=60)
    parser.add_argument("--batch-size", type=int, default=32)
    parser.add_argument("--pairs", type=int, default=5)
    parser.add_argument("--device", default="cuda" if torch.cuda.is_available() else "cpu")
    parser.add_argument("--shape", choices=["polyglot", "xlmr-large"], default="polyglot")
    parser.add_argument("--sharing", type=int, default=0, help="also train this many small trials at once")
    parser.add_argument("--tydiqa", type=Path, help="data folder: compare whole batches and micro-batches on TyDiQA")
    parser.add_argument("--base", default="minilm", help="base model for --tydiqa")
    parser.add_argument("--micro-batch", type=int, default=4, help="micro-batch size for --tydiqa")
    asked = parser.parse_args()
    if asked.tydiqa:
        compare_padding(asked.base, asked.tydiqa, asked.device, asked.micro_batch, asked.pairs, min(asked.steps, 4))
        return
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        bench = Bench(make_base(asked.shape, folder / "base"), folder, asked.device, asked.batch_size, asked.steps)
        bench.bare_rate(seed=1000)
        pairs = [
            (bench.engine_rate(StageStore(folder / f"store{k}"), k), bench.bare_rate(k)) for k in range(asked.pairs)
        ]
        engine, bare = (statistics.median(column) for column in zip(*pairs, strict=True))
        ratio = statistics.median(a / b for a, b in pairs)
        print(f"{asked.shape} on {asked.device}, {bench.engine.precision}, batch {asked.batch_size}:")
        print(f"engine {engine:,.0f} examples/s, plain loop {bare:,.0f} examples/s, ratio {ratio:.3f}")
        print(f"a resumed stage equals an uninterrupted one: {bench.resumes_exactly(folder)}")
    for number in [1, asked.sharing] if asked.sharing else []:
        with ProcessPoolExecutor(number, mp_context=get_context("spawn")) as pool:
            rates = list(pool.map(share, [(asked.device, asked.batch_size, asked.steps, k) for k in range(number)]))
        print(f"{number} small trial(s) at once: {sum(rates):,.0f} examples/s in total")


if __name__ == "__main__":
    main()
