"""Weights of a checkpoint: found and verified (`locate`), read without running anything, brought to the names of its
graph, and checked against the graph tensor by tensor."""

from .formats import read
from .locate import Located, locate
from .safetensors_file import read_safetensors
from .tensors import Checked, Deferred, Tensors, check, digest, fold_weight_norm, rename, squeeze

__all__ = [
    "Checked",
    "Deferred",
    "Located",
    "Tensors",
    "check",
    "digest",
    "fold_weight_norm",
    "locate",
    "read",
    "read_safetensors",
    "rename",
    "squeeze",
]
