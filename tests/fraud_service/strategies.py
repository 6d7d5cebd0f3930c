"""Players' observations, as hypothesis draws them."""

from hypothesis import strategies as st

from fraud_service.domain.features import DAY_MS, HOUR_MS, MINUTE_MS
from fraud_service.domain.observations import Observation, What

START = 1_790_000_000_000

_times = st.one_of(st.integers(0, 20 * MINUTE_MS), st.integers(0, 30 * HOUR_MS), st.integers(0, 45 * DAY_MS)).map(
    lambda offset: START + offset
)


@st.composite
def observations(draw: st.DrawFn) -> list[Observation]:
    """What was noticed of one player; each has a ref of its own, as events have."""
    count = draw(st.integers(1, 60))
    return [
        Observation(
            user_id=1,
            at=draw(_times),
            what=draw(st.sampled_from(What)),
            ref=f"0:{number}",
            amount_minor=draw(st.integers(0, 1_000_000)),
            currency=draw(st.sampled_from(["USD", "EUR"])),
            subject=draw(st.sampled_from(["GB", "DE", "a", "b", *(f"c{n}" for n in range(20))])),
            number=draw(st.integers(0, 50)),
            won=draw(st.booleans()),
        )
        for number in range(count)
    ]
