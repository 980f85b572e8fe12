"""The `ingot` command from outside: output, exit codes, resuming, Ctrl-C.

usage: command_test.py INGOT [unittest arguments]
"""

import json
import pathlib
import signal
import subprocess
import sys
import tempfile
import unittest

INGOT = None
DATA = "synthetic:1x12x12:3:72"


class CommandTest(unittest.TestCase):
    def setUp(self):
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.folder = pathlib.Path(folder.name)

    def run_ingot(self, *arguments):
        return subprocess.run([INGOT, *arguments], cwd=self.folder, capture_output=True, text=True,
                              timeout=120)

    def train(self, *arguments):
        done = self.run_ingot("train", "--device", "reference", *arguments)
        self.assertEqual(done.returncode, 0, done.stderr)
        return done

    def start(self, out, *arguments):
        return self.train("--model", "lenet", "--data", DATA, "--out", out, *arguments)

    def test_json_lines(self):
        done = self.start("run", "--epochs", "2", "--json")
        lines = [json.loads(line) for line in done.stdout.splitlines()]
        self.assertEqual([line["event"] for line in lines], ["epoch", "epoch", "done"])
        for key in ("test_accuracy", "test_loss", "steps_per_second", "seconds"):
            self.assertGreater(lines[-1][key], 0, key)
        self.assertEqual(lines[1]["step"], 6)
        self.assertIn("synthetic train: 72 images", done.stderr)
        evaluated = self.run_ingot("eval", "run", "--device", "reference", "--json")
        self.assertEqual(json.loads(evaluated.stdout)["test_loss"], lines[-1]["test_loss"])
        predicted = self.run_ingot("predict", "run", "--device", "reference", "--count", "3",
                                   "--json").stdout.splitlines()
        self.assertEqual(len(predicted), 3)
        self.assertIn(json.loads(predicted[0])["class"], range(3))

    def test_two_epochs_and_two_equal_four(self):
        schedule = ("--schedule", "cosine", "--schedule-epochs", "4")
        self.start("whole", "--epochs", "4", *schedule)
        self.start("half", "--epochs", "2", *schedule)
        self.train("--resume", "half", "--epochs", "4")
        for name in ("model.safetensors", "optimizer.safetensors"):
            self.assertEqual((self.folder / "whole" / name).read_bytes(),
                             (self.folder / "half" / name).read_bytes(), name)

    def test_resuming_keeps_the_configuration(self):
        self.start("run", "--epochs", "1")
        self.assertEqual(
            (lambda done: (done.returncode, done.stderr))(
                self.run_ingot("train", "--resume", "run", "--epochs", "2", "--lr", "3")),
            (2, 'error: resume "run": learning_rate must stay 0.02, got 3.0\n'))
        done = self.run_ingot("train", "--resume", "run")
        self.assertEqual((done.returncode, done.stderr), (
            2, 'error: resume "run": epochs must be more than the 1 that are done, got 1\n'
            "help: --epochs counts from the start of the run\n"))

    def test_ctrl_c_saves_a_checkpoint(self):
        process = subprocess.Popen(
            [INGOT, "train", "--device", "reference", "--model", "lenet", "--data", DATA,
             "--epochs", "100000", "--out", "run", "--json"],
            cwd=self.folder, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
        self.addCleanup(process.kill)
        process.stdout.readline()
        process.send_signal(signal.SIGINT)
        output, _ = process.communicate(timeout=120)
        self.assertEqual(process.returncode, 130)
        last = json.loads(output.splitlines()[-1])
        self.assertEqual(last["event"], "interrupted")
        state = json.loads((self.folder / "run" / "state.json").read_text())
        self.assertEqual(state["step"], last["step"])
        self.train("--resume", "run", "--epochs", str(state["epoch"] + 1))

    def test_usage_errors(self):
        for arguments, text in (
                ((), "A subcommand is required"),
                (("train", "--nonsense"), "--nonsense"),
                (("train", "--data", DATA), 'train: --model must be given without --resume'),
                (("train", "--model", "lenett", "--data", DATA), 'did you mean "lenet"?'),
                (("train", "--model", "lenet", "--data", "digit"), 'data "digit"'),
                (("train", "--model", "lenet", "--data", DATA, "--optimizer", "adam"),
                 'optimizer "adam": must be one of'),
                (("train", "--model", "lenet", "--data", DATA, "--batch", "0"),
                 "trainer: batch_size must be positive, got 0"),
                (("train", "--model", "lenet", "--data", DATA, "--optimizer", "adamw",
                  "--nesterov"), "must be given without --momentum and --nesterov"),
                (("train", "--resume", "nowhere"), "must hold state.json, got no such file")):
            done = self.run_ingot(*arguments)
            self.assertEqual(done.returncode, 2, arguments)
            self.assertIn(text, done.stderr)
            self.assertEqual(done.stdout, "")

    def test_failed_runs(self):
        for arguments, text in (
                (("train", "--model", "lenet", "--data", "mnist:nowhere"), "nowhere"),
                (("train", "--model", "lenet", "--data", DATA, "--lr", "1e30", "--device",
                  "reference"), "must be finite"),
                (("eval", "nowhere"), "must hold state.json")):
            done = self.run_ingot(*arguments)
            self.assertEqual(done.returncode, 1, done.stderr)
            self.assertIn(text, done.stderr)


if __name__ == "__main__":
    INGOT = str(pathlib.Path(sys.argv.pop(1)).resolve())
    unittest.main()
