"""Creates ``meeting.mp4``: a video call with the speakers and the words of ``transcript.json``.

    .venv/bin/python sandbox/media/make_video.py

It needs the packages of requirements-dev.txt, Chromium (or CHROMIUM) and ffmpeg. Chromium draws
each frame, each word is a soft note, and ffmpeg combines both.
"""

import json
import math
import os
import subprocess
import tempfile
import wave
from array import array
from pathlib import Path
from typing import Any

from playwright.sync_api import sync_playwright

FOLDER = Path(__file__).parent
CHROMIUM = os.environ.get("CHROMIUM", "/usr/bin/chromium")
WIDTH, HEIGHT, FRAMES_A_SECOND = 640, 360, 8
SECONDS = 22.5
HERTZ = 16_000
LOUDNESS = 0.12
KEYS = (261.6, 196.0, 329.6)  # Hz, one for each speaker
STEPS = (1.0, 9 / 8, 5 / 4, 3 / 2, 5 / 3)  # of a pentatonic scale
SCENE = """
<style>
  * { box-sizing: border-box; margin: 0 }
  body { width: 640px; height: 360px; overflow: hidden; color: #fff;
         font: 15px "DejaVu Sans", sans-serif;
         background: linear-gradient(135deg, #243b6b, #5b3f7d) }
  header { padding: 12px 18px; font-size: 13px; color: #cdd6f0 }
  main { display: flex; gap: 14px; padding: 0 18px; height: 220px }
  .tile { flex: 1; border-radius: 14px; border: 3px solid transparent; position: relative;
          background-origin: border-box !important;
          display: flex; align-items: center; justify-content: center }
  .face { width: 92px; height: 92px; border-radius: 50%; background: #ffffff2e; font-size: 34px;
          display: flex; align-items: center; justify-content: center }
  .name { position: absolute; left: 10px; bottom: 8px; padding: 3px 8px; border-radius: 7px;
          background: #0000006b; font-size: 12px }
  footer { position: absolute; left: 0; right: 0; bottom: 20px; text-align: center; height: 62px;
           display: flex; align-items: center; justify-content: center }
  footer span { background: #00000085; border-radius: 9px; padding: 8px 16px; max-width: 560px;
                font-size: 17px; line-height: 1.35; text-wrap: balance }
</style>
<header>Weekly sync</header><main></main><footer></footer>
<script>
  const COLOURS = ["#2f6f8f", "#4f5d75", "#8a4f6d"]
  function set(people) {
    document.querySelector("main").innerHTML = people.map((name, number) => `
      <div class="tile" style="background: linear-gradient(160deg, ${COLOURS[number]}, #1d2740)">
        <div class="face">${name.split(" ").map(word => word[0]).join("")}</div>
        <div class="name">${name}</div>
      </div>`).join("")
  }
  function draw(speaker, words, loudness) {
    document.querySelectorAll(".tile").forEach((tile, number) => {
      tile.style.borderColor = number === speaker ? "#7ee0a3" : "transparent"
      const size = number === speaker ? 1 + loudness * 0.06 : 1
      tile.querySelector(".face").style.transform = `scale(${size})`
    })
    const footer = document.querySelector("footer")
    footer.replaceChildren()
    if (words) footer.appendChild(document.createElement("span")).textContent = words
  }
</script>
"""


def read(name: str) -> Any:
    """Read a JSON file in this folder."""
    return json.loads((FOLDER / name).read_text("utf-8"))


class Turn:
    """A turn of a speaker: the speaker's number, the words, and the start and end in seconds."""

    def __init__(self, entry: dict[str, Any], ids: list[int], timeline: dict[float, float]) -> None:
        """Read an entry of the transcript. Its end is taken from the timeline."""
        (said,) = entry["words"]
        self.speaker = ids.index(entry["participant"]["id"])
        # Usual fonts have no emoji.
        self.words = "".join(each for each in said["text"] if ord(each) < 0x10000).strip()
        self.start = said["start_timestamp"]["relative"]
        self.end = timeline[self.start]

    def loudness(self, at: float) -> float:
        """Return the loudness at a time, from 0 to 1."""
        return abs(math.sin((at - self.start) * 7)) if self.start <= at < self.end else 0.0


def sound(turns: list[Turn], file: Path) -> None:
    """Write a soft note for each word."""
    samples = array("h", bytes(2 * int(SECONDS * HERTZ)))
    for turn in turns:
        words = turn.words.split()
        step = (turn.end - turn.start) / len(words)
        for number, word in enumerate(words):
            pitch = KEYS[turn.speaker] * STEPS[(len(word) + number) % len(STEPS)]
            begin = int((turn.start + number * step) * HERTZ)
            for offset in range(min(int(0.5 * HERTZ), len(samples) - begin)):
                at = offset / HERTZ
                swell = min(at / 0.02, 1) * math.exp(-7 * at)
                value = math.sin(math.tau * pitch * at) + 0.3 * math.sin(2 * math.tau * pitch * at)
                samples[begin + offset] += int(32767 * LOUDNESS * swell * value)
    with wave.open(str(file), "wb") as written:
        written.setparams((1, 2, HERTZ, 0, "NONE", ""))
        written.writeframes(samples.tobytes())


def frames(turns: list[Turn], names: list[str], folder: Path) -> None:
    """Draw each frame as a picture."""
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        page = browser.new_page(viewport={"width": WIDTH, "height": HEIGHT})
        page.set_content(SCENE)
        page.evaluate("names => set(names)", names)
        for number in range(int(SECONDS * FRAMES_A_SECOND)):
            at = number / FRAMES_A_SECOND
            turn = next((each for each in turns if each.start <= at < each.end + 0.3), None)
            now = [turn.speaker, turn.words, turn.loudness(at)] if turn else [-1, "", 0]
            page.evaluate("now => draw(...now)", now)
            page.screenshot(path=folder / f"{number:04}.png")
        browser.close()


def main() -> None:
    """Make the video."""
    people = read("participants.json")
    ids = [each["id"] for each in people]
    timeline = {
        each["start_timestamp"]["relative"]: each["end_timestamp"]["relative"]
        for each in read("speaker_timeline.json")
    }
    turns = [Turn(entry, ids, timeline) for entry in read("transcript.json")]
    # Speakers without a name are named as in the transcript.
    names = [each["name"] or "Speaker 1" for each in people]
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        frames(turns, names, folder)
        sound(turns, folder / "sound.wav")
        subprocess.run(
            [
                "ffmpeg", "-y", "-loglevel", "error",
                "-framerate", str(FRAMES_A_SECOND), "-i", str(folder / "%04d.png"),
                "-i", str(folder / "sound.wav"),
                "-c:v", "libx264", "-profile:v", "main", "-preset", "veryslow",
                "-tune", "animation", "-crf", "33", "-g", "40", "-pix_fmt", "yuv420p",
                "-c:a", "aac", "-b:a", "24k", "-ac", "1",
                "-shortest", "-movflags", "+faststart", "-map_metadata", "-1",
                "-fflags", "+bitexact", "-flags:v", "+bitexact", "-flags:a", "+bitexact",
                str(FOLDER / "meeting.mp4"),
            ],
            check=True,
        )  # fmt: skip


if __name__ == "__main__":
    main()
