"""`ingot bench`: what its JSON says, and what it refuses."""
import json
import subprocess
import sys
import tempfile
import unittest
from pathlib import Path

INGOT = sys.argv.pop()


def bench(*words):
    return subprocess.run([INGOT, "bench", *words], capture_output=True, text=True)


class Bench(unittest.TestCase):
    def test_fixed_steps_are_counted(self):
        first, second = (json.loads(bench("seed-cnn", "--batch", "4", "--fixed", steps).stdout)
                         for steps in ("2", "3"))
        self.assertEqual((first.pop("steps"), second.pop("steps")), (2, 3))
        self.assertEqual(first, second)
        self.assertGreater(first["kernels"], 0)
        # Each image is read once at least.
        self.assertGreater(first["bytes_moved"], 4 * 3 * 32 * 32 * 4)

    def test_steps_are_compared_as_asked(self):
        def run(check):
            result = bench("seed-cnn", "--batch", "2", "--steps", "2", "--json", "--check", check)
            self.assertEqual(result.returncode, 0, result.stderr)
            return json.loads(result.stdout)

        full, half, none = (run(check) for check in ("all", "reference", "none"))
        self.assertGreater(full["distance_from_reference"], 0)
        self.assertIsNotNone(full["distance_from_unfused"])
        self.assertEqual(half["distance_from_reference"], full["distance_from_reference"])
        self.assertIsNone(half["distance_from_unfused"])
        self.assertIsNone(none["distance_from_reference"])

    def test_many_steps_are_compared_and_none_is_timed(self):
        words = ("mlp784", "--batch", "2", "--steps", "2", "--check", "steps", "--json")
        run = bench(*words)
        self.assertEqual(run.returncode, 0, run.stderr)
        result = json.loads(run.stdout)
        found = result["found"]
        self.assertEqual((result["device"], result["against"]), ("cpu", "reference"))
        self.assertEqual((found["steps"], found["free_steps"]), (2, 10))
        # The loss and six gradients.
        self.assertEqual(found["results_compared"], 2 * 7)
        self.assertLess(found["greatest_part_of_bound"], 1)
        self.assertLess(found["free_mean_difference"], 0.02)
        self.assertEqual((result["batches"], result["learning_rate"]), (10, 0.002))
        self.assertLess(abs(found["scaled"]), 1e-5)
        self.assertLess(found["scaled_part_of_bound"], 1)
        self.assertEqual(json.loads(bench(*words, "--against", "cpu").stdout)["against"], "cpu")

    def test_many_steps_learn_from_fresh_batches_or_few_in_turn(self):
        def last_loss(*more):
            run = bench("mlp784", "--batch", "4", "--steps", "8", "--check", "steps", "--json",
                        "--lr", "0.02", *more)
            self.assertEqual(run.returncode, 0, run.stderr)
            result = json.loads(run.stdout)
            return result["batches"], result["found"]["last_loss"]

        (fresh, loss), (few, learned) = last_loss(), last_loss("--batches", "1")
        self.assertEqual((fresh, few), (40, 1))
        # One batch is soon known by heart.
        self.assertLess(10 * learned, loss)

    def test_images_have_the_side_that_is_asked_for(self):
        words = ("seed-cnn", "--batch", "2", "--fixed", "1")
        small, large = (json.loads(bench(*words, "--side", side).stdout) for side in ("8", "32"))
        self.assertLess(10 * small["flops"], large["flops"])

    def test_a_profile_has_an_event_for_each_kernel(self):
        with tempfile.TemporaryDirectory() as folder:
            file = Path(folder) / "profile.json"
            run = bench("seed-cnn", "--batch", "2", "--steps", "2", "--json", "--check", "none",
                        "--profile", str(file))
            self.assertEqual(run.returncode, 0, run.stderr)
            events = json.loads(file.read_text())["traceEvents"]
        self.assertGreater(len(events), 1)
        for event, after in zip(events, events[1:]):
            self.assertEqual(event["ph"], "X")
            self.assertGreater(event["dur"], 0)
            self.assertAlmostEqual(event["ts"] + event["dur"], after["ts"], places=3)

    def test_inference_is_checked_and_timed(self):
        run = bench("infer", "seed-cnn", "--batch", "2", "--steps", "2", "--json")
        self.assertEqual(run.returncode, 0, run.stderr)
        result = json.loads(run.stdout)
        self.assertEqual((result["workload"], result["batch"]), ("infer:seed-cnn", 2))
        self.assertEqual(result["calls"], 14)
        self.assertLessEqual(result["latency_p50_ms"], result["latency_p90_ms"])
        self.assertLessEqual(result["latency_p90_ms"], result["latency_p99_ms"])
        self.assertGreater(result["distance_from_reference"], 0)
        self.assertLess(result["distance_from_reference"], 1e-3)

    def test_what_was_measured_is_named(self):
        run = bench("seed-cnn", "--batch", "2", "--steps", "2", "--check", "none", "--threads", "1",
                    "--precision", "bf16")
        self.assertEqual(run.returncode, 0, run.stderr)
        self.assertEqual(run.stdout.splitlines()[0], "seed-cnn, batch 2, bf16, device cpu, 1 "
                         "thread(s), tune off, feeds on the host, 1 step(s) a call")
        run = bench("infer", "seed-cnn", "--batch", "2", "--steps", "2", "--threads", "1")
        self.assertEqual(run.returncode, 0, run.stderr)
        self.assertEqual(run.stdout.splitlines()[0], "infer seed-cnn, batch 2, f32, device cpu, 1 "
                         "thread(s), tune off, feeds on the host")

    def test_unknown_models_are_usage_errors(self):
        run = bench("infer", "resnet19-cifar")
        self.assertEqual(run.returncode, 2)
        self.assertIn('model "resnet19-cifar": must be a known model', run.stderr)


if __name__ == "__main__":
    unittest.main()
