"""Reports: pages from what an evaluation found. Each module of ``sections`` is one section of the page."""
