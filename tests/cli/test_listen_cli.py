from __future__ import annotations

import json
import os
import pty
import signal
import subprocess
import sys
from importlib.util import find_spec

import numpy as np
import pytest

import espressivo
from espressivo.cli.main import main
from espressivo.types import SAMPLE_RATE
from tests.conftest import NOTE, names_emotion
from tests.odd_recordings import Track, write
from tests.recordings import encode

LISTEN = [sys.executable, "-m", "espressivo", "listen", "-"]


@pytest.fixture(scope="module")
def pcm(note):
    """The note as raw PCM."""
    return np.round(note * 32_767).astype("<i2").tobytes()


def listen(*options, sound: bytes):
    return subprocess.run(
        [*LISTEN, *options], input=sound, capture_output=True, check=False
    )


def test_raw_sound_gives_the_report_of_analyze(analyzer, pcm):
    expected = analyzer.analyze(
        np.frombuffer(pcm, "<i2").astype(np.int16), name="stdin"
    )

    done = listen("--raw", "--json", sound=pcm)

    assert done.returncode == 0
    assert json.loads(done.stdout) == expected.to_dict()
    # On the way the windows were told, though not in a terminal.
    assert done.stderr.decode().count(" to 0:") == len(expected.estimates) - 1


@pytest.mark.parametrize("suffix", ["wav", "ogg", "mp3", "webm"])
def test_a_recording_through_a_pipe(analyzer, note, tmp_path, suffix):
    path = encode(tmp_path / f"note.{suffix}", note)

    done = listen("--json", sound=path.read_bytes())

    assert done.returncode == 0
    found, expected = json.loads(done.stdout), analyzer.analyze(path).to_dict()
    assert found["segments"] == expected["segments"]
    assert found["emotion"] == expected["emotion"]


def test_a_report_of_a_pipe_tells_what_was_heard(analyzer, note, tmp_path):
    def late(at_s):
        return at_s if at_s < 2 else at_s + 3

    speech = note[:64_000]
    tracks = [
        Track(np.zeros(64_000, np.float32), default=False),
        Track(np.stack([speech, -speech]), stamp=late, default=True),
    ]
    path = write(tmp_path / "x.mkv", *tracks)
    expected = analyzer.analyze(path).to_dict()

    listened = listen("--json", sound=path.read_bytes())

    report = json.loads(listened.stdout)
    assert expected["gaps"]
    assert expected["track"] == 2
    for field in ("track", "channels", "gaps", "duration_s", "segments"):
        assert report[field] == expected[field]
    texts = [w.partition(": ")[2] for w in expected["warnings"]]
    assert [w.partition(": ")[2] for w in report["warnings"]] == texts
    assert len(texts) >= 2


def test_estimates_as_lines(pcm):
    done = listen("--raw", "--lines", "--hop", "0.5", sound=pcm)

    lines = [json.loads(line) for line in done.stdout.decode().splitlines()]
    provisional = [line for line in lines if line["provisional"]]
    assert len(lines) - len(provisional) == 3  # the fourth ends with the sound
    assert len(provisional) > 20
    for line in lines:
        assert line["start_s"] < line["end_s"] <= line["at_s"]
        assert sum(line["probabilities"].values()) == pytest.approx(1)
        assert line["emotion"] == max(
            line["probabilities"], key=line["probabilities"].get
        )


def test_uncertain_estimates_are_told_in_lines_and_in_words(pcm, judging_model):
    model = espressivo.load_model(judging_model)
    threshold = model.classifier.card.certainty.threshold

    done = listen("--raw", "--lines", "--model", str(judging_model), sound=pcm)
    words = listen("--raw", "--model", str(judging_model), sound=pcm)

    lines = [json.loads(line) for line in done.stdout.decode().splitlines()]
    assert {line["uncertain"] for line in lines} == {True, False}
    for line in lines:
        top = max(line["probabilities"].values())
        assert line["uncertain"] is (top < threshold) or top == pytest.approx(threshold)
    final = [line for line in lines if not line["provisional"]]
    told = [" uncertain (" in row for row in words.stderr.decode().splitlines()]
    assert told == [line["uncertain"] for line in final]
    assert b"uncertain: no emotion reaches" in words.stdout


