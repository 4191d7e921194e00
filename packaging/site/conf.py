"""How Sphinx makes the documentation site; build.py runs it and gives the version."""

import os

project = "shmetrics"
author = "the shmetrics developers"
project_copyright = "the shmetrics developers"
release = version = os.environ["SHMETRICS_VERSION"]
extensions = ["myst_parser"]
# Headings have the anchors that GitHub gives them, and the pages' links use those.
myst_heading_anchors = 6
html_theme = "furo"
html_title = f"shmetrics {release}"
html_copy_source = False
html_show_sourcelink = False
html_last_updated_fmt = None
# Prometheus' languages and the examples that stop halfway have no highlighter.
suppress_warnings = ["misc.highlighting_failure"]
