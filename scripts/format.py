#!/usr/bin/env python3
"""Formats every C++ file of the project with clang-format 19, or with --check only compares."""

import argparse
import os
import shutil
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor

from project_files import ROOT, project_files

SUFFIXES = (".h", ".cpp", ".cu", ".cuh", ".mm")
# Another major version formats differently, so that only this one may judge.
MAJOR = "19"


def find_clang_format():
    for name in (f"clang-format-{MAJOR}", "clang-format"):
        program = shutil.which(name)
        if program:
            version = subprocess.run([program, "--version"], capture_output=True, text=True).stdout
            if f"version {MAJOR}." in version:
                return program
    sys.exit(f"clang-format {MAJOR} was not found: run scripts/setup.sh test")


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--check", action="store_true", help="change nothing, fail on a difference")
    check = parser.parse_args().check
    paths = project_files(SUFFIXES)
    program = find_clang_format()
    mode = ["--dry-run", "--Werror"] if check else ["-i"]

    def run(batch):
        return subprocess.run([program, *mode, *batch], cwd=ROOT).returncode

    size = 40
    batches = [paths[i:i + size] for i in range(0, len(paths), size)]
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        failed = any(list(pool.map(run, batches)))
    print(f"format: {len(paths)} files, {'differences found' if failed else 'clean'}")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
