#!/usr/bin/env python3
"""Makes .layout/order: the program's functions in the order in which an ordinary day enters them first.

  tests/order.py [--bin target/release/lifeboat]

Without --bin it builds the program with its symbols first. The day: the board and `check` on a practice world, and then
the demo, with every screen looked at. The list names the symbols of the compiler that built the program: make it anew
after a change of compiler, or when tests/weight.py says so. x86_64 Linux; needs cc and nm.
"""

import argparse
import os
import pathlib
import subprocess
import sys
import tempfile

from board import Board

ROOT = pathlib.Path(__file__).resolve().parent.parent
ORDER = ROOT / ".layout/order"
BUILT = pathlib.Path(os.environ.get("CARGO_TARGET_DIR", ROOT / "target")) / "release/lifeboat"
LIMIT = 120
# Every screen that can be looked at from the board, and the way back.
SCREENS = "jk\r\x1bt\x1b?\x1b/p\x1b:\x1boorff"


def symbols(binary):
    """The program's functions: the names at each address."""
    at = {}
    listed = subprocess.run(["nm", "--defined-only", "-S", binary], check=True, capture_output=True, text=True).stdout
    for line in listed.splitlines():
        words = line.split(" ", 3)
        if len(words) == 4 and words[2] in "tTwW":
            at.setdefault(int(words[0], 16), []).append(words[3])
    if len(at) < 1000:
        sys.exit(f"order: {binary} has no symbols")
    return at


def looked_at(argv, rest, keys=""):
    """A board that is ready and rests for so long, and whose screens are then looked at. It ends by itself: only then is
    written what it entered."""
    board = Board(*argv)
    board.until("ready", LIMIT)
    board.rest(rest)
    for key in keys + "q":
        os.write(board.fd, key.encode())
        board.rest(0.5)
    board.end(by=None)


def day(binary, follow):
    """An ordinary day. Each program is followed by `follow`, which gives what to execute: first what rests, then what a
    person asks for, so that what is always needed lies together."""
    with subprocess.Popen([binary, "demo", "--serve"], stdout=subprocess.PIPE, text=True) as world:
        config = world.stdout.readline().strip()
        looked_at(follow("board", "--config", config), 20)
        looked_at(follow("demo", "demo"), 30)
        looked_at(follow("screens", "--config", config), 5, SCREENS)
        looked_at(follow("practised screens", "demo"), 5, SCREENS)
        # Its exit code is a verdict.
        subprocess.run(follow("check", "--config", config, "check"), stdout=subprocess.DEVNULL)
        world.terminate()


def make(binary):
    at = symbols(binary)
    with tempfile.TemporaryDirectory(prefix="order-") as scratch:
        scratch = pathlib.Path(scratch)
        (scratch / "addresses").write_text("".join(f"{a:x}\n" for a in sorted(at)))
        subprocess.run(["cc", "-O2", "-Wall", "-o", scratch / "entered", ROOT / "tests/entered.c"], check=True)
        runs = []

        def follow(name, *arguments):
            runs.append(scratch / name)
            return [str(scratch / "entered"), str(scratch / "addresses"), str(runs[-1]), binary, *arguments]

        day(binary, follow)
        names = {}
        for run in runs:
            entered = [int(line, 16) for line in run.read_text().split()]
            new = [name for address in entered for name in at[address] if name not in names]
            names.update(dict.fromkeys(new))
            print(f"{run.name}: {len(entered)} functions, {len(new)} of them new")
    compiler = subprocess.run(["rustc", "--version"], check=True, capture_output=True, text=True).stdout.strip()
    ORDER.write_text(f"# {compiler}\n" + "".join(f"{name}\n" for name in names))
    print(f"{ORDER.relative_to(ROOT)}: {len(names)} of {sum(map(len, at.values()))} functions")


def main():
    args = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    args.add_argument("--bin", help="a program with its symbols")
    args = args.parse_args()
    binary = args.bin or str(BUILT)
    if not args.bin:
        build = ["cargo", "rustc", "--release", "--locked", "--bin", "lifeboat", "--", "-C", "strip=none"]
        subprocess.run(build, check=True, cwd=ROOT)
    make(str(pathlib.Path(binary).resolve()))


if __name__ == "__main__":
    main()
