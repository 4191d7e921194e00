"""The lines of a page in the text format, without the order of its families and series."""

import re

EMPTY_BUCKET = re.compile(r'\w+_bucket\{.*le="[^"]*"\} 0$')


def lines(page):
    """The lines of a page, sorted. Fails if samples do not stand below the type of their family.

    Left out are the families of the library, and what nginx-lua-prometheus does not print: empty
    buckets, and the help and type of families without series."""
    kept, families, family = [], {}, None
    for line in page.splitlines():
        if line.startswith("# "):
            name = line.split()[2]
            if line.startswith("# TYPE "):
                assert name not in families, f"{name} is twice on the page"
                families[name] = 0
                family = name
        else:
            assert family and re.match(rf"{family}(_bucket|_sum|_count)?[ {{]", line), f"{line} stands below {family}"
            families[family] += 1
        kept.append((line.split()[2] if line.startswith("# ") else family, line))
    return sorted(line for name, line in kept if families[name] and not name.startswith("shmetrics_") and not EMPTY_BUCKET.match(line))
