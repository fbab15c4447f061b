"""Loading of utterances as preprocessed clips, with a cache on disk."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from espressivo.audio.parallel import map_recordings
from espressivo.audio.recording import load_audio
from espressivo.batch.selection import SUFFIXES
from espressivo.errors import AudioError, CorpusError, TrainingError
from espressivo.training.clips.arrays import load_array, save_array
from espressivo.training.clips.preprocess import condition, trim
from espressivo.training.config import LEFT_OUT
from espressivo.training.corpora.utterance import Utterance
from espressivo.types import Emotion, Unreadable

if TYPE_CHECKING:
    from collections.abc import Sequence

    from espressivo.training.config import ExperimentConfig, SignalConfig
    from espressivo.types import Progress, Signal


@dataclass(frozen=True, slots=True, eq=False)
class LoadedClip:
    """An utterance with its preprocessed signal, in memory or in the cache.

    Attributes:
        utterance: The utterance.
        source: The signal, or the file that caches it.
        n_samples: Length of the signal.
        digest: Hash of the recording's bytes and of the preprocessing.
    """

    utterance: Utterance
    source: Signal | Path
    n_samples: int
    digest: str

    @property
    def signal(self) -> Signal:
        """The signal, 16 kHz mono, trimmed; read from the cache on each access.

        Callers must not modify it.
        """
        # Not mapped: each map holds a file open, and many systems allow only 1,024.
        source = self.source
        return load_array(source) if isinstance(source, Path) else source


def load_clips(
    utterances: Sequence[Utterance],
    config: SignalConfig,
    cache: Path | None = None,
    on_loaded: Progress | None = None,
) -> tuple[list[LoadedClip], list[Unreadable]]:
    """Return all utterances as 16 kHz clips with silence trimmed at both ends.

    Args:
        utterances: The utterances to read.
        config: Settings of the preprocessing.
        cache: Folder that caches the signals under a hash of the recording's bytes, so
            that a changed recording is read again. None disables the cache.
        on_loaded: Callback after each utterance; it receives the number of finished
            utterances and the total.

    Returns:
        The clips in the order of the utterances, and the unreadable recordings.
    """
    clips: list[LoadedClip] = []
    unreadable: list[Unreadable] = []
    load = partial(_try_load, config=config, cache=cache)
    for clip in map_recordings(load, utterances, on_loaded):
        if isinstance(clip, LoadedClip):
            clips.append(clip)
        else:
            unreadable.append(clip)
    return clips, unreadable


def load_target(
    config: ExperimentConfig,
    clips: Sequence[LoadedClip],
    left_out: Sequence[LoadedClip] = (),
    cache: Path | None = None,
) -> list[LoadedClip]:
    """Return the recordings of `adaptation.target`; empty without a target.

    Their labels mean nothing: a folder's recordings have none, and are given one that
    nothing reads.

    Args:
        config: The configuration.
        clips: Clips that are trained on.
        left_out: Clips of the corpus or part that is left out.
        cache: Folder that caches the signals.

    Raises:
        TrainingError: Nothing is left out, or a recording of the target is trained on.
        CorpusError: There is no such corpus or folder, it holds no recordings, or one
            cannot be read.
    """
    name = config.adaptation.target
    if not name:
        return []
    target = list(left_out) if name == LEFT_OUT else _load_folder(config, cache)
    if not target:
        raise TrainingError(
            f"adaptation.target is '{LEFT_OUT}', but nothing is left out; pass "
            "--leave-out CORPUS, or name a corpus or a folder of recordings"
        )
    known = {clip.digest for clip in clips}
    if shared := [clip for clip in target if clip.digest in known]:
        raise TrainingError(
            f"adaptation.target is '{name}', but {len(shared)} of its recordings are "
            f"trained on with their labels, such as {shared[0].utterance.path}; leave "
            f"them out (train --leave-out CORPUS), or set it to '{LEFT_OUT}'"
        )
    return target


def _load_folder(config: ExperimentConfig, cache: Path | None) -> list[LoadedClip]:
    name = config.adaptation.target
    folder = config.corpora.get(name, Path(name))
    if not folder.is_dir():
        raise CorpusError(
            f"adaptation.target: there is no folder {folder}, and no corpus of that "
            f"name (the file has: {', '.join(config.corpora) or 'none'})"
        )
    corpus = folder.name if folder == Path(name) else name
    try:
        return load_unlabelled(folder, corpus, config.signal, cache)
    except CorpusError as error:
        raise CorpusError(f"adaptation.target: {error}") from error


def unlabelled_utterances(folder: Path, corpus: str) -> list[Utterance]:
    """Return all recordings of a folder as utterances of one speaker without a label.

    Args:
        folder: Searched with all folders in it.
        corpus: Name under which the recordings are known.

    Raises:
        CorpusError: There is no such folder, or it holds no recordings.
    """
    if not folder.is_dir():
        raise CorpusError(f"{folder}: no such folder; pass one that holds recordings")
    utterances = [
        Utterance(
            f"{corpus}/{path.relative_to(folder).as_posix()}",
            path,
            speaker=corpus,
            session=corpus,
            emotion=Emotion.NEUTRAL,  # read by nothing
            corpus=corpus,
        )
        for path in sorted(folder.rglob("*"))
        if path.suffix.lower() in SUFFIXES and not path.name.startswith(".")
    ]
    if not utterances:
        raise CorpusError(f"{folder} holds no recordings")
    return utterances


def load_unlabelled(
    folder: Path, corpus: str, config: SignalConfig, cache: Path | None = None
) -> list[LoadedClip]:
    """Return the recordings of `unlabelled_utterances` as clips.

    Args:
        folder: Searched with all folders in it.
        corpus: Name under which the clips are known.
        config: Preprocessing.
        cache: Folder that caches the signals.

    Raises:
        CorpusError: There is no such folder, it holds no recordings, or one cannot be
            read.
    """
    utterances = unlabelled_utterances(folder, corpus)
    clips, unreadable = load_clips(utterances, config, cache)
    if unreadable:
        raise CorpusError(
            f"{len(unreadable)} recordings cannot be read, the first being "
            f"{unreadable[0].reason}; restore or remove them"
        )
    return clips


def load_signals(utterances: Sequence[Utterance], config: SignalConfig) -> list[Signal]:
    """Return the preprocessed signals of all utterances, without a cache.

    Raises:
        CorpusError: A recording cannot be read.
    """
    clips, unreadable = load_clips(utterances, config)
    require_readable(unreadable)
    return [clip.signal for clip in clips]


def require_readable(unreadable: Sequence[Unreadable]) -> None:
    """Raise an error if any recording could not be read.

    Raises:
        CorpusError: `unreadable` is not empty.
    """
    if unreadable:
        first = unreadable[0]
        raise CorpusError(
            f"{len(unreadable)} of the recordings cannot be read, the first being "
            f"{first.id}: {first.reason}; restore them, or pass "
            "--skip-unreadable to go on without (every table will count them)"
        )


def _try_load(
    utterance: Utterance, config: SignalConfig, cache: Path | None
) -> LoadedClip | Unreadable:
    try:
        return _load(utterance, config, cache)
    except AudioError as error:
        reason = str(error).removeprefix(f"{utterance.path}: ")
        return Unreadable(utterance.id, utterance.path, f"{utterance.path}: {reason}")


def _load(utterance: Utterance, config: SignalConfig, cache: Path | None) -> LoadedClip:
    try:
        content = hashlib.sha256(utterance.path.read_bytes()).hexdigest()
    except OSError as error:
        raise AudioError(f"{utterance.path}: {error.strerror}; restore it") from error
    # The key hashes the bytes rather than name and time, so that a copy of a corpus
    # shares the cache. The decoder's version is left out: Opus, FLAC and WAV decode to
    # the same samples with PyAV 17.1, 18.1 and 19.0.
    settings = f"{config.trim_db:g}"
    if config.pre_emphasis or config.peak:
        settings += f"-{config.pre_emphasis:g}-{config.peak:g}"
    digest = hashlib.sha256(f"{content}-{settings}".encode()).hexdigest()
    if cache is None:
        signal = _prepare(utterance.path, config)
        return LoadedClip(utterance, signal, len(signal), digest)
    cached = cache / content[:2] / f"{content[:32]}-{settings}.npy"
    if not cached.is_file():
        save_array(_prepare(utterance.path, config), cached)
    n_samples = len(load_array(cached, mapped=True))
    return LoadedClip(utterance, cached, n_samples, digest)


def _prepare(path: Path, config: SignalConfig) -> Signal:
    signal = trim(load_audio(path), config.trim_db)
    if len(signal) == 0:
        raise AudioError(f"{path}: holds no samples; remove it or restore it")
    return condition(signal, config)
