"""Named heads on a shared encoder. Each head is a complete transformers model whose base model is the shared encoder.

With one head, the model is an ordinary transformers class, and its weights load as that class. With several heads, the
encoder exists once.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import nn

from ratio_hpo.core.fingerprint import integer_hash
from ratio_hpo.data.tasks import Head
from ratio_hpo.data.tasks.base import ENCODER
from ratio_hpo.training.base_model import Base
from ratio_hpo.training.model import load_model


class SharedEncoder(nn.Module):
    """Named heads on one encoder.

    Attributes:
        encoder: shared encoder.
        heads: complete models whose base model is `encoder`; a head without layers of its own class is the encoder.
        own: names of each head's tensors, without encoder tensors that only other heads use.
    """

    encoder: Any
    heads: nn.ModuleDict
    own: Mapping[str, frozenset[str]]

    def __init__(self, encoder: Any, heads: Mapping[str, Any], own: Mapping[str, frozenset[str]]) -> None:
        super().__init__()
        self.encoder = encoder
        self.heads = nn.ModuleDict(heads)
        self.own = own

    def forward(self, head: str | None, **inputs: Any) -> Any:
        """Return the outputs of a head, or of the encoder if `head` is None."""
        model = self.encoder if head is None else self.heads[head]
        return model(**inputs)

    def tensors(self) -> dict[str, torch.Tensor]:
        """Return every tensor once, by name."""
        return {**dict(self.named_parameters()), **dict(self.named_buffers())}

    def layout(self, heads: Sequence[str]) -> dict[str, dict[str, torch.Tensor]]:
        """Return the tensors of some heads by file: `model` for one head; `encoder` and `head-<name>` for several.

        Tensor names are those of the heads' classes, so that transformers can load the files.
        """
        if len(heads) == 1:
            return {"model": self._own_tensors(heads[0])}
        prefix = self.heads[heads[0]].base_model_prefix
        files = {"encoder": {f"{prefix}.{name}": tensor for name, tensor in self.encoder.state_dict().items()}}
        for head in heads:
            of_encoder = "" if self.heads[head] is self.encoder else f"{prefix}."
            files[f"head-{head}"] = {
                name: tensor for name, tensor in self._own_tensors(head).items() if not name.startswith(of_encoder)
            }
        return files

    def names(self, heads: Sequence[str]) -> dict[str, nn.Parameter]:
        """Return the parameters of some heads and the encoder, by names that do not depend on other heads."""
        if len(heads) == 1:
            own = self.own[heads[0]]
            return {name: p for name, p in self.heads[heads[0]].named_parameters() if name in own}
        prefixes = tuple(f"heads.{head}." for head in heads)
        return {name: p for name, p in self.named_parameters() if name.startswith(("encoder.", *prefixes))}

    def put(self, heads: Sequence[str], files: Mapping[str, Mapping[str, torch.Tensor]]) -> None:
        """Restore tensors in the form that `layout` returns."""
        with torch.no_grad():
            for file, tensors in self.layout(heads).items():
                stored = files[file]
                for name, tensor in tensors.items():
                    tensor.copy_(stored[name])

    def _own_tensors(self, head: str) -> dict[str, torch.Tensor]:
        own = self.own[head]
        return {name: tensor for name, tensor in self.heads[head].state_dict().items() if name in own}


def load_heads(base: Base, heads: Sequence[Head], seed: int) -> SharedEncoder:
    """Load the base model with its heads, in float32. Missing head weights are drawn from (seed, name of the head).

    Raises:
        ConfigError: the base cannot be loaded.
        ResumeError: the files of the base no longer match its identity.
    """
    models = {
        head.name: load_model(base, head.auto_class, integer_hash("head", seed, head.name), len(head.labels) or None)
        for head in heads
    }
    # these heads use token outputs, not the pooler
    encoders = {head.name for head in heads if head.auto_class == ENCODER}
    own = {
        name: frozenset(key for key in model.state_dict() if not (name in encoders and key.startswith("pooler.")))
        for name, model in models.items()
    }
    encoder = next(iter(models.values())).base_model if models else load_model(base, ENCODER, seed)
    if len(models) > 1 and any(getattr(model.base_model, "pooler", None) is not None for model in models.values()):
        encoder = load_model(base, ENCODER, integer_hash("pooler", seed))
    for head in heads:
        model = models[head.name]
        if head.auto_class == ENCODER:
            models[head.name] = encoder
            continue
        _read_first_token(model)
        setattr(model, model.base_model_prefix, encoder)
        model.tie_weights()
    return SharedEncoder(encoder, models, own)


def _read_first_token(model: Any) -> None:
    """Make heads that summarise a row by its last token use the first one, since the last may be padding.

    RoFormer's multiple choice is such a head. The configuration is changed too, so that kept weights load the same way.
    """
    for module in model.modules():
        if getattr(module, "summary_type", None) == "last":
            module.summary_type = model.config.summary_type = "first"
