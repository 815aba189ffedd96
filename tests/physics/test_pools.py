"""The cache between two pools and the room of a decode pool."""

import math

from hypothesis import given
from hypothesis import strategies as st

from clustercast.physics.pools import exposed_transfer_s, shared_transfer_s, slot_wait_s, staffed_batch

times = st.floats(1e-6, 1e3)
shares = st.floats(0.0, 0.99)


@given(times, times, st.floats(1.0, 200.0), shares)
def test_what_is_exposed_is_part_of_the_transfer(
    transfer_s: float, prefill_s: float, n_layers: float, overlap: float
) -> None:
    exposed = exposed_transfer_s(transfer_s, prefill_s, n_layers, overlap)
    assert transfer_s / n_layers <= exposed <= transfer_s
    assert exposed_transfer_s(transfer_s, 2.0 * prefill_s, n_layers, overlap) <= exposed


@given(times, shares, shares)
def test_a_busier_link_is_never_faster(alone_s: float, one: float, other: float) -> None:
    low, high = sorted((one, other))
    assert alone_s <= shared_transfer_s(alone_s, low) <= shared_transfer_s(alone_s, high)
    assert shared_transfer_s(alone_s, 1.0) == math.inf


@given(st.floats(1.0, 1e6), st.floats(0.0, 3.0))
def test_room_is_kept_by_the_root_of_what_is_in_flight(slots: float, margin: float) -> None:
    batch = staffed_batch(slots, margin)
    assert 0.0 < batch <= slots * (1.0 + 1e-12)
    assert math.isclose(batch + margin * math.sqrt(batch), slots, rel_tol=1e-9)


@given(st.floats(0.01, 0.98), st.floats(1.0, 1e4), times)
def test_one_more_slot_never_makes_one_wait_longer(load: float, slots: float, service_s: float) -> None:
    now = slot_wait_s(load, slots, service_s, 1.0)
    assert slot_wait_s(load, slots + 1.0, service_s, 1.0) <= now
    assert slot_wait_s(load + 0.01, slots, service_s, 1.0) >= now


def test_one_slot_waits_as_before_one_server() -> None:
    # M/D/1 at half load: rho / (2 (1 - rho)) of a service
    assert math.isclose(slot_wait_s(0.5, 1.0, 3.0, 1.0), 1.5)
