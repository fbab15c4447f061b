"""What the first bytes of a file say it is: sound, or clearly something else.

The magic numbers are those of the formats' specifications and of FFmpeg's probes.
"""

from __future__ import annotations

from typing import NamedTuple

HEAD_BYTES = 4096
"""Number of first bytes that `signature_of` looks at."""


_LEAST_TEXT = 64  # bytes; fewer can be the text at the start of a header
_ENOUGH_FRAMES = 4


class Signature(NamedTuple):
    """Kind of a file.

    Attributes:
        name: What it is, such as `Ogg` or `picture`.
        is_media: Whether files of this kind hold sound, or video that may have some.
    """

    name: str
    is_media: bool


def signature_of(head: bytes) -> Signature | None:
    """Return what a file is by its first bytes; None if they do not say.

    Args:
        head: First `HEAD_BYTES` bytes of the file, or fewer.
    """
    name = _media(head)
    # Text can begin with the letters of a magic number ("MAC address"), but no format
    # of sound has as many bytes of text.
    if name is not None and not (len(head) >= _LEAST_TEXT and is_text(head)):
        return Signature(name, is_media=True)
    name = _other(head)
    return None if name is None else Signature(name, is_media=False)


# By place of the magic number; the longer of two comes first.
_MEDIA_AT_0 = {
    b"fLaC": "FLAC",
    b"OggS": "Ogg",
    b"\x1a\x45\xdf\xa3": "Matroska or WebM",
    b"RF64": "WAV",
    b"BW64": "WAV",
    b"RIFX": "WAV",
    b"ID3": "MP3",
    b"ADIF": "AAC",
    b"#!AMR": "AMR",
    b"#!SILK": "SILK",
    b"\x02#!SILK": "SILK",
    b"#!iLBC": "iLBC",
    b"caff": "CAF",
    b".snd": "AU",
    b"dns.": "AU",
    b"riff\x2e\x91\xcf\x11": "Wave64",
    bytes.fromhex("3026B2758E66CF11"): "WMA, WMV or ASF",
    bytes.fromhex("B7D800203749DA11"): "WTV",
    bytes.fromhex("060E2B34020501"): "MXF",
    b"wvpk": "WavPack",
    b"MAC \x96\x0f": "Monkey's Audio",
    b"MAC ": "Monkey's Audio",
    b"TTA1": "TTA",
    b"TTA2": "TTA",
    b"DSD ": "DSF",
    b"FRM8": "DSDIFF",
    b"MPCK": "Musepack",
    b"MP+": "Musepack",
    b"tBaK": "TAK",
    b"OFR ": "OptimFROG",
    b"ajkg": "Shorten",
    b"TWIN97012000": "VQF",
    b"qoaf": "QOA",
    b"FLV\x01": "Flash video",
    b".RMF": "RealMedia",
    b".ra\xfd": "RealAudio",
    b"Creative Voice File\x1a": "VOC",
    b"NIST_1A\n": "NIST SPHERE",
    b"\x02dss": "DSS",
    b"\x03dss": "DSS",
    b"\x03ds2": "DS2",
    b"\x07ds2": "DS2",
    b"NSVf": "NSV",
    b"\x00\x00\x01\xba": "MPEG video",
    b"\x00\x00\x01\xb3": "MPEG video",
    b"\x7f\xfe\x80\x01": "DTS",
}
_RIFF = {b"WAVE": "WAV", b"AVI ": "AVI", b"XWMA": "xWMA", b"CDXA": "MPEG video"}
_FORM = {b"AIFF": "AIFF", b"AIFC": "AIFF", b"8SVX": "8SVX", b"16SV": "8SVX"}
_MP4_BOXES = (b"ftyp", b"moov", b"mdat", b"wide", b"skip", b"pnot", b"moof", b"styp")
_PICTURE_BRANDS = (b"heic", b"heix", b"heim", b"mif1", b"avif", b"avis", b"crx ")
_OTHERS_AT_0 = {
    b"\xff\xd8\xff": "picture",
    b"\x89PNG\r\n\x1a\n": "picture",
    b"GIF8": "picture",
    b"II*\x00": "picture",
    b"MM\x00*": "picture",
    b"8BPS": "picture",
    b"\x00\x00\x01\x00": "picture",  # Windows icon
    b"\x00\x00\x00\x0cjP  ": "picture",
    b"\x00\x00\x00\x0cJXL ": "picture",
    b"\xff\x0a": "picture",  # JPEG XL
    b"%PDF": "document",
    b"%!PS": "document",
    b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1": "document",  # Word, Excel, Thumbs.db
    b"PK\x03\x04": "compressed file",
    b"PK\x05\x06": "compressed file",
    b"\x1f\x8b": "compressed file",
    b"BZh": "compressed file",
    b"\xfd7zXZ\x00": "compressed file",
    b"\x28\xb5\x2f\xfd": "compressed file",
    b"7z\xbc\xaf\x27\x1c": "compressed file",
    b"Rar!\x1a\x07": "compressed file",
    b"\x04\x22\x4d\x18": "compressed file",
    b"MSCF": "compressed file",
    b"\x7fELF": "program",
    b"MZ": "program",
    b"\xca\xfe\xba\xbe": "program",
    b"\xcf\xfa\xed\xfe": "program",
    b"\xfe\xed\xfa": "program",
    b"\x00asm": "program",
    b"!<arch>\n": "program",
    b"L\x00\x00\x00\x01\x14\x02\x00": "shortcut",
    b"SQLite format 3\x00": "database",
    b"\x00\x01\x00\x00Standard": "database",
    b"PAR1": "table",
    b"ARROW1": "table",
    b"\x89HDF\r\n\x1a\n": "table",
    b"\x93NUMPY": "table",
    b"MATLAB 5.0": "table",
    b"\x80\x02": "table",  # Python's pickle
    b"\x80\x03": "table",
    b"\x80\x04\x95": "table",
    b"\x80\x05\x95": "table",
    b"MThd": "MIDI",
    b"OTTO": "font",
    b"wOFF": "font",
    b"wOF2": "font",
    b"\x00\x01\x00\x00\x00": "font",
    b"bplist00": "property list",
    b"\x00\x05\x16\x07": "AppleDouble",
    b"\x00\x05\x16\x00": "AppleDouble",
}
_LENGTHS = sorted({len(magic) for magic in (*_MEDIA_AT_0, *_OTHERS_AT_0)}, reverse=True)
_OTHERS = (
    (8, b"WEBPVP8", "picture"),
    (8, b"RMIDdata", "MIDI"),
    (6, b"\x00\x00\x00\x00\x36\x00\x00\x00\x28\x00", "picture"),  # BMP
    (128, b"DICM", "picture"),
    (257, b"ustar", "compressed file"),
)


