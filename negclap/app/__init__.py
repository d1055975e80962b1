"""The search page of ``negclap app``.

- `server`: the web server, which serves the page and the indexed audio files.
- `page`: the page's controls (Gradio), and the searches behind them.
- `cards`: search results as HTML.
"""
