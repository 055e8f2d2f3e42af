"""Named heads on one encoder: each a whole model of transformers whose base model is the shared one.

A stage of one head costs nothing: its model is that class as it stands, and its weights load as that class. Of several
heads the encoder is there once.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import nn

from ratio_hpo.core.fingerprint import integer_hash
from ratio_hpo.data.tasks import Head
from ratio_hpo.data.tasks.registry import ENCODER
from ratio_hpo.training.base_model import Base
from ratio_hpo.training.model import load_model


class SharedEncoder(nn.Module):
    """Heads by name on one encoder.

    Attributes:
        heads: whole models, whose base model is `encoder`; one that has no head of its own is the encoder.
        own: names of the tensors that each head's class has, without those that only others need of the encoder.
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
        """Outputs of a head, or of the encoder alone."""
        model = self.encoder if head is None else self.heads[head]
        return model(**inputs)

    def tensors(self) -> dict[str, torch.Tensor]:
        """Every tensor once, by name."""
        return {**dict(self.named_parameters()), **dict(self.named_buffers())}

    def layout(self, heads: Sequence[str]) -> dict[str, dict[str, torch.Tensor]]:
        """Tensors of some heads by file: of one head all in `model`; of several `encoder` and `head-<name>`.

        Names are those of the heads' own classes, so that a file, or two of them, load as such.
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
        """Parameters of some heads with the encoder, by a name that does not hang on which others there are."""
        if len(heads) == 1:
            own = self.own[heads[0]]
            return {name: p for name, p in self.heads[heads[0]].named_parameters() if name in own}
        wanted = tuple(f"heads.{head}." for head in heads)
        return {name: p for name, p in self.named_parameters() if name.startswith(("encoder.", *wanted))}

    def put(self, heads: Sequence[str], files: Mapping[str, Mapping[str, torch.Tensor]]) -> None:
        """Put tensors back that `layout` gave."""
        with torch.no_grad():
            for file, wanted in self.layout(heads).items():
                stored = files[file]
                for name, tensor in wanted.items():
                    tensor.copy_(stored[name])

    def _own_tensors(self, head: str) -> dict[str, torch.Tensor]:
        own = self.own[head]
        return {name: tensor for name, tensor in self.heads[head].state_dict().items() if name in own}


def load_heads(base: Base, heads: Sequence[Head], seed: int) -> SharedEncoder:
    """The base with its heads, in float32. What the base lacks is drawn from (seed, name of the head).

    Raises:
        ConfigError: it cannot be loaded.
        ResumeError: its files are no longer those that its identity names.
    """
    models = {
        head.name: load_model(base, head.auto_class, integer_hash("head", seed, head.name), _size_of(head))
        for head in heads
    }
    encoders = {head.name for head in heads if head.auto_class == ENCODER}  # which are read by token, not by pooler
    own = {
        name: frozenset(key for key in model.state_dict() if not (name in encoders and key.startswith("pooler.")))
        for name, model in models.items()
    }
    encoder = next(iter(models.values())).base_model if models else load_model(base, ENCODER, seed)
    if len(models) > 1 and any(_has_pooler(model.base_model) for model in models.values()):
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
    """Have heads that summarise a row by its last token take the first one: the last may be padding.

    So does RoFormer's multiple choice. The configuration says it too, so that kept weights load alike.
    """
    for module in model.modules():
        if getattr(module, "summary_type", None) == "last":
            module.summary_type = model.config.summary_type = "first"


def _size_of(head: Head) -> int | None:
    return len(head.labels) or None


def _has_pooler(encoder: Any) -> bool:
    return getattr(encoder, "pooler", None) is not None
