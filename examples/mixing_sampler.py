"""Use only the mixture sampler, in your own PyTorch DataLoader: stop at any batch and resume with the next one."""

import torch
from torch.utils.data import DataLoader, TensorDataset

from ratio_hpo.integrations.torch import MixtureBatchSampler, concatenate, sizes_of

SHARES, BATCH, STEPS = {"en": 0.5, "fi": 0.2, "sw": 0.3}, 32, 100


def sources() -> dict[str, TensorDataset]:
    """Create examples that hold their language and their index, to show what is drawn."""
    sizes = {"en": 3000, "fi": 200, "sw": 120}
    return {
        name: TensorDataset(torch.full((size,), k), torch.arange(size)) for k, (name, size) in enumerate(sizes.items())
    }


def batches(step: int = 0, workers: int = 0) -> list[tuple[torch.Tensor, torch.Tensor]]:
    """Return all batches from this step on."""
    data = sources()
    sampler = MixtureBatchSampler(sizes_of(data), SHARES, draws=STEPS * BATCH, seed=0, start=step * BATCH)
    return [tuple(batch) for batch in DataLoader(concatenate(data), BATCH, sampler=sampler, num_workers=workers)]


def main() -> None:
    whole = batches()
    resumed = batches(step=37, workers=2)
    same = all(torch.equal(a[1], b[1]) for a, b in zip(whole[37:], resumed, strict=True))
    print(f"{len(resumed)} batches after step 37, with two workers: {'the same' if same else 'NOT the same'}")
    drawn = torch.cat([languages for languages, _ in whole])
    for k, name in enumerate(SHARES):
        print(f"{name}: asked for {SHARES[name]:.3f}, drew {(drawn == k).float().mean():.4f}")


if __name__ == "__main__":
    main()