def _media(head: bytes) -> str | None:
    start, form = head[:4], head[8:12]
    if start == b"RIFF":
        return _RIFF.get(form)
    if start == b"FORM":
        return _FORM.get(form)
    if head[4:8] in _MP4_BOXES and _is_box(head):
        is_picture = head[4:8] == b"ftyp" and form in _PICTURE_BRANDS
        return None if is_picture else "MP4 or QuickTime"
    found = _starting(_MEDIA_AT_0, head)
    if found is not None:
        return found
    if _is_mpeg_ts(head):
        return "MPEG transport stream"
    return _frames(head)


def _other(head: bytes) -> str | None:
    if head[4:8] == b"ftyp" and head[8:12] in _PICTURE_BRANDS:
        return "picture"
    found = _starting(_OTHERS_AT_0, head)
    for at, magic, name in _OTHERS:
        if found is None and head[at : at + len(magic)] == magic:
            found = name
    return found or ("text" if is_text(head) else None)


def is_text(head: bytes) -> bool:
    """Return whether a file's first bytes are text: UTF-8, UTF-16 or an 8-bit set."""
    if not head:
        return False
    if head[:2] in (b"\xff\xfe", b"\xfe\xff"):
        return _is_utf16(head)
    # Control characters other than tab, line feed, form feed, return and escape.
    if len(head.translate(None, _NO_TEXT)) < len(head):
        return False
    try:
        head.decode("utf-8")
    except UnicodeDecodeError as error:
        if error.start >= len(head) - 3:  # the head ends within a character
            return True
        # Text of an 8-bit set, such as Latin-1, is mostly ASCII.
        return sum(byte < 0x80 for byte in head) > 0.7 * len(head)
    return True


_NO_TEXT = bytes([*range(9), 11, *range(14, 27), *range(28, 32), 127])


def _is_utf16(head: bytes) -> bool:
    # MPEG audio may begin with FF FE; its next bytes give no text.
    codec = "utf-16-le" if head[:2] == b"\xff\xfe" else "utf-16-be"
    text = head[2:].decode(codec, "replace")[:200]
    return all(letter.isprintable() or letter in "\t\r\n" for letter in text[:-1])


