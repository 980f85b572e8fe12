import subprocess
import sys
import tempfile
import unittest
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "scripts"))

import tidy  # noqa: E402


class BaseTest(unittest.TestCase):
    """In a repository with commits one, two and three, of which the first wrote one.cpp and so on."""

    def setUp(self):
        self.root = Path(self.enterContext(tempfile.TemporaryDirectory()))
        self.git("init", "-q", "-b", "main")
        self.commits = [self.commit(name) for name in ("one", "two", "three")]

    def git(self, *words):
        who = ["-c", "user.name=tidy", "-c", "user.email=tidy@localhost"]
        return subprocess.run(["git", "-C", self.root, *who, *words], check=True,
                              capture_output=True, text=True).stdout.strip()

    def commit(self, name):
        (self.root / f"{name}.cpp").write_text(name)
        self.git("add", "-A")
        self.git("commit", "-q", "-m", name)
        return self.git("rev-parse", "HEAD")

    def remote_at(self, commit):
        self.git("update-ref", "refs/remotes/origin/main", commit)

    def base(self, given=None):
        return tidy.base_commit(given, self.root)

    def test_without_a_remote_it_is_the_commit_before(self):
        self.assertEqual(self.base(), self.commits[1])

    def test_it_is_where_the_remotes_main_branch_was_left(self):
        self.remote_at(self.commits[0])
        self.assertEqual(self.base(), self.commits[0])
        self.assertEqual(tidy.changed_files(self.base(), self.root), ["three.cpp", "two.cpp"])

    def test_it_is_the_commit_before_where_the_remote_has_all(self):
        self.remote_at(self.commits[2])
        self.assertEqual(self.base(), self.commits[1])

    def test_a_given_branch_counts_from_where_it_was_left(self):
        self.git("checkout", "-q", "-b", "other", self.commits[1])
        self.commit("four")
        (self.root / "new.cpp").write_text("new")
        self.assertEqual(self.base("main"), self.commits[1])
        self.assertEqual(tidy.changed_files(self.base("main"), self.root), ["four.cpp", "new.cpp"])

    def test_a_given_commit_that_is_none_is_an_error(self):
        with self.assertRaises(SystemExit) as error:
            self.base("nowhere")
        self.assertEqual(str(error.exception),
                         'tidy: no commit "nowhere" that HEAD has an ancestor in common with')

    def test_the_first_commit_has_none(self):
        self.git("checkout", "-q", self.commits[0])
        self.assertIsNone(self.base())


class SelectTest(unittest.TestCase):
    def test_a_changed_header_is_seen_through_its_folder(self):
        sources = ["a/one.cpp", "a/two.cpp", "b/three.cpp", "b/four.cpp"]
        self.assertEqual(tidy.select(sources, ["a/one.h", "b/four.cpp"]),
                         ["a/one.cpp", "a/two.cpp", "b/four.cpp"])


if __name__ == "__main__":
    unittest.main()
