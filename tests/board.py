"""The program in a pseudoterminal, for the scripts that measure it: tests/many.py, tests/order.py, tests/weight.py."""

import fcntl
import os
import pathlib
import pty
import re
import select
import signal
import struct
import sys
import termios
import time

LIMIT = 60
COLS, ROWS = 120, 40


class Screen:
    """As much of a terminal as the board's words need: where the cursor is put, and text."""

    TOKEN = re.compile(r"\x1b\[(?P<par>[\d;?]*)(?P<fin>[@-~])|\x1b\].*?(?:\x07|\x1b\\)|\x1b[^\[\]]|(?P<text>[^\x00-\x1f]+)")

    def __init__(self):
        self.rows, self.row, self.col = [[" "] * COLS for _ in range(ROWS)], 0, 0

    def feed(self, text):
        for token in self.TOKEN.finditer(text):
            if token["fin"] == "H":
                at = [int(p) for p in token["par"].split(";") if p] or [1, 1]
                self.row, self.col = at[0] - 1, at[-1] - 1
            elif token["fin"] == "J":
                self.rows = [[" "] * COLS for _ in range(ROWS)]
            for char in token["text"] or "":
                if self.col < COLS:
                    self.rows[self.row][self.col] = char
                self.col += 1

    def shows(self, pattern):
        return re.search(pattern, "\n".join(map("".join, self.rows))) is not None


class Board:
    """The board in a pseudoterminal, and what /proc says of it."""

    def __init__(self, *argv):
        self.screen, self.sent = Screen(), 0
        size = struct.pack("HHHH", ROWS, COLS, 0, 0)
        self.begun = time.monotonic()
        self.pid, self.fd = pty.fork()
        if self.pid == 0:
            fcntl.ioctl(0, termios.TIOCSWINSZ, size)
            os.environ.update(TERM="xterm-256color", COLORTERM="")
            os.execv(argv[0], argv)
        self.proc = pathlib.Path(f"/proc/{self.pid}")

    def read(self, wait):
        """What comes within `wait` seconds at most, or nothing; with when it came."""
        if not select.select([self.fd], [], [], max(wait, 0))[0]:
            return None
        try:
            data = os.read(self.fd, 1 << 16)
        except OSError:
            # It has ended.
            time.sleep(0.01)
            return None
        came = time.monotonic()
        self.sent += len(data)
        # What is cut within a character or a sequence is drawn wrong, and drawn again by the next frame.
        self.screen.feed(data.decode(errors="replace"))
        return came

    def until(self, pattern, limit, needed=True):
        """When the screen first matched, in seconds since the start; `None` where it did not and need not."""
        at = None
        while not self.screen.shows(pattern):
            at = self.read(1) or at
            if time.monotonic() - self.begun > limit:
                if not needed:
                    return None
                shown = "\n".join(map("".join, self.screen.rows))
                sys.exit(f"the board did not show {pattern} within {limit} s:\n{shown}")
        return (at or time.monotonic()) - self.begun

    def rest(self, duration):
        """Reads for so long."""
        end = time.monotonic() + duration
        while (left := end - time.monotonic()) > 0:
            self.read(left)

    def key(self, key):
        """Milliseconds from a key to the first byte of what it changed; `None` where nothing came."""
        while self.read(0):
            pass
        begun = time.monotonic()
        os.write(self.fd, key)
        at = self.read(2)
        return at and (at - begun) * 1000

    def used(self):
        """CPU seconds, and how often its threads were woken, since the start."""
        cpu = wakes = 0
        for task in (self.proc / "task").iterdir():
            cpu += int((task / "schedstat").read_text().split()[0]) / 1e9
            wakes += int(re.search(r"\nvoluntary_ctxt_switches:\s+(\d+)", (task / "status").read_text()).group(1))
        return cpu, wakes

    def memory(self):
        """RSS and PSS in MB."""
        rollup = (self.proc / "smaps_rollup").read_text()
        return [int(re.search(rf"\n{what}:\s+(\d+)", rollup).group(1)) / 1024 for what in ("Rss", "Pss")]

    def fds(self):
        return len(list((self.proc / "fd").iterdir()))

    def end(self, by=signal.SIGTERM):
        """Has it ended, or waits until it does; fails where it does not."""
        if by:
            os.kill(self.pid, by)
        begun = time.monotonic()
        while os.waitpid(self.pid, os.WNOHANG)[0] == 0:
            if time.monotonic() - begun > LIMIT:
                sys.exit(f"the board did not end within {LIMIT} s")
            self.read(0.1)
        os.close(self.fd)
