"""The tree of exceptions.

::

    EspressivoError
    |-- AudioError          a recording or an array cannot be read as audio
    |-- ModelError          a model folder is missing, altered or not one of ours
    |-- ProfileError        a speaker's profile is missing, damaged or of another model
    |-- CorpusError         a corpus is not where or what it was said to be
    |-- SplitError          folds would leak, or cannot be made or read
    |-- ConfigError         a training or export configuration is wrong
    |-- TrainingError       a run cannot start, resume or finish
    |-- ExportError         an exported model would not be the trained one
    |-- ServeError          the browser app or the API cannot be found, built or served
    |-- StateError          a saved stream is damaged, or of another model
    `-- ArchiveError        an archive cannot be read, begun or gone on with

Every message is one line: what, what was found, what was wanted, what to do.
"""


class EspressivoError(Exception):
    """Base of all errors that espressivo raises on purpose."""


class AudioError(EspressivoError):
    """A recording or an array cannot be read as audio.

    Attributes:
        kind: The kind of fault in a word or two, to count by.
    """

    def __init__(self, message: str, kind: str = "unreadable") -> None:
        super().__init__(message)
        self.kind = kind


class ModelError(EspressivoError):
    """A model folder is missing, altered, or not one of ours."""


class ProfileError(EspressivoError):
    """A speaker's profile is missing, damaged, or of another model."""


class CorpusError(EspressivoError):
    """A corpus is not where, or not what, it was said to be."""


class SplitError(EspressivoError):
    """Folds would put a speaker into two parts, or cannot be made or read."""


class ConfigError(EspressivoError):
    """A configuration file says something that cannot be done."""


class TrainingError(EspressivoError):
    """A training run cannot start, resume or finish."""


class ExportError(EspressivoError):
    """An exported model would not be the model that was trained."""


class ServeError(EspressivoError):
    """The browser app or the API cannot be found, built, or served there."""


class StateError(EspressivoError):
    """A saved stream is damaged, of another model, or of a later version."""


class ArchiveError(EspressivoError):
    """Many recordings cannot be listed, or their tables not begun or gone on with."""
