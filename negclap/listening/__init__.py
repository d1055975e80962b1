"""A listening study: do people and models agree on which of two clips fits a text?

- `pack`: write the raters' page, which works offline, and the key.
- `questions`: choose the texts and pairs of clips.
- `study`: the key: all trials with their correct answers.
- `answers`: read the raters' files and check how attentive the raters were.
- `results`: agreement between raters, accuracy, and agreement of models with raters.
- `tables`: tables and a picture of the results.
- ``page.html``, ``page.css``, ``page.js``: the raters' page.
"""
