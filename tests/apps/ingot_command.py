"""What the tests of the `ingot` command share; each file is run as FILE INGOT [unittest arguments]."""

import hashlib
import os
import pathlib
import subprocess
import sys
import tempfile
import unittest

START = ("--model", "lenet", "--batch", "32")
# 72 images of 12x12 in 3 classes: three batches of 32 an epoch, the last one ragged.
DATA = "synthetic:1x12x12:3:72"


class CommandTest(unittest.TestCase):
    """Runs the command in an empty folder of its own."""

    ingot = None
    device = "cpu"

    def setUp(self):
        # In memory where that is possible: every checkpoint waits for the disk.
        shm = "/dev/shm"
        folder = tempfile.TemporaryDirectory(dir=shm if os.access(shm, os.W_OK) else None)
        self.addCleanup(folder.cleanup)
        self.folder = pathlib.Path(folder.name)

    def run_ingot(self, *arguments, **options):
        return subprocess.run([self.ingot, *arguments], cwd=self.folder, capture_output=True,
                              text=True, timeout=120, **options)

    def train(self, *arguments):
        done = self.run_ingot("train", "--device", self.device, *arguments)
        self.assertEqual(done.returncode, 0, done.stderr)
        return done

    def start(self, out, *arguments):
        return self.train(*START, "--data", DATA, "--out", out, *arguments)

    def start_process(self, *arguments, **options):
        process = subprocess.Popen(
            [self.ingot, "train", "--device", self.device, *arguments], cwd=self.folder,
            **{"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True, **options})

        def end():
            process.kill()
            process.wait()
            for pipe in filter(None, (process.stdout, process.stderr)):
                pipe.close()

        self.addCleanup(end)
        return process

    def expect_refusal(self, arguments, text, code=2):
        """Nothing on stdout, and exactly this on stderr."""
        done = self.run_ingot(*arguments)
        self.assertEqual((done.returncode, done.stderr, done.stdout), (code, text, ""), arguments)

    def files(self, run):
        """Digests of a checkpoint's tensors."""
        return {name: hashlib.sha256((self.folder / run / name).read_bytes()).hexdigest()
                for name in ("model.safetensors", "optimizer.safetensors")}


def main():
    CommandTest.ingot = str(pathlib.Path(sys.argv.pop(1)).resolve())
    unittest.main()
