from __future__ import annotations

import os
import shutil
import socket
import struct
import wave
import zipfile
from contextlib import closing
from pathlib import Path

import numpy as np
import pytest

from espressivo.audio import Recording
from espressivo.audio.signatures import HEAD_BYTES, is_text, signature_of
from espressivo.batch import entries
from espressivo.batch.entries import find_entries, list_source
from espressivo.batch.selection import SUFFIXES, LeftOut
from espressivo.errors import ArchiveError, AudioError
from tests.recordings import ENCODERS, encode, encode_picture


def taken(folder):
    return {entry.id for entry in list_source(folder).entries}


def left_out(folder):
    return dict(list_source(folder).left_out)


FORGOTTEN = "qta weba awb 3gpp 3g2 mpga m4v avi wmv w64 spx gsm g722 sln ul al aifc ts"


@pytest.mark.parametrize("suffix", FORGOTTEN.split())
def test_endings_that_a_list_forgets(tmp_path, note, suffix):
    encode(tmp_path / "note.m4a", note[:32_000]).rename(tmp_path / f"note.{suffix}")

    assert taken(tmp_path) == {f"note.{suffix}"}
    assert left_out(tmp_path) == {}


def test_the_voice_memo_of_an_iphone(shared, tmp_path):
    shutil.copy(shared / "cases" / "iphone-voice-memo.qta", tmp_path)

    assert taken(tmp_path) == {"iphone-voice-memo.qta"}


@pytest.mark.parametrize("container", ENCODERS)
@pytest.mark.parametrize("name", ["note", "note.bin", "note.txt", "note.jpg", "a.2024"])
def test_a_recording_is_known_by_its_content(tmp_path, note, container, name):
    path = encode(tmp_path / f"x.{container}", note[:32_000])
    path.rename(tmp_path / name)

    assert taken(tmp_path) == {name}
    with (tmp_path / name).open("rb") as file:
        found = signature_of(file.read(HEAD_BYTES))
    assert found is not None
    assert found.is_media


def test_every_case_that_is_shared_is_known_by_its_content(shared):
    for path in (shared / "cases").iterdir():
        with path.open("rb") as file:
            found = signature_of(file.read(HEAD_BYTES))
        if path.suffix in (".md", ".py", ".mjs", ".sh"):
            assert found == ("text", False)
        elif path.suffix != ".g722":
            assert found is not None
            assert found.is_media


def sqlite(path):
    import sqlite3

    with closing(sqlite3.connect(path)) as base:
        base.execute("create table x (y)")


