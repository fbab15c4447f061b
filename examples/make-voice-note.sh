#!/bin/sh
# Make voice-note.m4a anew, in this folder. Needs flite, sox and ffmpeg.
set -eu
out=$(cd "$(dirname "$0")" && pwd)/voice-note.m4a
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"

say() { # pitch (Hz), its standard deviation (Hz), slowness, name, text
    flite -voice slt --setf int_f0_target_mean="$1" --setf int_f0_target_stddev="$2" \
        --setf duration_stretch="$3" -t "$5" -o "$4.wav"
}
say 170 12 1.05 a "Hi, it is me. I am calling about the tickets for Saturday. The train leaves at nine."
say 260 60 0.85 b "You will not believe it! They said yes! We got the flat, and the garden as well!"
say 240 35 0.80 c "But who left the door open all night? I told you twice! Twice! How can you forget that again?"
say 140 5 1.35 d "Anyway. I am so tired today. I miss him. Call me back when you can."
sox -D -n -r 16000 -c 1 pause.wav trim 0 1.2
sox -D a.wav pause.wav b.wav pause.wav c.wav pause.wav d.wav note.wav
ffmpeg -y -loglevel error -i note.wav -c:a aac -b:a 32k -ar 16000 -ac 1 \
    -map_metadata -1 -fflags +bitexact -flags:a +bitexact "$out"
