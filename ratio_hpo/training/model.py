"""Loading of a base's tokenizer and models with transformers."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pickle import UnpicklingError
from typing import Any

from ratio_hpo.core.errors import ConfigError
from ratio_hpo.training.base_model import Base

AFTER_PADDING = frozenset(
    {"roberta", "xlm-roberta", "xlm-roberta-xl", "camembert", "longformer", "mpnet", "data2vec-text", "ibert", "xmod"}
)
"""Model types whose positions start after the padding index: XLM-R has 514 positions for 512 tokens."""


def load_tokenizer(base: Base, *, offline: bool = False) -> Any:
    """Load the fast tokenizer of a base.

    Args:
        base: base model.
        offline: use only local files.

    Raises:
        ConfigError: the tokenizer cannot be loaded, or is not a fast one.
    """
    from transformers import AutoTokenizer

    with _loading(base, "its tokenizer cannot be loaded"):
        tokenizer = _from_pretrained(AutoTokenizer, base, local_files_only=offline)
    if not tokenizer.is_fast:
        raise ConfigError(f"base: {base.name}: needs a fast tokenizer, for offsets; convert it to tokenizer.json")
    return tokenizer


def load_model(base: Base, auto_class: str, seed: int, num_labels: int | None = None) -> Any:
    """Load a base with a head, in float32; missing head weights are drawn from `seed`.

    Args:
        base: base model.
        auto_class: a class of transformers, such as `AutoModelForQuestionAnswering`.
        seed: seed of missing weights.
        num_labels: number of labels of the head; None: the default of the class.

    Raises:
        ConfigError: the model cannot be loaded.
        ResumeError: the files of the base no longer match its identity.
    """
    import torch
    import transformers
    from safetensors import SafetensorError

    base.check()
    torch.manual_seed(seed)
    labels = {} if num_labels is None else {"num_labels": num_labels, "ignore_mismatched_sizes": True}
    with _loading(base, "cannot be loaded", (RuntimeError, UnpicklingError, SafetensorError)):
        loader = getattr(transformers, auto_class)
        return _from_pretrained(loader, base, dtype=torch.float32, weights_only=True, **labels)


def most_positions(base: Base) -> int | None:
    """Return the longest window that the encoder supports, in tokens, or None if its configuration sets no limit.

    Raises:
        ConfigError: the configuration cannot be loaded.
    """
    from transformers import AutoConfig

    with _loading(base, "cannot be loaded"):
        config = _from_pretrained(AutoConfig, base)
    positions = getattr(config, "max_position_embeddings", None)
    if not isinstance(positions, int) or positions <= 0:
        return None
    first = (config.pad_token_id or 0) + 1 if config.model_type in AFTER_PADDING else 0
    return positions - first


@contextmanager
def _loading(
    base: Base, problem: str, errors: tuple[type[Exception], ...] = (ImportError, AttributeError)
) -> Iterator[None]:
    """Raise errors of transformers as `ConfigError`; silence its notes on missing heads and retries."""
    import huggingface_hub
    import transformers

    huggingface_hub.utils.logging.set_verbosity_error()
    transformers.utils.logging.set_verbosity_error()
    transformers.utils.logging.disable_progress_bar()
    try:
        yield
    except (OSError, ValueError, *errors) as error:
        reason = (str(error).strip().splitlines() or [type(error).__name__])[0][:160]
        raise ConfigError(f"base: {base.name}: {problem} ({reason}); {_remedy(base, error)}") from error


def _from_pretrained(loader: Any, base: Base, **options: Any) -> Any:
    revision = base.revision or "main"
    return loader.from_pretrained(base.location, revision=revision, trust_remote_code=base.trusted, **options)


def _remedy(base: Base, error: Exception) -> str:
    if "trust_remote_code" in str(error):
        return "it needs its custom code, which runs only with ⟨trust_remote_code⟩; read that code first"
    if base.revision is None:
        return "check the files in the folder"
    return "download it once with a network connection, or name a local folder"
