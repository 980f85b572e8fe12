"""The `ingot` command from outside: what it prints, and how a run is kept and continued."""

import json
import os
import pathlib
import re
import unittest

from ingot_command import DATA, CommandTest, main

ROOT = pathlib.Path(__file__).parents[2]
EPOCH_KEYS = ["event", "epoch", "epochs", "step", "train_loss", "train_accuracy", "test_loss",
              "test_accuracy", "learning_rate", "steps_per_second", "seconds"]
DONE_KEYS = ["event", "epochs", "step", "steps_per_second", "seconds", "time_to_first_step_ms",
             "out", "test_accuracy", "test_loss"]


class Train(CommandTest):
    def test_json_lines(self):
        done = self.start("run", "--epochs", "2", "--json")
        lines = [json.loads(line) for line in done.stdout.splitlines()]
        self.assertEqual([list(line) for line in lines], [EPOCH_KEYS, EPOCH_KEYS, DONE_KEYS])
        self.assertEqual([line["event"] for line in lines], ["epoch", "epoch", "done"])
        for key in ("test_accuracy", "test_loss", "steps_per_second", "seconds"):
            self.assertGreater(lines[-1][key], 0, key)
        self.assertEqual(lines[1]["step"], 6)
        self.assertEqual(done.stderr, "synthetic train: 72 images u8[1,12,12], 3 classes; synthetic "
                         "test: 18 images u8[1,12,12], 3 classes; model lenet; device cpu\n")

    def test_text(self):
        done = self.start("run", "--epochs", "2")
        number = r"\d+(\.\d+)?"
        epoch = (rf"epoch \d/2  train loss {number} accuracy {number} %  test loss {number} "
                 rf"accuracy {number} %  lr 0.01  {number} steps/s\n")
        self.assertRegex(done.stdout, f"^{epoch}{epoch}test accuracy {number} %  test loss "
                         f"{number}  {number} steps/s  {number} s\nrun folder run\n$")

    def test_eval_and_predict(self):
        trained = json.loads(self.start("run", "--epochs", "2", "--json").stdout.splitlines()[-1])
        evaluated = json.loads(self.run_ingot("eval", "run", "--json").stdout)
        self.assertEqual(list(evaluated), ["event", "samples", "test_accuracy", "test_loss"])
        self.assertEqual(evaluated["test_loss"], trained["test_loss"])
        smaller = json.loads(self.run_ingot("eval", "run", "--batch", "7", "--json").stdout)
        self.assertAlmostEqual(smaller["test_loss"], trained["test_loss"], places=5)
        predicted = self.run_ingot("predict", "run", "--count", "18", "--json").stdout.splitlines()
        predicted = [json.loads(line) for line in predicted]
        self.assertEqual(list(predicted[0]), ["event", "image", "class", "probability", "label"])
        right = sum(line["class"] == line["label"] for line in predicted)
        self.assertAlmostEqual(right / 18, trained["test_accuracy"])
        text = self.run_ingot("predict", "run", "--count", "1").stdout
        self.assertRegex(text, r"^test 0: class \d \(\d+\.\d %\), labelled \d\n$")

    def test_folders_of_their_own(self):
        for expected in ("runs/lenet", "runs/lenet-2"):
            done = self.train("--model", "lenet", "--data", DATA, "--epochs", "1")
            self.assertTrue(done.stdout.endswith(f"run folder {expected}\n"), done.stdout)
            self.assertTrue((self.folder / expected / "model.safetensors").exists())

    def test_one_image_and_batches_larger_than_the_data(self):
        done = self.train("--model", "resnet18-cifar", "--data", "synthetic:3x8x8:2:1", "--batch",
                          "500", "--epochs", "2", "--json")
        self.assertEqual(json.loads(done.stdout.splitlines()[-1])["step"], 2)

    def test_another_data_set_may_be_evaluated(self):
        self.start("run", "--epochs", "1")
        done = self.run_ingot("eval", "run", "--data", "synthetic:1x12x12:3:40")
        self.assertRegex(done.stdout, "^10 samples  test accuracy ")
        done = self.run_ingot("eval", "run", "--data", "synthetic:1x16x16:3:40")
        self.assertEqual((done.returncode, done.stdout), (1, ""))
        self.assertRegex(done.stderr, r'^error: matmul "\w+": inner dimensions must be equal, got '
                         r"f32\[10,200\] by f32\[500,50\] transposed\n")