def test_csv_and_the_table(pcm):
    assert listen("--raw", "--csv", sound=pcm).stdout.startswith(b"recording,part,")
    assert b"whole recording" in listen("--raw", sound=pcm).stdout


def test_ctrl_c_ends_it_with_the_report(pcm):
    process = subprocess.Popen(
        [*LISTEN, "--raw", "--json"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )
    process.stdin.write(pcm[: 2 * 16_000 * 12])
    process.stdin.flush()
    # The first window is told: it listens.
    assert names_emotion(process.stderr.readline())
    process.send_signal(signal.SIGINT)
    out, err = process.communicate(timeout=30)

    assert process.returncode == 0
    report = json.loads(out)
    assert 6 < report["duration_s"] <= 12
    assert report["windows"]
    assert b"Traceback" not in err


def test_in_a_terminal_it_shows_level_and_what_is_said_now(pcm, analyzer):
    ours, theirs = pty.openpty()
    with subprocess.Popen(
        [*LISTEN, "--raw"],
        stdin=subprocess.PIPE,
        stdout=subprocess.DEVNULL,
        stderr=theirs,
        env=os.environ | {"TERM": "xterm-256color", "COLUMNS": "80"},
    ) as process:
        os.close(theirs)
        # It ends in the middle of a word, so that the last level that is shown is one.
        heard = pcm[: 2 * round(10.3 * SAMPLE_RATE)]
        process.stdin.write(heard)
        process.stdin.close()
        shown = b""
        while True:
            try:
                shown += os.read(ours, 4096)
            except OSError:  # the terminal is gone: it has ended
                break
    os.close(ours)

    text = shown.decode()
    assert "Ctrl-C ends it" in text
    assert "▮" in text
    *_, last = analyzer.stream(hop_s=1.0).push(np.frombuffer(heard, "<i2"))
    assert f"{last.emotion} {last.probabilities[last.emotion]:.0%}" in text
    assert process.returncode == 0


@pytest.mark.parametrize(
    ("sound", "options", "message"),
    [
        (b"words, not a recording" * 50, (), "stdin: cannot be read as a recording"),
        (b"", (), "stdin: cannot be read as a recording"),
    ],
)
def test_what_is_no_recording(sound, options, message):
    done = listen(*options, sound=sound)

    assert done.returncode == 1
    assert message in done.stderr.decode()
    assert len(done.stderr.decode().splitlines()) == 1
    assert done.stdout == b""


def test_no_sound_at_all_is_an_empty_report():
    done = listen("--raw", "--json", sound=b"")

    assert done.returncode == 0
    assert json.loads(done.stdout)["emotion"] is None


def test_command_lines_that_are_refused(capsys):
    for arguments in (["--raw"], ["-", "--hop", "-1"], ["-", "--hop", "x"], ["other"]):
        with pytest.raises(SystemExit) as exit_:
            main(["listen", *arguments])
        assert exit_.value.code == 2
    assert "give - as well" in capsys.readouterr().err


def test_without_sounddevice_the_microphone_says_what_to_install(capsys):
    if find_spec("sounddevice") is not None:
        pytest.skip("sounddevice is installed here, so that nothing is missing")

    assert main(["listen"]) == 1

    assert 'pip install "espressivo[live]"' in capsys.readouterr().err


def test_a_profile_is_used_and_learns_nothing(pcm, tmp_path, capsys):
    me = str(tmp_path / "me.json")
    assert main(["profile", "create", me, str(NOTE)]) == 0
    before = (tmp_path / "me.json").read_bytes()

    done = listen("--raw", "--json", "--speaker", me, sound=pcm)

    assert json.loads(done.stdout)["adaptation"]["n_recordings"] == 1
    assert (tmp_path / "me.json").read_bytes() == before


def test_a_setting_is_used_too(pcm, tmp_path):
    room = str(tmp_path / "room.json")
    assert main(["adapt", room, "--from", str(NOTE.parent)]) == 0

    done = listen("--raw", "--json", "--setting", room, sound=pcm)

    adapted = json.loads(done.stdout)["adaptation"]
    assert (adapted["speaker"], adapted["setting"]) == (None, "room")
    assert adapted["weight"] > 0


def test_what_has_not_ended_is_not_adapted_to_itself(capsys):
    with pytest.raises(SystemExit):
        main(["listen", "-", "--adapt"])
    assert "use `espressivo analyze --adapt`" in capsys.readouterr().err
