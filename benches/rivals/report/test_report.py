#!/usr/bin/env python3
"""Tests of the tables and plots: python3 test_report.py. Plots are tested where matplotlib is."""

import importlib.util
import pathlib
import tempfile
import unittest
from xml.etree import ElementTree

import callgrind
import machine
import report
import tables


def spread(median):
    return {"median": median, "q1": median * 0.9, "q3": median * 1.1, "min": median, "max": median, "n": 9}


def contestant(name, one, two, undisturbed=9):
    figures = lambda ns: {"ns": spread(ns), "ratio": spread(ns / 2), "undisturbed": undisturbed, "slices": 9}
    return {"name": name, "note": "compares", "one": figures(one), "two": figures(two)}


def updates(undisturbed=9):
    field = [contestant("lock xadd", 2, 7), contestant("shmetrics", 1, 1, undisturbed), contestant("slow", 9, 90), contestant("fast", 0.5, 3)]
    return {"rounds": 9, "slice_ms": 2, "rows": [{"row": row, "contestants": field} for row in tables.ROWS]}


def crowd():
    rates = lambda rate: [spread(rate)] * 2
    field = [{"name": name, "sharing": "threads", "updates_a_second": rates(rate)} for name, rate in (("lock xadd", 5e8), ("shmetrics", 9e8))]
    return {"sizes": [1, 64], "contestants": field}


class Tables(unittest.TestCase):
    def test_numbers_have_three_digits(self):
        self.assertEqual([tables.number(n) for n in (0.251, 9.876, 98.76, 987.6, 98765.4)], ["0.25", "9.88", "98.8", "988", "98,765"])
        self.assertEqual(tables.number(float("nan")), "–")

    def test_floors_come_first_then_ours_then_rivals_by_speed(self):
        lines = tables.update_table(updates(), None, "inc").splitlines()[2:]
        self.assertEqual([line.split("|")[1].strip() for line in lines], ["*lock xadd*", "**shmetrics**", "fast", "slow"])

    def test_a_loss_is_called_one(self):
        self.assertIn("2.00 (loss)", tables.glance_row("x", 2.0, 1.0, "rival"))
        self.assertIn("0.50", tables.glance_row("x", 1.0, 2.0, "rival"))
        self.assertIn("1.00", tables.glance_row("x", 1.001, 1.0, "rival"))

    def test_the_best_rival_is_no_floor_and_not_ours(self):
        field = updates()["rows"][0]["contestants"]
        self.assertEqual(tables.best(field, lambda c: c["one"]["ns"]["median"])["name"], "fast")

    def test_pairs_that_were_disturbed_are_marked(self):
        self.assertNotIn("†", tables.update_table(updates(), None, "inc"))
        self.assertIn("1.00 (0.90–1.10) † |", tables.update_table(updates(undisturbed=3), None, "inc"))

    def test_instructions_stand_beside_their_row(self):
        counts = {"counts": [{"name": "shmetrics", "row": "inc", "instructions": 12.3}]}
        ours = [line for line in tables.update_table(updates(), counts, "inc").splitlines() if "**shmetrics**" in line]
        self.assertTrue(ours[0].endswith("| 12 |"))


class Document(unittest.TestCase):
    def test_only_what_is_between_the_markers_changes(self):
        document = "before\n<!-- begin a -->\nold\n<!-- end a -->\nafter\n"
        filled = report.fill(["other", document], {"a": "new \\1"})
        self.assertEqual(filled, ["other", "before\n<!-- begin a -->\n\nnew \\1\n\n<!-- end a -->\nafter\n"])
        self.assertEqual(report.fill(filled, {"a": "new \\1"}), filled)

    def test_a_missing_place_is_an_error(self):
        with self.assertRaisesRegex(ValueError, "no places for b"):
            report.fill(["nothing"], {"b": "x"})

    def test_two_places_for_one_table_are_an_error(self):
        document = "<!-- begin a -->\n<!-- end a -->\n"
        with self.assertRaisesRegex(ValueError, "2 places for a"):
            report.fill([document, document], {"a": "x"})

    def test_parts_that_were_not_measured_are_left_as_they_are(self):
        self.assertEqual(list(report.sections({"crowd": crowd()})), ["crowd"])

    def test_the_project_s_documents_have_a_place_for_all(self):
        docs = pathlib.Path(__file__).parents[3] / "docs"
        documents = [(docs / name).read_text() for name in ("benchmarks.md", "benchmarks/notes.md")]
        names = ("machine", "glance", "updates", "crowd", "pages", "fresh", "memory", "hot", "processes", "scraped", "workers", "forks")
        report.fill(documents, dict.fromkeys(names, ""))


class Sources(unittest.TestCase):
    def test_callgrind_totals(self):
        self.assertEqual(callgrind.total("events: Ir\nsummary: 3021\n\ntotals: 3021\n"), 3021)

    def test_versions_are_those_that_we_ask_for(self):
        root = pathlib.Path(__file__).parents[1]
        versions = machine.crates((root / "Cargo.lock").read_text(), (root / "Cargo.toml").read_text())
        self.assertEqual(set(versions), set(machine.CRATES))


@unittest.skipUnless(importlib.util.find_spec("matplotlib"), "no matplotlib")
class Plots(unittest.TestCase):
    def test_a_plot_is_svg_and_the_same_each_time(self):
        import plot

        with tempfile.TemporaryDirectory() as directory:
            texts = []
            for i in range(2):
                path = pathlib.Path(directory) / f"{i}.svg"
                plot.increments(crowd(), path)
                texts.append(path.read_text())
            self.assertEqual(texts[0], texts[1])
            self.assertTrue(ElementTree.fromstring(texts[0]).tag.endswith("svg"))


if __name__ == "__main__":
    unittest.main()
