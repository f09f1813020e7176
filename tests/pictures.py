#!/usr/bin/env python3
"""Makes the README's pictures into .pictures/: the real binary, on a real lab, through a pseudoterminal.

  tests/pictures.py [--bin target/release/lifeboat] [--config FILE] [--out .pictures]

Without --config it brings up the demo lab (tests/lab.sh up) in a directory of its own, and takes it down again.
Needs: pip install pyte pillow; apt-get install fonts-dejavu-core. Each picture is a PNG and the same as text.
"""

import argparse
import errno
import fcntl
import os
import pathlib
import pty
import selectors
import shutil
import signal
import struct
import subprocess
import sys
import tempfile
import termios
import time

import pyte
from PIL import Image, ImageDraw, ImageFont

HERE = pathlib.Path(__file__).resolve().parent
FONT_DIR = pathlib.Path("/usr/share/fonts/truetype/dejavu")
FONT_SIZE = 15
PAPER = (18, 18, 22)
INK = (208, 208, 208)
# What a terminal shows for the sixteen named colours, as pyte names them.
PALETTE = {
    "black": (0, 0, 0), "red": (205, 49, 49), "green": (22, 188, 121), "brown": (212, 178, 35),
    "blue": (66, 122, 244), "magenta": (188, 63, 188), "cyan": (17, 168, 205), "white": (229, 229, 229),
    "brightblack": (118, 118, 118), "brightred": (241, 76, 76), "brightgreen": (35, 209, 139),
    "brightbrown": (245, 245, 67), "brightblue": (106, 162, 255), "brightmagenta": (214, 112, 214),
    "bfightmagenta": (214, 112, 214), "brightcyan": (41, 184, 219), "brightwhite": (255, 255, 255),
}
SIZES = [(80, 24), (120, 40), (200, 60)]


class Terminal(pyte.Screen):
    """A screen that ignores what pyte does not know."""

    def select_graphic_rendition(self, *attributes, private=False):
        if not private:
            super().select_graphic_rendition(*attributes)

    def report_device_attributes(self, *_args, **_more):
        pass

    def report_device_status(self, *_args, **_more):
        pass


class Session:
    """One program in a pseudoterminal of a given size."""

    def __init__(self, command, size, environment):
        self.columns, self.lines = size
        self.screen = Terminal(self.columns, self.lines)
        self.stream = pyte.ByteStream(self.screen)
        leader, follower = pty.openpty()
        fcntl.ioctl(follower, termios.TIOCSWINSZ, struct.pack("HHHH", self.lines, self.columns, 0, 0))

        def own_terminal():
            os.setsid()
            fcntl.ioctl(0, termios.TIOCSCTTY, 0)

        self.process = subprocess.Popen(
            command, stdin=follower, stdout=follower, stderr=follower, env=environment, preexec_fn=own_terminal
        )
        os.close(follower)
        self.leader = leader
        self.selector = selectors.DefaultSelector()
        self.selector.register(leader, selectors.EVENT_READ)

    def take(self, seconds):
        """Takes in what the program draws within so many seconds; False when it has ended."""
        if not self.selector.select(seconds):
            return True
        try:
            piece = os.read(self.leader, 1 << 16)
        except OSError as e:
            if e.errno == errno.EIO:
                return False
            raise
        self.stream.feed(piece)
        return bool(piece)

    def text(self):
        return "\n".join(line.rstrip() for line in self.screen.display)

    def until(self, what, seen, limit=30.0):
        """Draws until the condition holds, and then until nothing more comes."""
        end = time.monotonic() + limit
        while not seen(self.text()):
            if time.monotonic() > end or not self.take(0.1):
                raise SystemExit(f"never seen: {what}\n{self.text()}")
        quiet = time.monotonic() + 0.4
        while time.monotonic() < quiet and self.take(0.1):
            pass

    def press(self, keys):
        os.write(self.leader, keys.encode())

    def type(self, text):
        """Types as a person does: keys that come at once are taken for a paste."""
        for c in text:
            self.press(c)
            end = time.monotonic() + 0.05
            while time.monotonic() < end:
                self.take(0.01)

    def close(self):
        """Ends the program with q, or harder."""
        if self.process.poll() is None:
            self.press("q")
        end = time.monotonic() + 3
        while time.monotonic() < end and self.process.poll() is None and self.take(0.05):
            pass
        try:
            code = self.process.wait(timeout=2)
        except subprocess.TimeoutExpired:
            self.process.kill()
            raise SystemExit("the program did not end on q") from None
        os.close(self.leader)
        return code


