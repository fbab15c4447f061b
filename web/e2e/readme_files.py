"""Write the files that the readme of the npm package speaks of into a folder: TO."""

from __future__ import annotations

import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT))

from espressivo.audio.recording import load_audio  # noqa: E402
from espressivo.cli.main import main  # noqa: E402
from tests.odd_recordings import Track, write  # noqa: E402
from tests.recordings import encode  # noqa: E402

folder = Path(sys.argv[1])
speech = load_audio(ROOT / "examples/voice-note.m4a")[:96_000]  # 6 s
encode(folder / "note.m4a", speech)
encode(folder / "note.ogg", speech)
write(folder / "film.mka", Track(speech, "opus"), Track(speech[:48_000], "opus"))
setting = [str(folder / "hotline.json"), "--from", str(folder / "note.*")]
sys.exit(main(["adapt", *setting, "--model", "espressivo-tiny"]))
