"""Ways to systems that do not scrape."""
