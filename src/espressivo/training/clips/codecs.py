"""Codecs and band limits: signals after a channel, as long as before and aligned."""

from __future__ import annotations

import io
from dataclasses import dataclass
from functools import cache
from typing import Any

import av
import numpy as np
from av.codec.codec import Codec, UnknownCodecError

from espressivo.errors import ConfigError
from espressivo.types import SAMPLE_RATE, Signal

_TELEPHONE_RATE = 8000
_BAND_HZ = (300.0, 3400.0)  # ITU-T G.712


def telephone_band(signal: Signal) -> Signal:
    """Return a signal at 8 kHz, float32 [samples / 2], limited to 300-3400 Hz.

    Neither this nor `low_passed` delays the signal.

    Args:
        signal: Mono 16 kHz [samples], not empty. Never modified.
    """
    n, hz, spectrum = _spectrum(signal)
    low, high = _BAND_HZ
    spectrum *= _butterworth(hz, high) * (1 - _butterworth(hz, low))
    narrow = np.fft.irfft(spectrum[: n // 4 + 1], n // 2) / 2
    return narrow[: -(-len(signal) // 2)].astype(np.float32)


def low_passed(signal: Signal, cutoff_hz: float) -> Signal:
    """Return a signal without what is above a frequency; it has the same length."""
    n, hz, spectrum = _spectrum(signal)
    low = np.fft.irfft(spectrum * _butterworth(hz, cutoff_hz), n)
    return low[: len(signal)].astype(np.float32)


def _spectrum(signal: Signal) -> tuple[int, Any, Any]:
    # Zeros behind the signal keep its end from wrapping around to its start.
    n = -(-(len(signal) + 2048) // 4096) * 4096
    return n, np.fft.rfftfreq(n, 1 / SAMPLE_RATE), np.fft.rfft(signal, n)


def _butterworth(hz: Any, cutoff_hz: float) -> Any:
    # The magnitude of a low-pass of order 4, applied forwards and backwards.
    return 1 / (1 + (hz / cutoff_hz) ** 8)


@dataclass(frozen=True, slots=True)
class AvCodec:
    """A codec that PyAV encodes and decodes.

    Attributes:
        container: Format of the file in memory.
        encoder: Name of the encoder.
        bit_rate: Bits per second; 0 where the codec has one rate only.
        narrow: Whether it is for telephones: 8 kHz, 300-3400 Hz.
        delay: Delay that its decoder leaves, in samples at 16 kHz.
        options: Options of the encoder.
    """

    container: str
    encoder: str
    bit_rate: int = 0
    narrow: bool = False
    delay: int = 0
    options: tuple[tuple[str, str], ...] = ()

    def __call__(self, signal: Signal, *_: object) -> Signal:
        """Return a signal [samples] after the codec, aligned and as long."""
        samples = telephone_band(signal) if self.narrow else signal
        rate = _TELEPHONE_RATE if self.narrow else SAMPLE_RATE
        # Some encoders return nothing for less than a frame.
        padded = _of_length(samples, max(len(samples), rate // 10))
        decoded = _decode(self._encode(_to_int16(padded), rate))
        return _of_length(decoded[self.delay :], len(signal))

    def _encode(self, samples: Any, rate: int) -> io.BytesIO:
        file = io.BytesIO()
        frame = av.AudioFrame.from_ndarray(samples[None], "s16", "mono")
        frame.sample_rate = rate
        with av.open(file, "w", format=self.container) as container:
            stream: Any = container.add_stream(
                self.encoder, rate=rate, options=dict(self.options)
            )
            stream.layout = "mono"
            if self.bit_rate:
                stream.bit_rate = self.bit_rate
            stream.codec_context.open()
            # Encoders take frames of a fixed length, in sample formats of their own.
            cut = av.AudioResampler(
                stream.format.name, "mono", rate, stream.frame_size or None
            )
            for part in (*cut.resample(frame), *cut.resample(None), None):
                for packet in stream.encode(part):
                    container.mux(packet)
        file.seek(0)
        return file


def _decode(file: io.BytesIO) -> Signal:
    convert = av.AudioResampler("flt", "mono", SAMPLE_RATE)
    with av.open(file, "r") as container:
        frames = [
            out
            for frame in container.decode(audio=0)
            for out in convert.resample(frame)
        ]
    frames += convert.resample(None)
    return np.concatenate([frame.to_ndarray()[0] for frame in frames])


def gsm(signal: Signal, *_: object) -> Signal:
    """Return a signal after GSM full rate (06.10), 13 kbit/s.

    Raises:
        ConfigError: The package soundfile is missing.
    """
    # PyAV's wheels decode GSM but do not encode it; libsndfile does both.
    file = io.BytesIO()
    narrow = telephone_band(signal)
    samples = _to_int16(_of_length(narrow, max(len(narrow), _TELEPHONE_RATE // 10)))
    import_soundfile().write(file, samples, _TELEPHONE_RATE, "GSM610", format="WAV")
    file.seek(0)
    return _of_length(_decode(file), len(signal))


def import_soundfile() -> Any:
    """Return the module soundfile, which encodes GSM.

    Raises:
        ConfigError: It is missing.
    """
    try:
        import soundfile  # noqa: PLC0415 - part of the extra `train`
    except (ImportError, OSError) as error:
        raise ConfigError(
            f"condition 'gsm' needs soundfile, which cannot be imported ({error}); "
            "run: pip install soundfile"
        ) from error
    return soundfile


@cache
def has_encoder(name: str) -> bool:
    """Whether this build of PyAV has an encoder."""
    try:
        Codec(name, "w")
    except UnknownCodecError:
        return False
    return True


def _to_int16(samples: Signal) -> Any:
    # Beyond full scale a codec clips.
    return np.round(np.clip(samples, -1, 1) * 32767).astype(np.int16)


def _of_length(signal: Signal, n_samples: int) -> Signal:
    return np.pad(signal, (0, max(0, n_samples - len(signal))))[:n_samples]


MU_LAW = AvCodec("wav", "pcm_mulaw", narrow=True)
AMR = AvCodec("amr", "libopencore_amrnb", 7950, narrow=True, delay=80)
_VOICE = (("application", "voip"),)
OPUS_12K = AvCodec("ogg", "libopus", 12_000, options=_VOICE)
OPUS_6K = AvCodec("ogg", "libopus", 6_000, options=_VOICE)
MP3 = AvCodec("mp3", "libmp3lame", 32_000)
