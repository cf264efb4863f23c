"""The report of a comparison: what it shows beyond the numbers, and the page."""
