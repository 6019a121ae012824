"""The virtual clock: time moves when it is told to, and sleepers wake in the order of their times."""

from __future__ import annotations

import asyncio

from addrcast.simulation.clock import VirtualClock


async def sleepers(clock: VirtualClock, *whens_ms: int) -> tuple[list[int], list[asyncio.Task[None]]]:
    """Tasks that sleep until each time, and the list to which they add it when they wake."""
    woken: list[int] = []

    async def sleep(when_ms: int) -> None:
        await clock.sleep_until(when_ms)
        woken.append(when_ms)

    tasks = [asyncio.create_task(sleep(when_ms)) for when_ms in whens_ms]
    await asyncio.sleep(0)
    return woken, tasks


async def test_sleepers_wake_in_the_order_of_their_times_and_not_before() -> None:
    clock = VirtualClock(100)
    woken, tasks = await sleepers(clock, 300, 200, 250, 301)
    clock.advance_to(199)
    await asyncio.sleep(0)
    assert woken == []
    clock.advance_to(300)
    await asyncio.gather(*tasks[:3])
    assert woken == [200, 250, 300]
    clock.advance_to(301)
    await tasks[3]


async def test_a_time_that_has_come_is_not_waited_for() -> None:
    clock = VirtualClock(100)
    await clock.sleep_until(100)
    await clock.sleep_until(99)
    assert clock.now_ms() == 100


async def test_time_never_goes_back() -> None:
    clock = VirtualClock(100)
    clock.advance_to(50)
    assert clock.now_ms() == 100


async def test_a_sleeper_that_gave_up_wakes_nobody_and_stops_nobody() -> None:
    clock = VirtualClock(0)
    woken, tasks = await sleepers(clock, 5, 6)
    tasks[0].cancel()
    await asyncio.wait(tasks[:1])
    clock.advance_to(10)
    await tasks[1]
    assert woken == [6]
