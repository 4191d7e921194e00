"""What shmetrics.lua declares for the FFI is what include/shmetrics.h declares."""

import pathlib
import re
import unittest

ROOT = pathlib.Path(__file__).resolve().parents[3]


def plain(text):
    """C without comments, preprocessor and attributes, in one spelling."""
    text = re.sub(r"/\*.*?\*/|//[^\n]*|^#[^\n]*", " ", text, flags=re.S | re.M)
    text = re.sub(r"\b(struct|enum)\s+(shmetrics_\w+)\b(?!\s*[{;])", r"\2", text)
    text = re.sub(r"\bshmetrics_status\b(?=\s+shmetrics_)", "int", text)
    return re.sub(r"\s+", " ", text).replace("( ", "(").replace("* ", "*")


def kind(parameter):
    """A parameter or field without its name."""
    return re.sub(r"^((?:const )?\w+(?: \*+)?)\s*\w*$", r"\1", parameter.strip()).strip()


def functions(text):
    """{name: [type of the result, types of the parameters]}"""
    found = {}
    for result, name, parameters in re.findall(r"((?:const )?\w+ \*?)(shmetrics_\w+)\(([^()]*)\);", text):
        found[name] = [result.strip(), *(kind(parameter) for parameter in parameters.split(","))]
    return found


def structs(text):
    """{name: [(type, field), ...]}"""
    found = {}
    for body, name in re.findall(r"typedef struct(?: \w+)? \{([^}]*)\} (shmetrics_\w+);", text):
        fields = []
        for declaration in filter(None, map(str.strip, body.split(";"))):
            first, *more = declaration.split(",")
            of = re.match(r"(.*?)(\*?)\s*(\w+)$", first)
            fields.append((of[1].strip() + of[2], of[3]))
            for other in more:
                star = "*" if "*" in other else ""
                fields.append((of[1].strip() + star, other.replace("*", "").strip()))
        found[name] = fields
    return found


class Declarations(unittest.TestCase):
    def setUp(self):
        self.header = plain((ROOT / "include/shmetrics.h").read_text())
        self.lua = plain(re.search(r"ffi\.cdef \[\[(.*?)\]\]", (ROOT / "bindings/lua/shmetrics.lua").read_text(), re.S)[1])

    def test_functions(self):
        declared, right = functions(self.lua), functions(self.header)
        self.assertGreater(len(declared), 25)
        for name, types in declared.items():
            self.assertEqual(types, right.get(name), name)

    def test_structs(self):
        declared, right = structs(self.lua), structs(self.header)
        self.assertEqual(len(declared), 14)
        for name, fields in declared.items():
            self.assertEqual(fields, right.get(name), name)

    def test_a_difference_is_seen(self):
        self.assertNotEqual(functions("void shmetrics_a(int b);"), functions("void shmetrics_a(int *b);"))
        self.assertNotEqual(structs("typedef struct { int a, b; } shmetrics_a;"), structs("typedef struct { int b, a; } shmetrics_a;"))


if __name__ == "__main__":
    unittest.main()