OTHERS = {
    "a.txt": ("text", b"Monday: called twice.\n"),
    "b.json": ("text", b'{"id": 1}\n' * 900),
    "c.csv": ("text", "Größe;Straße\n".encode("latin-1") * 20),
    "d.TextGrid": ("text", 'File type = "ooTextFile"\n'.encode("utf-16")),
    "e": ("text", "日記。\n".encode() * 2000),
    "f.jpg": ("picture", b"\xff\xd8\xff\xe0\x00\x10JFIF\x00" + bytes(50)),
    "g.png": ("picture", b"\x89PNG\r\n\x1a\n\x00\x00\x00\rIHDR"),
    "h.heic": ("picture", b"\x00\x00\x00\x18ftypheic\x00\x00\x00\x00mif1heic"),
    "i.webp": ("picture", b"RIFF\x24\x00\x00\x00WEBPVP8 "),
    "j.pdf": ("document", b"%PDF-1.7\n%\xe2\xe3\xcf\xd3\n"),
    "k.doc": ("document", b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1" + bytes(40)),
    "l.parquet": ("table", b"PAR1\x15\x04\x15\x10"),
    "m.npy": ("table", b"\x93NUMPY\x01\x00v\x00"),
    "n.mid": ("MIDI", b"MThd\x00\x00\x00\x06\x00\x01"),
    "o.so": ("program", b"\x7fELF\x02\x01\x01" + bytes(9)),
    "p.gz": ("compressed file", b"\x1f\x8b\x08\x00" + bytes(8)),
    "q.onnx": ("model or weights", b"\x08\x07\x12\x07pytorch\x1a\x05"),
    "r.pek": ("waveform of an editor", b"\x07\x00\x01\x00\xff\x00" * 9),
    "note.wav.part": ("partial download", b"RIFF\x24\x00\x00\x00WAVEfmt "),
    "note.mp3.crdownload": ("partial download", b"ID3\x04"),
    "._note.m4a": ("hidden", b"\x00\x05\x16\x07\x00\x02\x00\x00"),
    ".DS_Store": ("hidden", b"\x00\x00\x00\x01Bud1"),
    "Thumbs.db": ("file of the system", b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1"),
    "desktop.ini": ("file of the system", b"[.ShellClassInfo]\r\n"),
    "empty": ("empty", b""),
}


@pytest.mark.parametrize("name", OTHERS)
def test_what_is_clearly_something_else_is_left_out_and_named(tmp_path, name):
    kind, content = OTHERS[name]
    (tmp_path / name).write_bytes(content)
    (tmp_path / "x.wav").touch()

    assert taken(tmp_path) == {"x.wav"}
    assert left_out(tmp_path) == {name: kind}


def test_other_things_of_a_folder_are_left_out_without_waiting(tmp_path, monkeypatch):
    (tmp_path / "x.wav").touch()
    with zipfile.ZipFile(tmp_path / "notes.zip", "w") as file:
        file.writestr("note.wav", "x")
    sqlite(tmp_path / "calls.sqlite")
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "link").symlink_to("nowhere")
    (tmp_path / "again").symlink_to(tmp_path)
    (tmp_path / ".git").mkdir()
    (tmp_path / ".git" / "x.wav").touch()
    monkeypatch.chdir(tmp_path)  # a socket's name is short
    with socket.socket(socket.AF_UNIX) as server:
        server.bind("socket")
        found = list_source(tmp_path)

    assert [entry.id for entry in found.entries] == ["x.wav"]
    assert dict(found.left_out) == {
        ".git": "hidden folder",
        "again": "link to a folder",
        "calls.sqlite": "database",
        "link": "broken link",
        "notes.zip": "compressed file",
        "pipe": "pipe, device or socket",
        "socket": "pipe, device or socket",
    }
    assert found.left_out == sorted(found.left_out)


@pytest.mark.parametrize(
    "content", [np.random.default_rng(1).bytes(9000), b"\x00\x01" * 99, b"\x80abc\x00"]
)
def test_what_is_unknown_is_taken_and_the_analysis_tells(tmp_path, content):
    (tmp_path / "unknown.dat").write_bytes(content)

    assert taken(tmp_path) == {"unknown.dat"}
    with pytest.raises(AudioError, match=r"cannot be read as a recording|no audio"):
        list(Recording(tmp_path / "unknown.dat").blocks())


def test_a_file_that_may_not_be_read_is_taken_and_the_analysis_tells(
    tmp_path, monkeypatch
):
    (tmp_path / "secret").write_bytes(b"RIFF")

    def refused(*_):
        raise PermissionError(13, "Permission denied")

    # root may read everything, so the refusal is made.
    monkeypatch.setattr(os, "open", refused)

    assert taken(tmp_path) == {"secret"}


def test_video_without_sound_is_taken_and_fails_with_its_reason(tmp_path):
    encode_picture(tmp_path / "film.mp4").rename(tmp_path / "film.bin")

    assert taken(tmp_path) == {"film.bin"}
    with pytest.raises(AudioError, match="holds no audio stream"):
        Recording(tmp_path / "film.bin")


def test_the_folder_of_the_tables_is_not_searched(tmp_path):
    (tmp_path / "x.wav").touch()
    (tmp_path / "tables" / "recordings").mkdir(parents=True)
    (tmp_path / "tables" / "archive.json").write_text("{}")

    assert list_source(tmp_path, tmp_path / "tables").left_out == []
    assert left_out(tmp_path) == {"tables/archive.json": "text"}


def test_a_folder_without_recordings_says_what_it_holds(tmp_path):
    for i in range(3):
        (tmp_path / f"{i}.txt").write_text("no recording")
    (tmp_path / "x.pdf").write_bytes(b"%PDF-1.7")

    message = r"holds no recording \(left out: 3 text, such as 0.txt; 1 document, such"
    with pytest.raises(ArchiveError, match=message):
        find_entries(tmp_path)


def test_a_known_ending_is_believed_without_a_look(tmp_path, monkeypatch):
    for suffix in SUFFIXES:
        (tmp_path / f"x{suffix}").touch()

    def opened(*_):
        raise AssertionError("it was opened")

    monkeypatch.setattr(os, "open", opened)

    assert len(taken(tmp_path)) == len(SUFFIXES)


@pytest.mark.parametrize("codec", ["latin-1", "cp1252", "utf-8", "utf-16", "cp1251"])
def test_text_of_any_encoding_is_text(codec):
    text = {"cp1251": "Monday, понедельник: called twice and wrote it down. " * 9}
    content = text.get(codec, "Straße, Größe, café: all of it is text. " * 99)

    for n in (40, 301, HEAD_BYTES):
        assert is_text(content.encode(codec)[:n])


@pytest.mark.parametrize("rate", [8000, 44_100, 48_000])
@pytest.mark.parametrize("level", [0.0, 0.001, 1.0])
def test_raw_samples_are_neither_text_nor_media(note, rate, level):
    samples = (note[: rate // 4] * level * 32767).astype("<i2").tobytes()

    assert signature_of(samples[:HEAD_BYTES]) is None


@pytest.mark.parametrize("form", ["RIFF", "RF64", "BW64", "RIFX"])
def test_forms_of_wav(tmp_path, form):
    path = tmp_path / "x"
    with wave.open(str(path), "wb") as file:
        file.setparams((1, 2, 8000, 0, "NONE", ""))
        file.writeframes(bytes(800))
    head = form.encode() + struct.pack("<I", 2**32 - 1) + path.read_bytes()[8:]

    assert signature_of(head) == ("WAV", True)


def test_left_out_is_listed_with_paths_below_the_folder(tmp_path):
    (tmp_path / "a" / "b").mkdir(parents=True)
    (tmp_path / "a" / "b" / "note.txt").write_text("hello")
    (tmp_path / "x.wav").touch()
    name = os.fsencode(tmp_path) + b"/caf\xe9.txt"
    Path(os.fsdecode(name)).write_text("hello", "utf-8")

    found = list_source(tmp_path).left_out

    assert found == [
        LeftOut("a/b/note.txt", "text"),
        LeftOut("caf\\udce9.txt", "text"),
    ]
    assert entries.described(found) == "left out: 2 text, such as a/b/note.txt"