class Tuning(CommandTest):
    def tuned(self, *arguments, **variables):
        done = self.run_ingot(*arguments, "--tune", "quick", "--threads", "1", env={
            **os.environ, "INGOT_TUNE_DIR": str(self.folder / "tuned"), **variables})
        self.assertEqual(done.returncode, 0, done.stderr)
        return done

    def test_choices_are_kept(self):
        bench = ("bench", "gometal-cnn", "--batch", "2", "--fixed", "1")
        first = self.tuned(*bench, INGOT_TRACE="dispatch:tuned").stderr
        self.assertRegex(first, r'(?m)^ingot dispatch: conv2d "\S+": tuned: \w+ of '
                                r"\w+ \d+\.\d us, \w+ \d+\.\d us")
        kept = json.loads((self.folder / "tuned" / "kernels.json").read_text())
        self.assertEqual(kept["version"], 1)
        self.assertGreaterEqual(len(kept["kernels"]), 2)
        again = self.tuned(*bench, INGOT_TRACE="dispatch")
        self.assertNotIn("tuned: ", again.stderr)
        self.assertRegex(again.stderr, r'(?m)^ingot dispatch: conv2d "\S+": chosen before: \w+$')

    def test_a_broken_file_is_noted_and_written_anew(self):
        (self.folder / "tuned").mkdir()
        file = self.folder / "tuned" / "kernels.json"
        file.write_text("[]")
        done = self.tuned("train", "--model", "gometal-cnn", "--data", "synthetic:3x32x32:3:8",
                          "--batch", "4", "--epochs", "1", "--out", "run")
        self.assertIn(f'note: kernel choices "{file}" are not used, and are written anew: json: must '
                      'have key "version", got an array of 0 values\n', done.stderr)
        self.assertTrue(json.loads(file.read_text())["kernels"])
        self.assertTrue(json.loads((self.folder / "run" / "state.json").read_text())["kernels"])


class Tools(CommandTest):
    def test_doctor(self):
        done = self.run_ingot("doctor", env={**os.environ, "INGOT_THREADS": "1"})
        self.assertEqual((done.returncode, done.stderr), (0, ""))
        for fact in (r"ingot \d+\.\d+\.\d+", r"  processor +\S.*", r"  threads +1",
                     r"  libpng +\d+\.\d.*", r"  libjpeg +\S.*", r"  zlib +\d+\.\d.*", "device cpu:", r"  simd +\w+",
                     r"  instruction sets +\w+.*", r"  highway +\d.*", r"  onednn +\S.*",
                     "device reference:", "data:", r"  digits +\S.*",
                     r"  INGOT_THREADS +1 +threads of the CPU pool.*", "(nothing is missing|missing, each .*)"):
            self.assertRegex(done.stdout, f"(?m)^{fact}$")
        done = self.run_ingot("doctor", env={**os.environ, "INGOT_THREDS": "1"})
        self.assertEqual(done.returncode, 1)
        self.assertRegex(done.stdout, r"(?m)^  INGOT_THREDS +must be a variable of Ingot, got no such "
                         r'name; did you mean "INGOT_THREADS", "INGOT_TRACE"$')
        self.assertTrue(done.stdout.endswith("\n1 problem(s)\n"))

    def test_ops(self):
        lines = self.run_ingot("ops").stdout.splitlines()
        self.assertRegex(lines[0], "^op +cpu +.*reference +.*summary$")
        rows = {line.split()[0] for line in lines[1:]}
        self.assertLessEqual({"conv2d", "matmul", "batch_norm", "optimizer_update", "softmax"}, rows)

    def test_plan(self):
        text = self.run_ingot("plan", "lenet", "--batch", "64").stdout
        self.assertRegex(text, r"(?m)^lenet, batch 64, input f32\[64,1,28,28\], precision f32, device cpu, SGD with "
                         "momentum$")
        self.assertRegex(text, r"(?m)^parameters +656080$")
        for what in ("GFLOP a step", "kernels", "variables", "constants", "scratch arena", "peak"):
            self.assertRegex(text, rf"(?m)^{what} +\d+(\.\d+)?")
        owners = text[text.index("largest owners"):].splitlines()[1:]
        self.assertEqual(len(owners), 10)
        sizes = [float(owner.split()[0]) for owner in owners]
        self.assertEqual(sizes, sorted(sizes, reverse=True))
        # A Region of batch slices has an arena of its own for each thread.
        inside = self.run_ingot("plan", "seed-cnn").stdout
        self.assertRegex(inside, r"(?m)^ +\d\.\d\d MiB  \S+, in batch_slices_0 \(workspace\)$")

    def test_bisect(self):
        planned = self.run_ingot("plan", "seed-cnn", "--batch", "4", "--graph", "graph.txt")
        self.assertEqual(planned.returncode, 0, planned.stderr)
        done = self.run_ingot("bisect", "graph.txt")
        self.assertEqual((done.returncode, done.stderr), (0, ""))
        self.assertRegex(done.stdout, r"^\d+ nodes agree with the reference on device cpu\n$")
        graph = self.folder / "graph.txt"
        graph.write_text(graph.read_text().replace("relu", "rellu"))
        done = self.run_ingot("bisect", "graph.txt")
        self.assertEqual((done.returncode, done.stdout), (1, ""))
        self.assertRegex(done.stderr, r'^error: graph text \d+:\d+: op must exist, got "rellu"\n'
                         'help: did you mean "relu", "elu", "gelu"\\?\n$')
        self.run_ingot("plan", "seed-cnn", "--graph", "graph.dot")
        self.assertTrue((self.folder / "graph.dot").read_text().startswith("digraph"))

    def test_help(self):
        text = self.run_ingot("--help").stdout
        commands = re.findall(r"(?m)^  (\w+) {2,}\S", text[text.index("Subcommands:"):])
        self.assertEqual(commands, ["train", "eval", "predict", "bench", "plan", "bisect", "ops",
                                    "doctor"])
        page = (ROOT / "docs" / "command.md").read_text()
        for command in commands:
            done = self.run_ingot(command, "--help")
            self.assertEqual((done.returncode, done.stderr), (0, ""))
            self.assertIn(f"Usage: ingot {command}", done.stdout)
            section = page[page.index(f"\n## ingot {command}"):].split("\n## ")[1]
            options = set(re.findall(r"(?m)^  (--[\w-]+)", done.stdout))
            self.assertEqual(set(re.findall(r"`(--[\w-]+)", section)), options, command)
        self.assertRegex(self.run_ingot("--version").stdout, r"^ingot \d+\.\d+\.\d+\n$")


