"""Work ahead keeps its order, and only a little of it is done ahead."""

from concurrent.futures import ThreadPoolExecutor

import pytest

from negclap.parallel import chain_ahead, map_ahead


def test_results_are_in_order_and_few_items_are_taken_ahead():
    taken = []

    def items():
        for item in range(20):
            taken.append(item)
            yield item

    with ThreadPoolExecutor(2) as pool:
        results = map_ahead(pool, lambda item: item**2, items(), depth=3)
        assert next(results) == 0
        assert taken == [0, 1, 2, 3]
        assert list(results) == [item**2 for item in range(1, 20)]


def test_iterables_are_chained_in_order_and_few_are_begun():
    begun = []

    def numbers(which):
        begun.append(which)
        for number in range(which % 4):  # some have none
            yield which, number

    with ThreadPoolExecutor(3) as pool:
        chained = chain_ahead(pool, map(numbers, range(30)), depth=3)
        assert next(chained) == (1, 0)
        assert max(begun) <= 4
        rest = list(chained)
    assert [(1, 0), *rest] == [(which, n) for which in range(30) for n in range(which % 4)]


def test_an_error_in_an_iterable_reaches_the_consumer():
    def broken():
        yield 1
        raise ValueError("broken")

    with ThreadPoolExecutor(2) as pool:
        chained = chain_ahead(pool, [[0], broken(), [2]], depth=2)
        assert [next(chained), next(chained)] == [0, 1]
        with pytest.raises(ValueError, match="broken"):
            next(chained)
