"""Write a recording as 48 kHz WAV, which Chromium's fake microphone plays: FROM TO."""

from __future__ import annotations

import sys
import wave

import av
import numpy as np

with av.open(sys.argv[1]) as container:
    resampler = av.AudioResampler("s16", "mono", 48_000)
    frames = [f for each in container.decode(audio=0) for f in resampler.resample(each)]
    frames += resampler.resample(None)
samples = np.concatenate([frame.to_ndarray()[0] for frame in frames])
with wave.open(sys.argv[2], "wb") as file:
    file.setnchannels(1)
    file.setsampwidth(2)
    file.setframerate(48_000)
    file.writeframes(samples.astype("<i2").tobytes())
