#!/usr/bin/env python3
"""Checks that includes go only downward, and that costly headers stay where they may be.

The table under "## The house" in docs/architecture.md is the rule: its first column names folders,
its last the rooms that those folders may include; permission is inherited from what is included.
Prints `file:line: rule` for every violation and exits 1 if there is one.
"""

import argparse
import re
import sys
from pathlib import Path

from project_files import ROOT, project_files

SOURCE_SUFFIXES = (".h", ".hpp", ".inc", ".cpp", ".cc", ".cu", ".cuh", ".mm")
INCLUDE = re.compile(r'^\s*#\s*(?:include|import)\s*([<"])([^>"]+)[>"]')

# Seconds of compile time each: at most MAX_HEAVY_USERS .cpp files include one, and no header.
HEAVY_HEADERS = {
    "CLI11": re.compile(r"CLI/"),
    "nlohmann-json": re.compile(r"nlohmann/"),
    "toml++": re.compile(r"toml\+\+/|toml\.hpp$"),
}
MAX_HEAVY_USERS = 2

# A library is known to one folder only (and to the benchmarks that measure against it).
CONFINED_HEADERS = {
    "oneDNN": (re.compile(r"oneapi/|dnnl"), ("ingot/backends/cpu/", "bench/")),
    "Highway": (re.compile(r"hwy/"), ("ingot/backends/cpu/", "bench/")),
    "OpenMP": (re.compile(r"omp\.h$"), ("ingot/backends/cpu/", "bench/")),
    "GoogleTest": (re.compile(r"gtest/|gmock/"), ("tests/",)),
}

EVERYTHING = "everything"


class Layers:
    """Which rooms there are and, for each, the rooms it may include."""

    def __init__(self, direct):
        self.direct = direct
        self.allowed = {room: self._closure(room) for room in direct}

    def _closure(self, room):
        seen, stack = set(), [room]
        while stack:
            for below in self.direct.get(stack.pop(), ()):
                if below not in seen:
                    seen.add(below)
                    stack.append(below)
        return seen

    def room_of(self, path):
        """The longest folder of the table that holds `path`, or None."""
        folder = str(path)
        while "/" in folder:
            folder = folder.rsplit("/", 1)[0]
            # The row `ingot/` is for the files that lie in it, not for rooms without a row.
            if folder in self.direct and (folder != "ingot" or str(path).count("/") == 1):
                return folder
        return None

    def may_include(self, room, target):
        below = self.allowed[room]
        return target == room or EVERYTHING in below or target in below


def parse_table(markdown):
    """Reads the table under "## The house"; raises ValueError where it is not one."""
    section = re.search(r"^## The house$(.*?)(?=^## |\Z)", markdown, re.M | re.S)
    if not section:
        raise ValueError('docs/architecture.md has no section "The house"')
    rows = []
    for line in section.group(1).splitlines():
        cells = [cell.strip() for cell in line.strip().strip("|").split("|")]
        if line.startswith("|") and len(cells) >= 3 and "`" in cells[0]:
            folders = [name.rstrip("/") for name in re.findall(r"`([^`]+)`", cells[0])]
            rows.append((folders, cells[-1]))
    if not rows:
        raise ValueError('the section "The house" of docs/architecture.md has no table')
    direct = {folder: set() for folders, _ in rows for folder in folders}
    for folders, allowed in rows:
        names = [name.rstrip("/") for name in re.findall(r"`([^`]+)`", allowed)]
        if not names and EVERYTHING in allowed:
            names = [EVERYTHING]
        for name in names:
            if name != EVERYTHING and name not in direct:
                raise ValueError(f"the table names `{name}`, which has no row of its own")
        for folder in folders:
            direct[folder].update(names)
    return Layers(direct)


def includes_of(text):
    """Yields (line number, quoted, path) for each include outside a block comment."""
    in_comment = False
    for number, line in enumerate(text.splitlines(), 1):
        if in_comment:
            in_comment = "*/" not in line
            continue
        match = INCLUDE.match(line)
        if match:
            yield number, match.group(1) == '"', match.group(2)
        elif line.lstrip().startswith("/*"):
            in_comment = "*/" not in line


def check_include(layers, path, room, target, quoted, exists):
    """The rule that this one include breaks, or None."""
    for library, (pattern, folders) in CONFINED_HEADERS.items():
        if pattern.match(target) and not path.startswith(folders):
            return f"{library} headers may be included only under {', '.join(folders)}"
    top = target.split("/", 1)[0]
    ours = exists(target) or top in {name.split("/")[0] for name in layers.direct}
    if not ours:
        if quoted:
            return f'"{target}" is not a file of this project: give its path from the root'
        return None
    if not quoted:
        return f'include "{target}" with quotes, it is a file of this project'
    if not exists(target):
        return f'"{target}" does not exist'
    below = layers.room_of(target)
    if below is None:
        return f'"{target}" is in no folder of the table in docs/architecture.md'
    if not layers.may_include(room, below):
        allowed = ", ".join(sorted(layers.allowed[room])) or "nothing of ours"
        return f"{room} may not include {below} (only {allowed})"
    return None


def check(layers, sources):
    """Violations in `sources` (path → text) as (path, line, rule), sorted."""
    found, heavy_users = [], {name: {} for name in HEAVY_HEADERS}
    for path, text in sorted(sources.items()):
        room = layers.room_of(path)
        if room is None:
            found.append((path, 1, "this folder is not in the table in docs/architecture.md"))
            continue
        for line, quoted, target in includes_of(text):
            rule = check_include(layers, path, room, target, quoted, sources.__contains__)
            if rule:
                found.append((path, line, rule))
            for name, pattern in HEAVY_HEADERS.items():
                if pattern.match(target):
                    if path.endswith(".cpp"):
                        heavy_users[name].setdefault(path, line)
                    else:
                        found.append((path, line, f"{name} may not be included by a header"))
    for name, users in heavy_users.items():
        for path, line in sorted(users.items())[MAX_HEAVY_USERS:]:
            found.append((path, line, f"{name} may be included by at most {MAX_HEAVY_USERS} "
                                      f".cpp files, this is one more"))
    return sorted(found)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--root", type=Path, default=ROOT)
    root = parser.parse_args().root
    layers = parse_table((root / "docs/architecture.md").read_text())
    sources = {path: (root / path).read_text() for path in project_files(SOURCE_SUFFIXES, root)}
    found = check(layers, sources)
    for path, line, rule in found:
        print(f"{path}:{line}: {rule}")
    print(f"layers: {len(sources)} files, {len(found)} violations")
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
