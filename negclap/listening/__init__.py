"""A listening study: what people hear, beside what models find.

`pack` makes a page that works offline, `results` reads what raters send back.
"""
