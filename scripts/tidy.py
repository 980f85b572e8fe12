#!/usr/bin/env python3
"""Runs clang-tidy on the sources that differ from a base commit, or on all with --all.

    tidy.py [--base COMMIT] [--all] [--build build/release]

Reads compile_commands.json of the build folder. A changed header is seen through the sources of its
folder. Exits 1 on a finding.
"""

import argparse
import json
import os
import shutil
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from project_files import ROOT


def git(*words):
    return subprocess.run(["git", "-C", ROOT, *words], capture_output=True, text=True)


def changed_files(base):
    """Files that differ from `base`, uncommitted and new ones included; None without such a base."""
    diff = git("diff", "--name-only", base)
    if diff.returncode != 0:
        return None
    new = git("ls-files", "-o", "--exclude-standard").stdout
    return sorted(set(diff.stdout.splitlines()) | set(new.splitlines()))


def select(sources, changed):
    """The sources to look at: those changed, and the neighbours of changed headers."""
    changed = set(changed)
    header_folders = {str(Path(path).parent) for path in changed if path.endswith((".h", ".inc"))}
    return [path for path in sources
            if path in changed or str(Path(path).parent) in header_folders]


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--base", default="HEAD~1")
    parser.add_argument("--all", action="store_true")
    parser.add_argument("--build", type=Path, default=ROOT / "build" / "release")
    options = parser.parse_args()
    program = shutil.which("clang-tidy-19") or shutil.which("clang-tidy")
    if not program:
        sys.exit("clang-tidy was not found: run scripts/setup.sh full")
    commands = json.loads((options.build / "compile_commands.json").read_text())
    sources = sorted(str(Path(entry["file"]).relative_to(ROOT)) for entry in commands)
    if not options.all:
        changed = changed_files(options.base)
        if changed is None:
            print(f"tidy: no commit {options.base}, looking at everything")
        else:
            sources = select(sources, changed)

    def run(source):
        result = subprocess.run([program, "-p", options.build, "--quiet", source], cwd=ROOT,
                                stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
        if result.stdout.strip():
            print(result.stdout, flush=True)
        return result.returncode

    with ThreadPoolExecutor(os.cpu_count()) as pool:
        failed = sum(1 for code in pool.map(run, sources) if code)
    print(f"tidy: {len(sources)} files, {failed} with findings")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