def _starting(magics: dict[bytes, str], head: bytes) -> str | None:
    for length in _LENGTHS:
        if (name := magics.get(head[:length])) is not None:
            return name
    return None


def _is_box(head: bytes) -> bool:
    size = int.from_bytes(head[:4], "big")
    return size in (0, 1) or size >= 8


def _is_mpeg_ts(head: bytes) -> bool:
    # Packets of 188 bytes; M2TS puts 4 bytes of time before each, as for Blu-ray.
    for first, step in ((0, 188), (4, 192)):
        at = range(first, len(head), step)
        if len(at) >= 3 and all(head[i] == 0x47 for i in at):
            return True
    return False


def _frames(head: bytes) -> str | None:
    """Return the codec of a stream of frames without a container; None: neither."""
    for name, length_of in (
        ("MP3", _mpeg_frame),
        ("AAC", _adts_frame),
        ("AC-3", _ac3_frame),
    ):
        at, n = 0, 0
        while n < _ENOUGH_FRAMES and (length := length_of(head[at : at + 8])):
            n, at = n + 1, at + length
        # A sync word may be chance, so that frames have to follow each other.
        if n == _ENOUGH_FRAMES or (n >= 2 and at > HEAD_BYTES - 8):
            return name
    return None


_BITRATES = {  # kbit/s by (MPEG 1?, layer); ISO/IEC 11172-3, 2.4.2.3 and 13818-3
    (True, 1): (32, 64, 96, 128, 160, 192, 224, 256, 288, 320, 352, 384, 416, 448),
    (True, 2): (32, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320, 384),
    (True, 3): (32, 40, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320),
    (False, 1): (32, 48, 56, 64, 80, 96, 112, 128, 144, 160, 176, 192, 224, 256),
    (False, 2): (8, 16, 24, 32, 40, 48, 56, 64, 80, 96, 112, 128, 144, 160),
    (False, 3): (8, 16, 24, 32, 40, 48, 56, 64, 80, 96, 112, 128, 144, 160),
}
_RATES = {3: (44100, 48000, 32000), 2: (22050, 24000, 16000), 0: (11025, 12000, 8000)}


def _mpeg_frame(head: bytes) -> int:
    """Return the bytes of the MPEG audio frame that begins here; 0: none does."""
    if len(head) < 4 or head[0] != 0xFF or head[1] & 0xE0 != 0xE0:
        return 0
    version, layer = head[1] >> 3 & 3, 4 - (head[1] >> 1 & 3)
    bitrate, rate = head[2] >> 4, head[2] >> 2 & 3
    if version == 1 or layer == 4 or bitrate in (0, 15) or rate == 3:
        return 0
    bits = 1000 * _BITRATES[version == 3, layer][bitrate - 1]
    hertz, padding = _RATES[version][rate], head[2] >> 1 & 1
    if layer == 1:
        return (12 * bits // hertz + padding) * 4
    samples = 576 if layer == 3 and version != 3 else 1152
    return samples // 8 * bits // hertz + padding


def _adts_frame(head: bytes) -> int:
    """Return the bytes of the ADTS frame that begins here (ISO/IEC 13818-7, 6.2)."""
    if len(head) < 7 or head[0] != 0xFF or head[1] & 0xF6 != 0xF0:
        return 0
    if head[2] >> 2 & 15 > 12:
        return 0
    length = (head[3] & 3) << 11 | head[4] << 3 | head[5] >> 5
    return length if length > 7 else 0


_AC3_KBITS = (
    *(32, 40, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320, 384, 448, 512),
    *(576, 640),
)


def _ac3_frame(head: bytes) -> int:
    """Return the bytes of the AC-3 or E-AC-3 frame here; 0: none (ETSI TS 102 366)."""
    if len(head) < 6 or head[:2] != b"\x0b\x77":
        return 0
    if head[5] >> 3 > 10:  # E-AC-3
        return 2 * ((head[2] & 7) << 8 | head[3]) + 2
    rate, size = head[4] >> 6, head[4] & 63
    if rate == 3 or size >= 38:
        return 0
    kbits = _AC3_KBITS[size // 2]
    words = (96 * kbits // 48, 96 * kbits * 480 // 441 // 48, 96 * kbits // 32)[rate]
    return 2 * (words + (size & 1 if rate == 1 else 0))
