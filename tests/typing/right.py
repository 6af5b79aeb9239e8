"""Uses of tasks that type checkers accept."""

from __future__ import annotations

from lightwork import Results, backoff, connect, task


@task
def power(x: int, n: int = 2) -> int:
    return x * n


@task(retries=3, retry_on=(OSError, KeyError), retry_delay=backoff(first=1), timeout=30, ordered=False)
def label(text: str, *, upper: bool = False) -> str:
    return text.upper() if upper else text


@task(limit="api", resources={"GPU": 1}, expires="7d")
def total(numbers: list[int], factor: float, name: str) -> float:
    return sum(numbers) * factor


@task(concurrency=8)
async def fetch(url: str) -> bytes:
    return url.encode()


async def main() -> bytes:
    pages: list[bytes] = [page async for page in fetch.map(["a"])]
    number: int = await power.submit(2)
    return pages[0] + await fetch.submit("b") + bytes(number)


with connect(limits={"api": 4, "weather": "10/s"}, refresh=["power"]):
    numbers: Results[int] = power.map([1, 2])
    more: Results[int] = power.map(range(3), range(3))
    pairs: Results[int] = power.starmap([(1, 2), (3,)])
    labels: Results[str] = label.map(["a"], upper=[True])
    labels = label.map(["a"], shared={"upper": True})
    floats: Results[float] = total.map([[1]], [1.5], ["a"])
    value: int = power.submit(2, n=3).result()
    later: float = total.submit([power.submit(1), power.submit(2)], 1.5, "a").result()
    again: int = power.submit(power.submit(2), 3).result()
    once_more: int = power.submit(2, power.submit(3)).result()
    plain: int = power(2, n=3)
    known: bool = power.is_cached(2, n=3)
    power.forget(2)
    other: Results[int] = power.with_options(retries=5, refresh=True).map([1])
