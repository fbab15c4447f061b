"""Audio input: recordings and microphone as blocks of mono 16 kHz float32 samples."""

from espressivo.audio.arrays import from_array
from espressivo.audio.blocks import BLOCK_S
from espressivo.audio.recording import Recording, load_audio
from espressivo.errors import AudioError
from espressivo.types import SAMPLE_RATE

__all__ = [
    "BLOCK_S",
    "SAMPLE_RATE",
    "AudioError",
    "Recording",
    "from_array",
    "load_audio",
]
