"""Exceptions of espressivo; all are subclasses of `EspressivoError`.

::

    EspressivoError
    |-- AudioError          a recording or an array cannot be read as audio
    |-- ModelError          a model folder is missing, altered or not one of ours
    |-- ProfileError        a speaker's profile is missing, damaged or of another model
    |-- CorpusError         a corpus is missing, incomplete or of another kind
    |-- SplitError          folds would leak, or cannot be made or read
    |-- ConfigError         a training or export configuration is wrong
    |-- TrainingError       a run cannot start, resume or finish
    |-- ExportError         an exported model would differ from the trained one
    |-- ServeError          the browser app or the API cannot be found, built or served
    |-- StateError          a saved stream is damaged, or of another model
    `-- ArchiveError        an archive cannot be read, started or resumed

Every message is one line with four parts: the object at fault, what was found, what was
expected, and the remedy.
"""


class EspressivoError(Exception):
    """Base class of all errors that espressivo raises on purpose."""


class AudioError(EspressivoError):
    """A recording or an array cannot be read as audio.

    Attributes:
        kind: Category of the fault in one or two words, used to count failures.
    """

    def __init__(self, message: str, kind: str = "unreadable") -> None:
        super().__init__(message)
        self.kind = kind


class ModelError(EspressivoError):
    """A model folder is missing, altered, or not one of ours."""


class ProfileError(EspressivoError):
    """A speaker's profile is missing, damaged, or of another model."""


class CorpusError(EspressivoError):
    """A corpus is missing, incomplete, or of another kind than configured."""


class SplitError(EspressivoError):
    """Folds would put a speaker into two parts, or cannot be computed or read."""


class ConfigError(EspressivoError):
    """A training or export configuration is wrong or cannot be applied."""


class TrainingError(EspressivoError):
    """A training run cannot start, resume or finish."""


class ExportError(EspressivoError):
    """An exported model would differ from the model that was trained."""


class ServeError(EspressivoError):
    """The browser app or the API cannot be found, built or served."""


class StateError(EspressivoError):
    """A saved stream is damaged, of another model, or of a later version."""


class ArchiveError(EspressivoError):
    """An archive cannot be listed, or its output folder not started or resumed."""
