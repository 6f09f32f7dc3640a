"""Weights of a checkpoint: found and verified (`locate`), read without running anything, brought to the names of its
graph, and checked against the graph tensor by tensor."""

from .locate import Located, locate
from .tensors import Tensors, check, digest, fold_weight_norm, read_safetensors, rename

__all__ = ["Located", "Tensors", "check", "digest", "fold_weight_norm", "locate", "read_safetensors", "rename"]
