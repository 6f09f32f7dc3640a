"""Several processes that train one codec, each on its share of every batch; `torchrun` starts them."""

from __future__ import annotations

import os
from collections.abc import Sequence

import torch
import torch.distributed as dist
from torch import Tensor


class Peers:
    """The processes of a run; only this one, unless `torchrun` has started it.

    Attributes:
        count: How many there are.
        rank: Which one this is, from 0; the first one keeps the run's folder.
        share: Its clips of a batch.
    """

    def __init__(self, device: torch.device) -> None:
        self.count = int(os.environ.get("WORLD_SIZE", "1"))
        self.rank = int(os.environ.get("RANK", "0"))
        self.share = slice(self.rank, None, self.count)
        if self.count > 1 and not dist.is_initialized():
            dist.init_process_group("nccl" if device.type == "cuda" else "gloo")

    def average(self, tensors: Sequence[Tensor]) -> None:
        """Replaces each tensor by its mean over all processes."""
        if self.count > 1:
            together = torch.cat([each.flatten() for each in tensors])
            dist.all_reduce(together)
            parts = together.div_(self.count).split([each.numel() for each in tensors])
            for tensor, part in zip(tensors, parts, strict=True):
                tensor.copy_(part.view_as(tensor))

    def agree(self, tensor: Tensor) -> None:
        """Replaces it by that of the first process."""
        if self.count > 1:
            dist.broadcast(tensor, 0)
