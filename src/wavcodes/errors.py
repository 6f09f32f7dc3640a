"""Every error that the package raises on purpose, as one tree.

    CodecError
    ├── InputError          audio, codes or arguments that a caller passed
    ├── FormatError         a file that is not what its reader expects
    │   ├── TruncatedError  ... because it ends too early
    │   └── IntegrityError  ... because a checksum or digest disagrees
    ├── LimitError          a file that asks for more than the limits allow
    ├── UnsupportedError    something valid that this build or machine cannot do
    ├── ModelError          weights that are missing, wrong or unreachable
    │   └── DownloadError   ... because a hub or the network does not give them
    ├── EngineError         a computation that failed although its input was valid
    └── ResourceError       no memory, no space, no permission

A message says what was expected, what came and what to do.
"""


class CodecError(Exception):
    """Base of all errors of this package."""


class InputError(CodecError, ValueError):
    """Audio, codes or an argument is outside what the codec accepts."""


class FormatError(CodecError):
    """A file does not have the layout that its format prescribes."""


class TruncatedError(FormatError):
    """A file ends before the data that it announces."""


class IntegrityError(FormatError):
    """A checksum or digest of a file does not match its contents."""


class LimitError(CodecError):
    """A file claims more than this package is willing to produce."""


class UnsupportedError(CodecError):
    """A valid request that this version, build or machine cannot serve."""


class ModelError(CodecError):
    """Weights are missing, unreachable, of the wrong hash or of the wrong shapes."""


class DownloadError(ModelError):
    """Weights cannot be fetched: a hub or server refuses, lacks them, or cannot be reached."""


class EngineError(CodecError):
    """A computation failed although its input was valid: a defect of this package, or weights that hold no model."""


class ResourceError(CodecError):
    """The machine refuses memory, disk space or permission."""
