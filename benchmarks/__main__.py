"""The command: `python -m benchmarks [NAME ...] [--broker embedded,container] [--quick]`."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Iterator

from pytest_msk.brokers.choice import Brokers
from pytest_msk.options import KAFKA_IMAGE

from . import collect, delivery, embedded, filters, journal, restart, scale, security, small, throughput, window
from .rows import Row, render
from .stage import Stage

_BENCHMARKS: dict[str, Callable[[Stage], Iterator[Row]]] = {
    module.__name__.rpartition(".")[2]: module.rows
    for module in (small, throughput, scale, delivery, restart, embedded, security, window, collect, filters, journal)
}
#: Several under one name.
_GROUPS = {"broker": ("embedded", "security")}
#: What runs on every broker that is asked for; the rest has targets for the embedded one alone.
_EVERYWHERE = {"scale", "delivery"}


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description="Measure the kit against its targets.")
    known = ", ".join((*_GROUPS, *_BENCHMARKS))
    parser.add_argument("name", nargs="*", help=f"what to run, all by default: {known}")
    parser.add_argument(
        "--broker", default="embedded", help="embedded, container, or both with a comma; scale and delivery run on each"
    )
    parser.add_argument(
        "--quick", action="store_true", help="small counts and no verdict, to see that everything works"
    )
    options = parser.parse_args(arguments)
    names = [each for name in options.name for each in _GROUPS.get(name, (name,))]
    if unknown := set(names) - set(_BENCHMARKS):
        parser.error(f"no benchmark {', '.join(sorted(unknown))}: there are {known}")
    rows = list(_run(names or list(_BENCHMARKS), options.broker.split(","), quick=options.quick))
    print(render(rows))
    return 1 if not options.quick and any(row.ok is False for row in rows) else 0


def _run(names: list[str], kinds: list[str], *, quick: bool) -> Iterator[Row]:
    brokers = Brokers(settings={}, image=KAFKA_IMAGE.default, bootstrap_servers="", timeout=120, report=_tell)
    try:
        for kind in kinds:
            for name in names:
                if kind == "embedded" or name in _EVERYWHERE:
                    _tell(f"{name} on {kind} ...")
                    yield from _BENCHMARKS[name](Stage(broker=brokers.get(kind), quick=quick))
    finally:
        brokers.close()


def _tell(text: str) -> None:
    print(text, file=sys.stderr, flush=True)


if __name__ == "__main__":
    sys.exit(main())
