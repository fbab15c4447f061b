"""Audio input: recordings and microphone as blocks of mono 16 kHz float32 samples."""

from espressivo.audio.recording import BLOCK_S, Recording, from_array, load_audio

__all__ = ["BLOCK_S", "Recording", "from_array", "load_audio"]
