"""`map_ahead` keeps the order of its items and submits only a few of them ahead."""

from concurrent.futures import ThreadPoolExecutor

from negclap.parallel import map_ahead


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
