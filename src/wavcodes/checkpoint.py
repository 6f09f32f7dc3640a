"""A set of weights and the network that they belong to."""

import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from . import graph, weights
from .spec import CodecSpec, WeightSource


@dataclass(frozen=True)
class Checkpoint:
    """One published set of weights and the network that they belong to.

    Attributes:
        spec: Its facts.
        network: Builds its graph.
        tensors: Reads its files, in the order of `spec.weights.files`, into tensors under the names of the graph; what
            is missing or misshapen is for `weights.check` to find.
        language_model: Weights of the model that predicts its codes (see `wavcodes.language_model`), or None.
    """

    spec: CodecSpec
    network: Callable[[], graph.Network]
    tensors: Callable[[tuple[Path, ...]], weights.Tensors]
    language_model: WeightSource | None = None

    def load(self, source: str | os.PathLike[str] | None = None) -> weights.Checked:
        """All tensors of the graph, by their names.

        Args:
            source: Where its files are, if not where `spec` says; see `weights.locate`.

        Raises:
            ModelError: They are missing, unreachable, damaged, or not those of this network.
            ResourceError: A file cannot be read or a cache cannot be written.
        """
        paths = tuple(located.path for located in weights.locate(self.spec, source))
        names = ", ".join(path.name for path in paths)
        return weights.check(self.tensors(paths), graph.tensor_shapes(self.network()), names)
