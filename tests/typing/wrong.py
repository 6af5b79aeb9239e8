"""Uses of tasks that type checkers refuse: each line that is marked, and no other."""

from __future__ import annotations

from lightwork import backoff, connect, task


@task
def power(x: int, n: int = 2) -> int:
    return x * n


@task
def label(text: str, *, upper: bool = False) -> str:
    return text.upper() if upper else text


@task
async def fetch(url: str) -> bytes:
    return url.encode()


async def main() -> str:
    return await fetch.submit("b")  # wrong


fetch.submit(1)  # wrong
connect(limits=4)  # wrong
connect(threads="2")  # wrong
task(retries="3")  # wrong
task(retry_on=["OSError"])  # wrong
task(timeout="30")  # wrong
task(retry=3)  # wrong
task(resources={"GPU": "1"})  # wrong
backoff(first="1")  # wrong
power.map(["a"])  # wrong
power.map(3)  # wrong
power.map([1], ["a"])  # wrong
label.map([1])  # wrong
label.map(["a"], upper=True)  # wrong
power.submit("a")  # wrong
power.submit(1, "a")  # wrong
power.submit(1, m=3)  # wrong
power.submit()  # wrong
label.submit("a", True)  # wrong
power.is_cached("a")  # wrong
power.with_options(retries="5")  # wrong
text: str = power.submit(1).result()  # wrong
texts: list[str] = list(power.map([1]))  # wrong
