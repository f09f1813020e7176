#!/usr/bin/env python3
"""What the program as it is built for use weighs: its file, and the demo with its whole world at rest.

  tests/weight.py [--bin target/release/lifeboat]

Fails where the file is over 28 MB, or the demo over 16 MB (resident, at rest; each of three starts, for what it touches on
its way is not always the same). Of the latter, the program's own pages depend on where its functions lie (.layout), which
takes one compiler and its linker: with others only what the demo allocates is held, to 8 MB. Nothing is timed. Linux.
"""

import argparse
import os
import pathlib
import re
import subprocess
import sys

from board import Board
from order import BUILT, LIMIT, ORDER

FILE, RESIDENT, ANONYMOUS = 28, 16, 8
STARTS, REST = 3, 20


def at_rest(binary):
    """What a demo at rest takes, in MB: resident, and of that what it allocated."""
    demo = Board(binary, "demo")
    demo.until("ready", LIMIT)
    demo.rest(REST)
    status = (demo.proc / "status").read_text()
    demo.end()
    return [int(re.search(rf"{kind}:\s+(\d+) kB", status)[1]) / 1024 for kind in ("VmRSS", "RssAnon")]


def unordered(binary):
    """Why the functions of a program do not lie in the order of the list; nothing where they do."""
    compiler = subprocess.run(["rustc", "--version"], check=True, capture_output=True, text=True).stdout.strip()
    ordered = ORDER.read_text().split("\n", 1)[0].removeprefix("# ")
    if compiler != ordered:
        return f"the order is of {ordered}, this is {compiler}"
    told = [path.read_text() for path in pathlib.Path(binary).parent.glob("build/lifeboat-*/output")]
    if not any("symbol-ordering-file" in text for text in told):
        return "it was built with another linker than the compiler's own"
    return None


def main():
    args = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    args.add_argument("--bin", default=str(BUILT))
    binary = str(pathlib.Path(args.parse_args().bin).resolve())
    for _ in range(STARTS):
        resident, allocated = at_rest(binary)
        if resident <= RESIDENT:
            break
    weighed = {
        "the file": (os.stat(binary).st_size / (1 << 20), FILE),
        "the demo, allocated": (allocated, ANONYMOUS),
    }
    if why := unordered(binary):
        print(f"resident: {resident:.1f} MB, not held to anything: {why}")
    else:
        weighed["the demo, resident"] = resident, RESIDENT
    for what, (size, limit) in weighed.items():
        print(f"{what}: {size:.1f} MB of {limit}")
    if any(size > limit for size, limit in weighed.values()):
        sys.exit("weight: too heavy")


main()
