#!/usr/bin/env python3
"""Prints the translation units of a build folder that took longest: slowest_units.py FOLDER [N].

Reads ninja's log; a unit that came out of a compiler cache shows the time of the lookup.
"""

import sys
from pathlib import Path


def parse_log(text):
    """{object: milliseconds} of the last time each object was compiled."""
    times = {}
    for line in text.splitlines():
        fields = line.split("\t")
        if len(fields) == 5 and fields[3].endswith(".o"):
            times[fields[3]] = int(fields[1]) - int(fields[0])
    return times


def main():
    folder, count = Path(sys.argv[1]), int(sys.argv[2]) if len(sys.argv) > 2 else 10
    times = parse_log((folder / ".ninja_log").read_text())
    for name, milliseconds in sorted(times.items(), key=lambda item: -item[1])[:count]:
        print(f"{milliseconds / 1000:7.1f} s  {name}")
    print(f"{sum(times.values()) / 1000:7.1f} s  in {len(times)} translation units together")


if __name__ == "__main__":
    main()
