"""Arrays of samples: checked, and read block by block as mono 16 kHz float32."""

from __future__ import annotations

import math
import warnings
from numbers import Real
from typing import TYPE_CHECKING, Any

import av.error
import numpy as np

from espressivo.audio.blocks import BLOCK_S, blocks_of
from espressivo.audio.channels import MONO, ChannelMixer, left_out
from espressivo.audio.ffmpeg import Resampler, second
from espressivo.audio.signatures import HEAD_BYTES, signature_of
from espressivo.errors import AudioError
from espressivo.text import reason_of

if TYPE_CHECKING:
    from collections.abc import Generator, Iterator

    from numpy.typing import ArrayLike, NDArray

    from espressivo.types import Segment, Signal

# Zero level and full scale of integer PCM, as scipy and soundfile return it.
_FULL_SCALE = {("i", 2): (0, 2**15), ("i", 4): (0, 2**31), ("u", 1): (128, 2**7)}
# Float audio may overshoot -1..1 somewhat; a larger peak means unscaled integers.
_LOUDEST = 32.0
MOST_BAD = 0.01
"""Share of samples that may be NaN or infinite; they are taken as silence."""

_SAMPLES = "an array of samples: floats in -1..1, or PCM as int16, int32 or uint8"
LEAST_HZ = 1000
"""Least sample rate: a lower one is damage, or one in kHz."""

_MOST_CHANNELS = 32
_TIMES_LONGER = 100  # what makes an axis the samples and the other the channels


class ArrayRecording:
    """Samples in memory, read like a `Recording`: once, block by block.

    Constant memory beside the array: it is neither copied nor modified.

    Args:
        samples: Floats in -1..1, or PCM of type int16, int32 or uint8: [samples],
            [samples, channels] or [channels, samples]; anything of which numpy makes
            such an array.
        sample_rate: Sample rate of the array, in Hz.
        name: Name of the recording in messages.
        channel: Index of the one channel that is wanted; None: the channels become one.

    Attributes:
        name: Name of the recording in messages.
        track: None; arrays have no tracks.
        duration_s: Duration, in seconds.
        warnings: Non-fatal faults; the list is complete after the last block.
        gaps: Empty; arrays have no time stamps.
        n_channels: Number of channels.

    Raises:
        AudioError: The shape, type or rate is wrong, more than 1 % of the samples are
            NaN or infinite, or floats are not scaled to -1..1.
    """

    def __init__(
        self,
        samples: ArrayLike,
        sample_rate: int,
        name: str = "array",
        *,
        channel: int | None = None,
    ) -> None:
        self.name = name
        self.track = None
        self.gaps: list[Segment] = []
        self.warnings: list[str] = []
        wanted = f"pass a path, bytes, an open binary file, or {_SAMPLES}"
        self._planes = _planes_of(_array_of(samples, name, wanted), name)
        _require_samples(self._planes, name)
        rate = _checked_rate(sample_rate, name)
        self._length = second(rate)
        self._resampler = _resampler(rate, name)
        self.n_channels, n = self._planes.shape
        self._mixer = ChannelMixer(self.n_channels, rate, channel)
        self.duration_s = n / rate
        self._n_bad, first = _not_finite(self._planes, self._length, name)
        if self._n_bad:
            found = f"sample {first} is NaN or infinite ({self._n_bad} of {n} are)"
            if self._n_bad > MOST_BAD * n:
                raise AudioError(f"{name}: {found}; repair the signal", "not finite")
            self.warnings.append(f"{name}: {found}; they were taken as silence")

    @property
    def channels(self) -> str:
        """Channels in most of the array: mono, mixed, left, ...; final likewise."""
        used = self._mixer.used
        return max(used, key=lambda name: used[name], default=MONO)

    def blocks(self, block_s: float = BLOCK_S) -> Generator[Signal, None, None]:
        """Yield the samples as consecutive signals of `block_s` seconds at 16 kHz.

        The last block may be shorter. An array without samples yields no block.
        """
        yield from blocks_of(self._pieces(), block_s)

    def _pieces(self) -> Iterator[Signal]:
        for piece in _spans(self._planes, self._length):
            mono = self._mixer.push(_floats(piece, holes=self._n_bad > 0))
            yield from self._resampler.push(mono)
        yield from self._resampler.push(self._mixer.finish())
        yield from self._resampler.finish()
        reasons = left_out(self._mixer.used, self._mixer.reasons)
        self.warnings += [f"{self.name}: {text}" for text in reasons]


def from_array(samples: ArrayLike, sample_rate: int) -> Signal:
    """Check an array of samples and convert it to mono float32 at 16 kHz.

    Args:
        samples: Floats in -1..1, or PCM of type int16, int32 or uint8: [samples],
            [samples, channels] or [channels, samples].
        sample_rate: Sample rate of the array, in Hz.

    Returns:
        A new array [samples]. A few samples that are NaN or infinite are 0 in it, and
        Python warns of them (`RuntimeWarning`).

    Raises:
        AudioError: As for `ArrayRecording`.
    """
    recording = ArrayRecording(samples, sample_rate)
    for warning in recording.warnings:
        warnings.warn(warning, RuntimeWarning, stacklevel=2)
    return np.concatenate([np.zeros(0, np.float32), *recording.blocks()])