def colour(name, default):
    if name == "default":
        return default
    if name in PALETTE:
        return PALETTE[name]
    return tuple(bytes.fromhex(name))


class Painter:
    """Paints a screen as a picture."""

    def __init__(self):
        load = lambda face: ImageFont.truetype(str(FONT_DIR / f"DejaVuSansMono{face}.ttf"), FONT_SIZE)
        self.plain, self.bold = load(""), load("-Bold")
        self.width = round(self.plain.getlength("M"))
        self.height = sum(self.plain.getmetrics())

    def paint(self, screen):
        image = Image.new("RGB", (self.width * screen.columns + 16, self.height * screen.lines + 16), PAPER)
        draw = ImageDraw.Draw(image)
        for line in range(screen.lines):
            for column in range(screen.columns):
                self.cell(draw, screen.buffer[line][column], 8 + column * self.width, 8 + line * self.height)
        return image

    def cell(self, draw, cell, x, y):
        ink, paper = colour(cell.fg, INK), colour(cell.bg, PAPER)
        if cell.reverse:
            ink, paper = paper, ink
        right, bottom = x + self.width - 1, y + self.height - 1
        if paper != PAPER:
            draw.rectangle((x, y, right, bottom), fill=paper)
        code = ord(cell.data[0]) if cell.data else 0x20
        if 0x2581 <= code <= 0x2588:  # lower blocks: drawn, so that they join
            draw.rectangle((x, bottom + 1 - self.height * (code - 0x2580) // 8, right, bottom), fill=ink)
        elif 0x2589 <= code <= 0x258F:  # left blocks
            draw.rectangle((x, y, x + self.width * (0x2590 - code) // 8 - 1, bottom), fill=ink)
        elif code == 0x2500:  # a horizontal rule
            draw.line((x, (y + bottom) // 2, right, (y + bottom) // 2), fill=ink)
        elif code == 0x2502:  # a vertical rule
            draw.line(((x + right) // 2, y, (x + right) // 2, bottom), fill=ink)
        elif 0x2800 <= code <= 0x28FF:
            self.braille(draw, code - 0x2800, x, y, ink)
        elif code != 0x20:
            draw.text((x, y), cell.data, font=self.bold if cell.bold else self.plain, fill=ink)
        if cell.underscore:
            draw.line((x, bottom - 1, right, bottom - 1), fill=ink)

    def braille(self, draw, dots, x, y, ink):
        # Unicode numbers the dots down the left column, down the right one, then the bottom row.
        places = [(0, 0), (0, 1), (0, 2), (1, 0), (1, 1), (1, 2), (0, 3), (1, 3)]
        for bit, (column, row) in enumerate(places):
            if dots >> bit & 1:
                cx = x + self.width * (2 * column + 1) // 4
                cy = y + self.height * (2 * row + 1) // 8
                draw.rectangle((cx - 1, cy - 1, cx, cy), fill=ink)


def lab(verb, directory):
    out = subprocess.run([str(HERE / "lab.sh"), verb, directory], check=True, text=True, stdout=subprocess.PIPE)
    return out.stdout


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--bin", default="target/release/lifeboat")
    parser.add_argument("--config")
    parser.add_argument("--out", default=".pictures")
    options = parser.parse_args()
    # Interrupted, the lab comes down all the same.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    out = pathlib.Path(options.out)
    out.mkdir(parents=True, exist_ok=True)
    state = tempfile.mkdtemp(prefix="lifeboat-pictures-")
    directory = None if options.config else tempfile.mkdtemp(prefix="lifeboat-lab-")
    try:
        config = options.config
        if directory:
            lab("up", directory)
            config = f"{directory}/lifeboat.toml"
        camera = Camera(options.bin, config, out, state)
        for size in SIZES:
            camera.practice(size)
            camera.peace(size)
        if directory:
            # The real thing: the primary's whole host hangs.
            lab("hang-primary", directory)
            for size in SIZES:
                camera.trouble(size)
            camera.approval((120, 40))
    finally:
        if directory:
            lab("down", directory)
            shutil.rmtree(directory, ignore_errors=True)
        shutil.rmtree(state, ignore_errors=True)


class Camera:
    """Takes the pictures of one configuration."""

    def __init__(self, binary, config, out, state):
        self.command, self.out, self.painter = [binary, "--config", config], out, Painter()
        self.environment = {
            "PATH": os.environ["PATH"], "HOME": state, "XDG_DATA_HOME": state, "XDG_STATE_HOME": state,
            "TERM": "xterm-256color", "COLORTERM": "truecolor", "LANG": "C.UTF-8",
        }

    def save(self, session, name):
        name = f"{name}-{session.columns}x{session.lines}"
        self.painter.paint(session.screen).save(self.out / f"{name}.png", optimize=True)
        (self.out / f"{name}.txt").write_text(session.text() + "\n")
        print(self.out / f"{name}.png")

    def changed_by(self, session, keys, what):
        before = session.text()
        session.press(keys)
        session.until(what, lambda text: text != before)

    def practice(self, size):
        command = [self.command[0], "demo", "--scenario", "region-loss", "--speed", "5"]
        session = Session(command, size, self.environment)

        def lost(text):
            return any("payments" in line and "UNREACHABLE" in line for line in text.splitlines()) and "GO" in text

        session.until("the outage", lost, limit=60.0)
        self.save(session, "demo")
        session.close()

    def peace(self, size):
        session = Session(self.command, size, self.environment)
        session.until("all plans judged", lambda text: "ready" in text and "unknown" not in text and "shop" in text)
        self.save(session, "board")
        self.changed_by(session, "?", "help")
        self.save(session, "help")
        self.changed_by(session, "\x1b", "the board again")
        self.changed_by(session, "/shop", "the filter")
        self.changed_by(session, "\r", "the filtered board")
        self.changed_by(session, "\r", "the plan view")
        self.save(session, "plan")
        session.close()

    def trouble(self, size):
        session = Session(self.command, size, self.environment)
        session.until("the situation", lambda text: "UNREACHABLE" in text.upper() and "GO" in text)
        self.save(session, "trouble")
        session.close()

    def approval(self, size):
        """A failover is opened, its first step is shown, and its approval is being typed."""
        session = Session(self.command, size, self.environment)
        session.until("the situation", lambda text: "UNREACHABLE" in text.upper() and "GO" in text)
        self.changed_by(session, "/shop", "the filter")
        self.changed_by(session, "\r", "the filtered board")
        session.press("F")
        session.until("what is wrong", lambda text: "What is wrong?" in text)
        session.press("o")
        session.until("why", lambda text: "why this failover" in text)
        for words in ("east does not answer", "shop"):
            session.type(words)
            session.press("\r")
        session.until("what would be done", lambda text: "A reads all of it" in text)
        session.press("A")
        session.until("the prompt", lambda text: "APPROVE STEP" in text)
        session.type("assumed fence")
        session.press("\r")
        session.type("fence 127")
        self.save(session, "approve")
        # Nothing was approved; the run ends here.
        session.press("\x1b")
        session.until("the run", lambda text: "A reads all of it" in text)
        session.press("X")
        session.until("why", lambda text: "to end the run" in text)
        for words in ("a picture", "abort"):
            session.type(words)
            session.press("\r")
        session.until("the end", lambda text: "K takes note" in text)
        session.close()


if __name__ == "__main__":
    main()
