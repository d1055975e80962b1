"""docs/results.md and the table of README.md agree with the records of the experiments."""

import pytest
import results_page
import results_shown


def test_the_results_page_is_up_to_date():
    assert results_page.PAGE.read_text(encoding="utf-8") == results_page.page(), "run make results"


def test_the_table_of_the_readme_is_up_to_date():
    text = results_page.README.read_text(encoding="utf-8")
    assert text == results_page.readme(text), "run make results"


def test_a_changed_table_is_restored_and_the_rest_kept():
    text = "before\n<!-- results:begin -->\n| old |\n<!-- results:end -->\nafter\n"
    restored = results_page.readme(text)
    assert restored.startswith("before\n<!-- results:begin -->\n| metric | baseline | insert |")
    assert restored.endswith("|\n<!-- results:end -->\nafter\n")
    assert len(restored.splitlines()) == 4 + 2 + len(results_shown.README)
    with pytest.raises(SystemExit, match="expected one block"):
        results_page.readme("no markers")
