"""Features of a clip for linear classifiers, with a cache on disk.

eGeMAPS is computed by openSMILE, whose licence allows research and private use only; it
is part of the extra `peers` and of no other.

Source: Eyben et al. (2016), the Geneva minimalistic acoustic parameter set.
"""

from __future__ import annotations

import hashlib
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from espressivo.audio.recording import load_audio
from espressivo.errors import ConfigError
from espressivo.files.atomic import replacing
from espressivo.training.networks.logmel import LogMel
from espressivo.training.networks.whisper import (
    EncoderSize,
    WhisperEncoder,
    load_encoder,
    read_size,
)
from espressivo.types import SAMPLE_RATE

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from numpy.typing import NDArray

    from espressivo.types import Signal

    Rows = NDArray[np.float32]

_SHORTEST = SAMPLE_RATE // 4  # shorter clips are padded with zeros
_SAVE_EVERY = 200  # clips


@dataclass(frozen=True, slots=True)
class Features:
    """A function from a signal to numbers, and what it costs.

    Attributes:
        key: Name of the cache; it determines the numbers.
        compute: Function from a signal [samples] to features [width].
        n_parameters: Number of learned parameters.
        n_bytes: Size of the files that it needs beside Python and its libraries for
            arrays.
    """

    key: str
    compute: Callable[[Signal], Rows]
    n_parameters: int
    n_bytes: int


def find_features(name: str, weights: Path | None = None) -> Features:
    """Return features by name: `egemaps`, `log-mel`, or `whisper:2` for its state 2.

    Args:
        name: The name; the state of Whisper is the output of that block.
        weights: The encoder's weights, for Whisper.

    Raises:
        ConfigError: There are no such features, or openSMILE is not installed.
        TrainingError: The weights are absent, or not of a Whisper encoder.
    """
    kind, _, state = name.partition(":")
    if kind == "egemaps" and not state:
        return _egemaps()
    if kind == "log-mel" and not state:
        return Features("log-mel", log_mel_statistics, 0, 0)
    if kind == "whisper" and state.isdigit() and weights is not None:
        return _whisper(weights, int(state))
    raise ConfigError(
        f"features '{name}' do not exist; pass egemaps, log-mel, or whisper:BLOCK "
        "with --weights"
    )


def log_mel_statistics(signal: Signal) -> Rows:
    """Return mean and standard deviation of each log-mel band over time, [160]."""
    mel = LogMel()(torch.tensor(signal)[None])[0]  # [80, T]
    rows: Rows = torch.cat([mel.mean(1), mel.std(1, correction=0)]).numpy()
    return rows


def _egemaps() -> Features:
    try:
        import opensmile  # noqa: PLC0415 - slow, and an extra
    except ImportError as error:
        raise ConfigError(
            "eGeMAPS needs openSMILE, which is not installed; "
            "pip install -e '.[train,peers]' (its licence is for research only)"
        ) from error
    smile = opensmile.Smile(
        opensmile.FeatureSet.eGeMAPSv02, opensmile.FeatureLevel.Functionals
    )

    def compute(signal: Signal) -> Rows:
        table = smile.process_signal(signal, SAMPLE_RATE).to_numpy(np.float32)
        # A clip without voiced frames has no statistics of pitch.
        row: Rows = np.nan_to_num(table[0])
        return row

    files = Path(opensmile.__file__).parent.glob("core/bin/*/*")
    here = [f for f in files if "linux" in str(f)]
    return Features("egemaps-v02", compute, 0, sum(f.stat().st_size for f in here))


def _whisper(weights: Path, state: int) -> Features:
    size = read_size(weights)
    if not 1 <= state <= size.n_blocks:
        raise ConfigError(
            f"features 'whisper:{state}' do not exist; {weights} has {size.n_blocks} "
            "blocks"
        )
    encoder = WhisperEncoder(EncoderSize(size.width, state)).eval()
    load_encoder(encoder, weights)
    mel = LogMel()
    digest = hashlib.sha256(weights.read_bytes()).hexdigest()[:12]

    @torch.inference_mode()
    def compute(signal: Signal) -> Rows:
        states = encoder(mel(torch.tensor(signal)[None]))
        row: Rows = states[-1][0].mean(0).numpy()
        return row

    n = sum(p.numel() for p in encoder.parameters())
    return Features(f"whisper-{digest}-{state}", compute, n, 2 * n)  # in float16


def load_clip(path: Path) -> Signal:
    """Return the samples of a clip, padded to 0.25 s."""
    signal = load_audio(path)
    return np.pad(signal, (0, max(0, _SHORTEST - len(signal))))


def compute_features(
    features: Features,
    paths: Sequence[Path],
    cache: Path,
    on_done: Callable[[int, int], None] | None = None,
) -> Rows:
    """Return the features of clips [N, width]; those in the cache are not repeated.

    Args:
        features: The features.
        paths: The clips.
        cache: Folder of the cache; features are found by the bytes of a clip.
        on_done: Callback after every new clip.
    """
    torch.set_num_threads(1)
    file = cache / "features" / f"{features.key}.npz"
    known = _load(file)
    digests = [hashlib.sha256(path.read_bytes()).hexdigest()[:32] for path in paths]
    wanted = dict(zip(digests, paths, strict=True))
    missing = [(digest, path) for digest, path in wanted.items() if digest not in known]
    for n, (digest, path) in enumerate(missing, 1):
        known[digest] = features.compute(load_clip(path))
        if n % _SAVE_EVERY == 0 or n == len(missing):
            _save(file, known)
        if on_done is not None:
            on_done(n, len(missing))
    return np.stack([known[digest] for digest in digests])


def cpu_time(compute: Callable[[Signal], Any], signals: Sequence[Signal]) -> float:
    """Return the median CPU time, in ms, that a second of audio takes on one thread."""
    torch.set_num_threads(1)
    compute(signals[0])  # the first call loads and compiles
    found = []
    for signal in signals:
        began = time.process_time()
        compute(signal)
        took_s = time.process_time() - began
        found.append(1000 * took_s * SAMPLE_RATE / len(signal))
    return float(np.median(found))


def _load(file: Path) -> dict[str, Rows]:
    if not file.is_file():
        return {}
    with np.load(file) as stored:
        return dict(zip(stored["digests"].tolist(), stored["rows"], strict=True))


def _save(file: Path, known: dict[str, Rows]) -> None:
    file.parent.mkdir(parents=True, exist_ok=True)
    with replacing(file) as whole, whole.open("wb") as stream:
        np.savez(stream, digests=[*known], rows=np.stack([*known.values()]))
