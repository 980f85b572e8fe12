#!/usr/bin/env python3
"""Compiles and runs the code in README.md and docs/, against an installed Ingot.

A fenced block takes part by what stands behind its language:

    ```cpp run        a whole program; built, run, must exit 0
    ```cpp compile    a whole source file; compiled
    ```sh run         a bash script, run in an empty folder with `ingot` on the PATH, must exit 0
    ```text output    what the `run` block before it printed on stdout, compared exactly

    check_docs_snippets.py --prefix INSTALLED --work FOLDER [--bin FOLDER_OF_INGOT]
"""

import argparse
import os
import re
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

from project_files import ROOT, project_files

FENCE = re.compile(r"^(`{3,})\s*(.*?)\s*$")
KINDS = ("cpp run", "cpp compile", "sh run", "text output")
RUN_SECONDS = 300


@dataclass
class Snippet:
    path: str
    line: int  # of the first line of the code
    kind: str
    code: str
    output: str | None = None

    def where(self):
        return f"{self.path}:{self.line}"


def extract(path, text):
    """The marked blocks of one page; an output block is attached to the block before it."""
    snippets, fence, info, start, body = [], None, "", 0, []
    for number, line in enumerate(text.splitlines(), 1):
        match = FENCE.match(line)
        if fence is None:
            if match:
                fence, info, start, body = match.group(1), match.group(2), number + 1, []
        elif match and match.group(1) == fence and not match.group(2):
            code = "".join(text_line + "\n" for text_line in body)
            if info == "text output":
                if not snippets or not snippets[-1].kind.endswith("run"):
                    raise ValueError(f"{path}:{start}: an output block needs a run block before it")
                snippets[-1].output = code
            elif info in KINDS:
                snippets.append(Snippet(path, start, info, code))
            elif info.split(" ")[0] in ("cpp", "sh") and " " in info:
                raise ValueError(f'{path}:{start}: "{info}" is none of {", ".join(KINDS)}')
            fence = None
        else:
            body.append(line)
    return snippets


def write_project(snippets, work):
    """One CMake project with a target per C++ block; compiler errors name the page's line."""
    cmake = ["cmake_minimum_required(VERSION 3.25)", "project(IngotSnippets LANGUAGES CXX)",
             "find_package(Ingot REQUIRED)", "link_libraries(ingot::ingot)"]
    for index, snippet in enumerate(snippets):
        if snippet.kind.startswith("cpp"):
            source = work / f"snippet_{index}.cpp"
            source.write_text(f'#line {snippet.line} "{ROOT / snippet.path}"\n{snippet.code}')
            kind = ("add_executable(snippet_{0} {1})" if snippet.kind == "cpp run"
                    else "add_library(snippet_{0} OBJECT {1})")
            cmake.append(kind.format(index, source.name))
    (work / "CMakeLists.txt").write_text("\n".join(cmake) + "\n")
    return len(cmake) > 4


def build(work, prefix):
    for command in (["cmake", "-G", "Ninja", "-S", work, "-B", work / "build",
                     f"-DCMAKE_PREFIX_PATH={prefix}", "-DCMAKE_BUILD_TYPE=Release"],
                    ["cmake", "--build", work / "build"]):
        result = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                                text=True)
        if result.returncode != 0:
            print(result.stdout)
            return False
    return True


def run(snippet, command, folder, environment):
    """None, or what is wrong."""
    folder.mkdir()
    try:
        result = subprocess.run(command, cwd=folder, env=environment, capture_output=True,
                                text=True, timeout=RUN_SECONDS, stdin=subprocess.DEVNULL)
    except subprocess.TimeoutExpired:
        return f"ran longer than {RUN_SECONDS} s"
    if result.returncode != 0:
        return f"exit code {result.returncode}\n{result.stdout}{result.stderr}"
    if snippet.output is not None and result.stdout != snippet.output:
        return f"the page says\n{snippet.output}and it printed\n{result.stdout}"
    return None


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--prefix", type=Path, required=True, help="where Ingot is installed")
    parser.add_argument("--work", type=Path, required=True, help="scratch folder, emptied first")
    parser.add_argument("--bin", type=Path, help="folder of the ingot command")
    options = parser.parse_args()
    work = options.work.resolve()
    pages = [page for page in project_files((".md",)) if page.startswith(("README", "docs/"))]
    snippets = [snippet for page in pages for snippet in extract(page, (ROOT / page).read_text())]
    shutil.rmtree(work, ignore_errors=True)
    work.mkdir(parents=True)
    if write_project(snippets, work) and not build(work, options.prefix.resolve()):
        return 1
    environment = dict(os.environ)
    if options.bin:
        environment["PATH"] = f"{options.bin.resolve()}{os.pathsep}{environment['PATH']}"
    failed = 0
    for index, snippet in enumerate(snippets):
        if snippet.kind == "cpp compile":
            continue
        command = ([work / "build" / f"snippet_{index}"] if snippet.kind == "cpp run"
                   else ["bash", "-euo", "pipefail", "-c", snippet.code])
        problem = run(snippet, command, work / f"run_{index}", environment)
        if problem:
            failed += 1
            print(f"{snippet.where()}: {snippet.kind}: {problem}")
    print(f"snippets: {len(snippets)} in {len(pages)} pages, {failed} failed")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
