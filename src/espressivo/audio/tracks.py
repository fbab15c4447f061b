"""Which of the audio tracks of a container is decoded, and the names of the others."""

from __future__ import annotations

from typing import TYPE_CHECKING

from av.stream import Disposition

from espressivo.errors import AudioError
from espressivo.text import to_line

if TYPE_CHECKING:
    from av.audio.stream import AudioStream
    from av.container import InputContainer


def choose_track(
    container: InputContainer, name: str, track: int | None
) -> tuple[int, list[str]]:
    """Return the number of the track to decode, from 1, and warnings about it.

    Players take the first audio track that is flagged as default, or else the first.

    Args:
        container: An opened recording with at least one audio track.
        name: Name of the recording in messages.
        track: Number that the user wants; None: the default track.

    Raises:
        AudioError: There is no such track, or FFmpeg has no decoder for it.
    """
    streams = list(container.streams.audio)
    n = len(streams)
    if track is not None:
        if not 1 <= track <= n:
            held = "1 audio track" if n == 1 else f"{n} audio tracks"
            raise AudioError(
                f"{name}: has no track {track}, it holds {held}; pass a number "
                f"from 1 to {n}",
                "no such track",
            )
        if streams[track - 1].codec_context is None:
            raise _unknown_codec(name, f"track {track}")
        return track, []
    known = [i for i, s in enumerate(streams) if s.codec_context is not None]
    if not known:
        raise _unknown_codec(name, "its sound")
    flagged = [i for i in known if _is_default(streams[i])]
    chosen = (flagged or known)[0]
    # A disabled track of an MP4 file is presented by no player; QuickTime keeps other
    # forms of the same sound in such tracks.
    is_mp4 = "mp4" in container.format.name
    others = [
        i
        for i in range(n)
        if i != chosen and not (is_mp4 and i > chosen and not _is_default(streams[i]))
    ]
    if not others:
        return chosen + 1, []
    named = ", ".join(_described(streams[i], i) for i in others)
    warning = (
        f"{name}: holds {n} audio tracks; analysed is "
        f"{_described(streams[chosen], chosen)}, not {named}; choose with --track or "
        "track="
    )
    return chosen + 1, [warning]


def _is_default(stream: AudioStream) -> bool:
    return bool(stream.disposition & Disposition.default)


def _described(stream: AudioStream, index: int) -> str:
    codec = stream.codec_context.name if stream.codec_context else "unknown codec"
    language = stream.metadata.get("language", "und")
    title = stream.metadata.get("title", "")
    words = [codec, *([language] if language != "und" else [])]
    named = to_line(", ".join([*words, *([title] if title else [])]))
    return f"track {index + 1} ({named})"


def _unknown_codec(name: str, what: str) -> AudioError:
    return AudioError(
        f"{name}: {what} is in a codec that FFmpeg does not know; "
        "pass an undamaged recording, or convert it",
        "damaged",
    )
