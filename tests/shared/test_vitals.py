"""What a process counted lately: as much as its counters went up within the window, and nothing once it has passed."""

from prometheus_client import CollectorRegistry, Counter, Gauge

from shared.vitals import STEPS, Lately

WINDOW_S = 60.0


class Followed:
    """A counter and its gauge, on a clock of their own that looks every second."""

    def __init__(self) -> None:
        self.now_s = 100.0
        registry = CollectorRegistry()
        self.counter = Counter("parked", "…", ("topic",), registry=registry)
        self._gauge = Gauge("parked_lately", "…", ("topic",), registry=registry)
        self._lately = Lately(self.counter, self._gauge, WINDOW_S, lambda: self.now_s)
        self._registry = registry

    def count(self, topic: str, times: int) -> None:
        self.counter.labels(topic).inc(times)

    def after(self, seconds: int) -> None:
        for _ in range(seconds):
            self.now_s += 1
            self._lately.look()

    def shown(self, topic: str) -> float | None:
        return self._registry.get_sample_value("parked_lately", {"topic": topic})


def test_what_was_counted_is_shown_at_once_and_until_its_window_has_passed() -> None:
    followed = Followed()
    followed.after(30)
    followed.count("orders", 3)
    followed.after(1)
    assert (followed.shown("orders"), followed.shown("others")) == (3, None)
    followed.after(58)
    assert followed.shown("orders") == 3
    followed.after(3)
    assert followed.shown("orders") == 0


def test_what_goes_on_is_shown_as_much_as_it_was_within_the_window() -> None:
    followed = Followed()
    for _ in range(5 * int(WINDOW_S)):
        followed.count("orders", 1)
        followed.count("others", 2)
        followed.after(1)
    assert followed.shown("orders") == WINDOW_S
    assert followed.shown("others") == 2 * WINDOW_S


def test_what_came_before_the_first_look_counts_and_so_does_what_stands_by_a_pause() -> None:
    followed = Followed()
    followed.count("orders", 7)
    followed.after(1)
    assert followed.shown("orders") == 7
    followed.now_s += 10 * WINDOW_S
    followed.after(1)
    assert followed.shown("orders") == 0


def test_it_keeps_no_more_than_its_steps() -> None:
    followed = Followed()
    followed.after(10 * int(WINDOW_S))
    assert len(followed._lately._seen) <= STEPS + 2
