"""What the script that counts would say: `python3 -m unittest discover benches/micro`."""

import tomllib
import unittest

import callgrind
import measure

# As callgrind writes it: `read` costs 100 by itself, has 40 of the allocator, which has 10 of the kernel's, and calls `text` by
# way of a function of somebody else's that costs 5 itself.
COUNTED = """\
version: 1
events: Ir

fl=a.rs
fn=completiond::read::h0123456789abcdef
10 60
fi=inlined.rs
11 40
fe=a.rs
cfn=malloc
calls=2 1
12 50
cfn=<serde::Each as serde::Visitor>::visit
calls=1 1
13 35

fl=m.c
fn=malloc
1 40
cfn=sbrk
calls=1 1
2 10

fn=sbrk
3 10

fn=<serde::Each as serde::Visitor>::visit
4 5
cfn=<completiond::Text as serde::Visitor>::text
calls=1 1
5 30

fn=<completiond::Text as serde::Visitor>::text
6 20
cfn=malloc
calls=1 1
7 10

totals: 185
"""


def counted(instructions, **functions):
    return {"instructions": instructions, "functions": functions}


class Counts(unittest.TestCase):
    def test_what_others_do_is_counted_for_the_function_of_ours_that_asks_for_it(self):
        read = callgrind.read(COUNTED)
        self.assertEqual(read.total, 60 + 40 + 40 + 10 + 5 + 20)
        self.assertEqual(read.functions, {"completiond::read": 155, "<completiond::Text as serde::Visitor>::text": 30})

    def test_a_function_that_calls_itself_is_counted_once(self):
        lines = ["fn=completiond::f", "1 10", "cfn=drop", "calls=1 1", "1 30", "fn=drop", "1 30", "cfn=drop'2", "calls=1 1", "1 20"]
        self.assertEqual(callgrind.read("\n".join(lines)).functions, {"completiond::f": 40})


class Judgement(unittest.TestCase):
    def test_growth_of_more_than_five_percent_fails_and_names_the_function_that_grew(self):
        before, now = counted(1000, read=600, text=100), counted(1051, read=590, text=161)
        fits, sentences = measure.judge("decode", before, now)
        self.assertFalse(fits)
        self.assertEqual(len(sentences), 2)
        self.assertIn("decode takes 1051 instructions and has 1000: +5.1 %", sentences[0])
        self.assertIn("text has grown by 61, from 100 to 161", sentences[1])

    def test_what_has_little_part_in_the_growth_is_not_named(self):
        before, now = counted(1000, read=100, text=100, event=50), counted(1100, read=190, text=105, piece=50)
        _, sentences = measure.judge("decode", before, now)
        self.assertEqual([sentence.split()[0] for sentence in sentences[1:]], ["read", "piece", "no"])
        self.assertIn("a part of another one now: event", sentences[3])

    def test_a_function_that_was_not_among_those_kept_is_told_as_what_it_may_have_been(self):
        before = counted(1000, **{f"f{n}": 10 + n for n in range(measure.KEPT)})
        _, sentences = measure.judge("decode", before, counted(1500, new=510))
        self.assertIn("new has grown by 500, from at most 10 to 510", sentences[1])

    def test_growth_within_the_budget_is_told_and_does_not_fail(self):
        fits, sentences = measure.judge("decode", counted(1000, read=600), counted(1050, read=650))
        self.assertTrue(fits)
        self.assertIn("+5.0 %, and 5 % are allowed", sentences[0])
        self.assertIn("read has grown by 50", sentences[1])

    def test_what_is_within_the_budget_is_not_spoken_of(self):
        for instructions in [1010, 1000, 900]:
            self.assertEqual(measure.judge("decode", counted(1000), counted(instructions)), (True, []))

    def test_what_takes_less_is_told_and_does_not_fail(self):
        fits, [sentence] = measure.judge("decode", counted(1000), counted(899))
        self.assertTrue(fits)
        self.assertIn("-10.1 %; UPDATE_BUDGET=1", sentence)

    def test_what_has_no_budget_fails(self):
        self.assertFalse(measure.judge("decode", None, counted(1))[0])

    def test_a_budget_is_read_as_it_was_written(self):
        functions = {'<completiond::A<"x"> as B>::c\\': 7}
        budget = {"made_with": {"rustc": "1"}, "benchmarks": {"decode": {"instructions": 9, "functions": functions}}}
        self.assertEqual(tomllib.loads(measure.written(budget)), budget)


if __name__ == "__main__":
    unittest.main()
