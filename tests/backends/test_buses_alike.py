"""Whatever is asked of them in whatever order, the bus on Redis answers as the one in memory does."""

import json
from dataclasses import dataclass
from typing import Any
from uuid import uuid4

from django.test import override_settings
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from htmx_live.backends import Bus, MemoryBus, RedisBus
from htmx_live.backends.redis.client import RedisConnection
from htmx_live.core.fragments import text_placeholder
from htmx_live.testing import ManualClock

CHANNELS = ("page:a", "page:b", "topic:t")
channels = st.lists(st.sampled_from(CHANNELS), max_size=3, unique=True)
texts = st.sampled_from(["s", "s2"])
words = st.text("aé€😀<\n\x02", max_size=8)
moments = st.integers(0, 30)

actions = st.one_of(
    st.tuples(
        st.just("publish"), channels, st.sampled_from(["a", "b", "root"]), words, st.sampled_from(["", "notice"])
    ),
    st.tuples(st.just("show"), channels, texts),
    st.tuples(st.just("append"), channels, texts, words, st.booleans()),
    st.tuples(st.just("end"), texts),
    st.tuples(st.just("end_under"), st.sampled_from(["s", "s2", "x"])),
    st.tuples(st.just("forget"), channels),
    st.tuples(st.just("join"), st.sampled_from(["a", "b"]), channels, st.none() | moments),
    st.tuples(st.just("pass_time"), st.sampled_from([1, 60, 200])),
    st.tuples(st.just("read"), channels, moments),
    st.tuples(st.just("text"), texts),
)


IDLE = [  # nothing but the passing of time ends what nobody has used
    ("publish", [], "a", "", ""),
    ("append", ["page:a"], "s", "", False),
    ("pass_time", 200),
    ("pass_time", 200),
    ("read", ["page:a"], 0),
]


@dataclass
class Player:
    """Plays actions on one bus; positions are named by the number of the action after which they were taken."""

    bus: Bus
    clock: ManualClock

    def __post_init__(self) -> None:
        self.positions = [self.bus.position()]
        self.generations: dict[str, int] = {"0": 0}

    def play(self, name: str, *args: Any) -> Any:
        answer = getattr(self, name)(*args)
        self.positions.append(self.bus.position())
        return answer

    def publish(self, names: list[str], target: str, data: str, event: str) -> None:
        self.bus.publish(names, target, data, event=event)

    def show(self, names: list[str], text: str) -> None:
        self.bus.publish(names, "root", f"é{text_placeholder(text, tag='p', name='log')}")

    def append(self, names: list[str], target: str, text: str, replace: bool) -> None:
        self.bus.append(names, target, text, replace=replace)

    def end(self, target: str) -> None:
        self.bus.clear_texts([target])

    def end_under(self, prefix: str) -> None:
        self.bus.clear_texts_under(prefix)

    def forget(self, names: list[str]) -> None:
        self.bus.purge(names)

    def join(self, page: str, names: list[str], since: int | None) -> None:
        self.bus.add_channels(page, names, since="" if since is None else self._position(since))

    def pass_time(self, seconds: int) -> None:
        self.clock.advance(seconds)

    def read(self, names: list[str], since: int) -> Any:
        catchup = self.bus.read(names, self._position(since))
        seen = [(m.target, m.event, self._plain(m.event, m.data)) for m in catchup.messages]
        return catchup.is_reset, seen, catchup.position == self.bus.position()

    def text(self, target: str) -> Any:
        text = self.bus.text(target)
        return text and (self._generation(text.generation), text.text)

    def _position(self, moment: int) -> str:
        return self.positions[min(moment, len(self.positions) - 1)]

    def _plain(self, event: str, data: str) -> Any:
        """The data with the generations numbered in the order in which they were met."""
        if event == "append":
            piece = json.loads(data)
            return piece | {"generation": self._generation(piece["generation"])}
        before, mark, after = data.partition('data-live-offset="')
        generation, _, rest = after.partition(".")
        return (before, self._generation(generation), rest) if mark else data

    def _generation(self, generation: str) -> int:
        return self.generations.setdefault(generation, len(self.generations))


@override_settings(HTMX_LIVE={"MAX_STREAM_TEXT": 12, "REPLAY_TTL": 100, "HIDDEN_TTL": 300})
@settings(max_examples=150, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(script=st.lists(actions, min_size=3, max_size=25))
@example(script=IDLE)
def test_both_buses_answer_alike(connection: RedisConnection, script: list[tuple[Any, ...]]) -> None:
    clock = ManualClock()
    connection.prefix = f"{uuid4().hex}:"
    memory, redis = Player(MemoryBus(clock=clock), clock), Player(RedisBus(connection, clock=clock), ManualClock())
    for name, *args in script:
        assert memory.play(name, *args) == redis.play(name, *args), name
    for moment in range(len(script) + 1):
        assert memory.play("read", CHANNELS, moment) == redis.play("read", CHANNELS, moment), moment