class Resume(CommandTest):
    def test_two_epochs_and_two_equal_four(self):
        for name, extra in (
                ("constant", ()),
                ("cosine", ("--schedule", "cosine")),
                ("one-cycle", ("--schedule", "one-cycle", "--warmup", "0.5", "--optimizer", "adamw",
                               "--lr", "0.001", "--clip-norm", "1")),
                ("step", ("--schedule", "step", "--step-epochs", "1", "--gamma", "0.5",
                          "--nesterov", "--weight-decay", "0.001"))):
            options = ("--schedule-epochs", "4", "--shift", "1", "--flip", "--label-smoothing",
                       "0.1", "--seed", "5", *extra)
            self.start(f"{name}-4", "--epochs", "4", *options)
            self.start(f"{name}-2", "--epochs", "2", *options)
            self.assertNotEqual(self.files(f"{name}-2"), self.files(f"{name}-4"))
            self.train("--resume", f"{name}-2", "--epochs", "4")
            self.assertEqual(self.files(f"{name}-2"), self.files(f"{name}-4"), name)

    def test_with_dropout_and_batch_norm(self):
        for model in ("gometal-cnn", "resnet18-cifar"):
            start = ("--model", model, "--data", "synthetic:3x8x8:4:24", "--batch", "16")
            self.train(*start, "--epochs", "4", "--out", f"{model}-4")
            self.train(*start, "--epochs", "2", "--out", f"{model}-2")
            self.train("--resume", f"{model}-2", "--epochs", "4")
            self.assertEqual(self.files(f"{model}-2"), self.files(f"{model}-4"), model)

    def test_other_threads_give_the_same(self):
        self.start("one", "--epochs", "2", "--threads", "1")
        self.start("two", "--epochs", "1", "--threads", "2")
        self.train("--resume", "two", "--epochs", "2", "--out", "three", "--threads", "3")
        self.assertEqual(self.files("one"), self.files("three"))

    def test_from_another_folder(self):
        self.start("run", "--epochs", "1")
        before = self.files("run")
        (self.folder / "elsewhere").mkdir()
        done = self.run_ingot("train", "--resume", "../run", "--epochs", "2", "--out", "more")
        self.assertEqual(done.returncode, 2)
        self.train("--resume", "run", "--epochs", "2", "--out", "more")
        self.assertEqual(self.files("run"), before)
        self.assertNotEqual(self.files("more"), before)


# Option and value, and what else both runs have.
KNOBS = [
    (("--lr", "0.03"), ()),
    (("--momentum", "0.8"), ()),
    (("--nesterov",), ()),
    (("--weight-decay", "0.01"), ()),
    (("--optimizer", "adamw"), ()),
    (("--beta1", "0.8"), ("--optimizer", "adamw")),
    (("--beta2", "0.9"), ("--optimizer", "adamw")),
    (("--eps", "0.001"), ("--optimizer", "adamw")),
    (("--weight-decay", "0.5"), ("--optimizer", "adamw")),
    (("--schedule", "cosine"), ()),
    (("--schedule", "one-cycle"), ()),
    (("--schedule-epochs", "5"), ("--schedule", "cosine")),
    (("--schedule-epochs", "20"), ("--schedule", "one-cycle")),
    (("--schedule", "step"), ("--step-epochs", "1")),
    (("--step-epochs", "1"), ("--schedule", "step")),
    (("--gamma", "0.3"), ("--schedule", "step", "--step-epochs", "1")),
    (("--warmup", "1.5"), ()),
    (("--clip-norm", "0.01"), ()),
    (("--label-smoothing", "0.1"), ()),
    (("--shift", "2"), ()),
    (("--flip",), ()),
    (("--seed", "1"), ()),
    (("--batch", "20"), ()),
]


class Knobs(CommandTest):
    def test_each_changes_the_weights_of_step_2(self):
        data = "synthetic:1x12x12:3:32"  # one step an epoch
        runs = {}

        def weights(*arguments):
            if arguments not in runs:
                out = f"run{len(runs)}"
                self.train("--model", "lenet", "--data", data, "--epochs", "2", "--out", out,
                           *arguments)
                runs[arguments] = self.files(out)["model.safetensors"]
            return runs[arguments]

        self.assertEqual(weights(), weights("--threads", "1"))
        for knob, both in KNOBS:
            self.assertNotEqual(weights(*both), weights(*both, *knob), knob)


if __name__ == "__main__":
    main()