def from_chunk(chunk: ArrayLike) -> tuple[Signal, int, int]:
    """Convert a chunk of a stream, one channel at 16 kHz, as `from_array` does.

    Returns:
        A signal that may share memory with the chunk, the number of its samples that
        are NaN or infinite (they are 0 in it), and the index of the first of them.

    Raises:
        AudioError: The shape, type or scale is wrong.
    """
    wanted = f"pass {_SAMPLES}; bytes of PCM become one by np.frombuffer"
    planes = _planes_of(_array_of(chunk, "array", wanted), "array")
    if len(planes) > 1:
        raise AudioError(
            f"array: holds {len(planes)} channels, and a stream is one; pass one "
            "channel, or the mean over channels"
        )
    n_bad, first = _not_finite(planes, max(1, planes.shape[1]), "array")
    return _floats(planes, holes=n_bad > 0)[0], n_bad, first


def _spans(planes: NDArray[Any], length: int) -> Iterator[NDArray[Any]]:
    """Yield consecutive views [channels, `length`]; the last may be shorter."""
    for at in range(0, planes.shape[1], length):
        yield planes[:, at : at + length]


def _floats(piece: NDArray[Any], *, holes: bool) -> NDArray[np.float32]:
    """Return samples as floats in rows, where `holes` says that some are not finite."""
    kind = piece.dtype.kind, piece.dtype.itemsize
    if kind not in _FULL_SCALE:
        floats = np.ascontiguousarray(piece, np.float32)
        return np.where(np.isfinite(floats), floats, np.float32(0)) if holes else floats
    middle, scale = _FULL_SCALE[kind]
    # float32 represents 16-bit integers exactly and is faster, which streams need;
    # 32-bit integers need float64.
    exact: NDArray[Any] = piece.astype("f4" if kind[1] <= 2 else "f8", order="C")
    return ((exact - middle) / scale).astype(np.float32, copy=False)


def _not_finite(planes: NDArray[Any], length: int, name: str) -> tuple[int, int]:
    """Return how many samples are NaN or infinite, and the index of the first.

    Raises:
        AudioError: The others are not scaled to -1..1.
    """
    n_bad = first = 0
    loudest = 0.0
    if planes.dtype.kind != "f":
        return 0, 0
    for i, piece in enumerate(_spans(planes, length)):
        peak = max(float(piece.max()), -float(piece.min()))
        if not math.isfinite(peak):
            finite = np.isfinite(piece)
            whole = finite.all(axis=0)
            if not n_bad:
                first = i * length + int(whole.argmin())
            n_bad += int((~whole).sum())
            peak = float(np.abs(piece[finite]).max(initial=0.0))
        loudest = max(loudest, peak)
    if loudest > _LOUDEST:
        raise AudioError(
            f"{name}: the largest sample is {loudest:g}, not within -1..1; "
            "divide by the full scale (32768 for 16-bit audio)"
        )
    return n_bad, first


def _array_of(samples: ArrayLike, name: str, wanted: str) -> NDArray[Any]:
    try:
        array = np.asarray(samples)
    except Exception as error:  # ragged lists; tensors on a GPU or with a gradient
        raise AudioError(
            f"{name}: {type(samples).__name__} cannot be made an array "
            f"({reason_of(error)}); {wanted}"
        ) from error
    kind = array.dtype.kind, array.dtype.itemsize
    if array.ndim == 0 or kind[0] == "O":
        shape = "" if array.ndim else ", whose shape is ()"
        raise AudioError(f"{name}: is {type(samples).__name__}{shape}; {wanted}")
    if kind in _FULL_SCALE or kind[0] == "f":
        return array
    raise AudioError(
        f"{name}: type is {array.dtype.name}, whose full scale is unknown; "
        "pass float32 in -1..1, or PCM as int16, int32 or uint8"
    )


def _planes_of(array: NDArray[Any], name: str) -> NDArray[Any]:
    """Return an array as a view [channels, samples]."""
    if array.ndim == 1:
        return array[None]
    if array.ndim == 2:
        for planes in (array, array.T):
            n_channels, n = planes.shape
            if n_channels == 1:
                return planes
            if 1 < n_channels <= _MOST_CHANNELS and (
                n == 0 or n >= _TIMES_LONGER * n_channels
            ):
                return planes
    raise AudioError(
        f"{name}: shape is {array.shape}, not [samples], [samples, channels] or "
        f"[channels, samples] with at most {_MOST_CHANNELS} channels and "
        f"{_TIMES_LONGER} times as many samples; pass one channel"
    )


def _require_samples(planes: NDArray[Any], name: str) -> None:
    """Refuse the bytes of a file that somebody made an array of integers."""
    if planes.dtype.kind not in "iu":
        return
    head = planes[0, :HEAD_BYTES].tobytes()[:HEAD_BYTES]
    found = signature_of(head)
    if found is not None and found.is_media:
        raise AudioError(
            f"{name}: holds the bytes of a file ({found.name}), not samples; pass the "
            "bytes as they are, or the path of the file"
        )


def _checked_rate(sample_rate: Any, name: str) -> int:
    whole = isinstance(sample_rate, Real) and math.isfinite(sample_rate)
    if not whole or int(sample_rate) != sample_rate or sample_rate < LEAST_HZ:
        raise AudioError(
            f"{name}: sample rate is {sample_rate!r}; pass a whole number in Hz, such "
            "as 44100"
        )
    return int(sample_rate)


def _resampler(rate: int, name: str) -> Resampler:
    try:
        return Resampler(rate)
    except (av.error.FFmpegError, OverflowError, ValueError) as error:
        raise AudioError(
            f"{name}: sample rate is {rate} Hz, from which FFmpeg cannot resample; "
            "pass the sound at 16000 Hz"
        ) from error
