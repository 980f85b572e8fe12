"""fetch_digits.sh with a package manager made up for the test."""

import os
import shutil
import subprocess
import tempfile
import unittest
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
PNG = b"\x89PNG\r\n\x1a\n and so on"
INSIDE = "usr/share/doc/opencv-doc/examples/data/digits.png"


@unittest.skipUnless(shutil.which("dpkg-deb"), "dpkg-deb is not installed")
class FetchDigits(unittest.TestCase):
    def setUp(self):
        self.folder = Path(self.enterContext(tempfile.TemporaryDirectory()))
        self.target = self.folder / "cache" / "digits.png"

    def fetch(self, apt_get):
        tools = self.folder / "tools"
        tools.mkdir(exist_ok=True)
        (tools / "apt-get").write_text(f"#!/bin/sh\necho called >> {self.folder}/calls\n{apt_get}\n")
        (tools / "apt-get").chmod(0o755)
        path = f"{tools}:{os.environ['PATH']}"
        return subprocess.run(
            ["bash", ROOT / "scripts/fetch_digits.sh", self.target],
            env={**os.environ, "PATH": path}, capture_output=True, text=True, check=False)

    def package(self, name, content):
        tree = self.folder / "package"
        file = tree / name
        file.parent.mkdir(parents=True)
        file.write_bytes(content)
        (tree / "DEBIAN").mkdir()
        (tree / "DEBIAN" / "control").write_text(
            "Package: opencv-doc\nVersion: 1\nArchitecture: all\nMaintainer: A <a@b.c>\n"
            "Description: d\n")
        deb = self.folder / "opencv-doc_1_all.deb"
        subprocess.run(["dpkg-deb", "--root-owner-group", "-b", tree, deb], check=True,
                       capture_output=True)
        return f"cp {deb} ."

    def test_takes_the_file_and_keeps_it(self):
        apt_get = self.package(INSIDE, PNG)
        for _ in range(2):
            result = self.fetch(apt_get)
            self.assertEqual(result.returncode, 0, result.stderr)
            self.assertEqual(result.stdout, f"{self.target}\n")
        self.assertEqual(self.target.read_bytes(), PNG)
        self.assertEqual((self.folder / "calls").read_text(), "called\n")
        self.assertEqual(os.listdir(self.target.parent), ["digits.png"])

    def test_takes_a_compressed_file(self):
        file = self.folder / "digits.png"
        file.write_bytes(PNG)
        subprocess.run(["gzip", "-n", file], check=True)
        result = self.fetch(self.package(INSIDE + ".gz", (self.folder / "digits.png.gz").read_bytes()))
        self.assertEqual(result.returncode, 0, result.stderr)
        self.assertEqual(self.target.read_bytes(), PNG)

    def test_says_what_is_wrong(self):
        result = self.fetch("echo no network >&2; exit 100")
        self.assertEqual(result.returncode, 1)
        self.assertTrue(result.stderr.endswith(
            "no network\n"
            "fetch_digits: the package opencv-doc must be downloadable, got the apt errors above\n"
            "help: check the network and run apt-get update; or put any copy of OpenCV's "
            f"samples/data/digits.png at {self.target}\n"), result.stderr)
        result = self.fetch(self.package("usr/share/other", b""))
        self.assertTrue(result.stderr.endswith(
            f"fetch_digits: the package opencv-doc must hold {INSIDE}, got none\n"
            f"help: put any copy of OpenCV's samples/data/digits.png at {self.target}\n"),
            result.stderr)
        self.assertFalse(self.target.exists())
        self.target.parent.mkdir(exist_ok=True)
        self.target.write_text("something else")
        result = self.fetch("exit 100")
        self.assertEqual(
            result.stderr,
            f"fetch_digits: {self.target} must be a PNG image, got another file\n"
            "help: remove it and run this again\n")


if __name__ == "__main__":
    unittest.main()
