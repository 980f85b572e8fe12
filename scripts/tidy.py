#!/usr/bin/env python3
"""Runs clang-tidy on the sources that differ from a base commit, or on all with --all.

    tidy.py [--base COMMIT] [--all] [--build build/release]

The base is where HEAD left COMMIT, or without one the remote's main branch; where that is HEAD
itself, or there is no remote, the commit before. Reads compile_commands.json of the build folder.
A changed header is seen through the sources of its folder. Exits 1 on a finding.
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


def git(*words, root=ROOT):
    """What git prints, or None where it fails."""
    result = subprocess.run(["git", "-C", root, *words], capture_output=True, text=True)
    return result.stdout.strip() if result.returncode == 0 else None


def base_commit(given=None, root=ROOT):
    """The commit to compare with; None when there is only one."""
    if given:
        base = git("merge-base", "HEAD", given, root=root)
        if base is None:
            sys.exit(f'tidy: no commit "{given}" that HEAD has an ancestor in common with')
        return base
    for branch in ("origin/HEAD", "origin/main"):
        base = git("merge-base", "HEAD", branch, root=root)
        if base and base != git("rev-parse", "HEAD", root=root):
            return base
    return git("rev-parse", "--verify", "--quiet", "HEAD~1", root=root)


def changed_files(base, root=ROOT):
    """Files that differ from `base`, uncommitted and new ones included."""
    diff = git("diff", "--name-only", base, root=root).splitlines()
    new = git("ls-files", "-o", "--exclude-standard", root=root).splitlines()
    return sorted(set(diff) | set(new))


def select(sources, changed):
    """The sources to look at: those changed, and the neighbours of changed headers."""
    changed = set(changed)
    header_folders = {str(Path(path).parent) for path in changed if path.endswith((".h", ".inc"))}
    return [path for path in sources
            if path in changed or str(Path(path).parent) in header_folders]


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--base", metavar="COMMIT")
    parser.add_argument("--all", action="store_true")
    parser.add_argument("--build", type=Path, default=ROOT / "build" / "release")
    options = parser.parse_args()
    program = shutil.which("clang-tidy-19") or shutil.which("clang-tidy")
    if not program:
        sys.exit("clang-tidy was not found: run scripts/setup.sh full")
    commands = json.loads((options.build / "compile_commands.json").read_text())
    sources = sorted(str(Path(entry["file"]).relative_to(ROOT)) for entry in commands)
    if not options.all:
        base = base_commit(options.base)
        if base is None:
            print("tidy: no earlier commit, looking at everything")
        else:
            print(f"tidy: what differs from {git('log', '-1', '--format=%h %s', base)}", flush=True)
            sources = select(sources, changed_files(base))

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
