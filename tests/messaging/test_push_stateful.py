"""Clicks, pushes, ticks, jobs, cancels, gaps and reloads in any order come to what one after the other would come to.

Everything happens where the machine says so: jobs are threads that take one command at a time, and what meets a
user's event is done by another thread while that event's handler runs.
"""

from collections.abc import Callable
from contextlib import ExitStack
from functools import partial
from typing import Any

from django.test import override_settings
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st
from hypothesis.stateful import Bundle, RuleBasedStateMachine, initialize, invariant, multiple, rule

from htmx_live import LiveView, push_to_view
from htmx_live.http.stream_endpoint import PageStreamAuthorizer
from htmx_live.http.stream_hub import StreamGrant
from htmx_live.runtime.services import services
from htmx_live.runtime.state import decode_state
from htmx_live.testing import LiveClient
from htmx_live.testing.environment import current_environment, live_environment
from tests.messaging.push_model import CLICKED, LINES, Job, Model, Pad, SharedPad

numbers = st.integers(min_value=1, max_value=99)
clients = st.integers(min_value=0, max_value=2)
names = st.sampled_from(["a", "b"])
meetings = st.lists(
    st.one_of(
        st.tuples(st.just("hear"), numbers),
        st.tuples(st.just("state"), numbers),
        st.tuples(st.just("tick"), st.just(0)),
        st.tuples(st.sampled_from(["flush", "keep", "return", "fail"]), numbers),
    ),
    max_size=4,
)


class Pushes(RuleBasedStateMachine):
    """Three pages of ``view``, and one model for each of its instances."""

    view: type[LiveView] = Pad
    started = Bundle("started")

    @initialize()
    def open_pages(self) -> None:
        self.surroundings = ExitStack()
        engine = "django.contrib.sessions.backends.signed_cookies"
        self.surroundings.enter_context(override_settings(SESSION_ENGINE=engine))
        self.surroundings.enter_context(live_environment())
        self.gate, self.jobs, self.words = PageStreamAuthorizer(), dict[str, Job](), 0
        self.clients: list[LiveClient] = []
        self.access: list[StreamGrant] = []
        self.models: dict[str, Model] = {}
        CLICKED.clear(), LINES.clear()
        for pk in range(3):
            is_shared = self.view.scope == "shared"
            client = LiveClient(self.view, **({} if is_shared else {"pk": pk}))
            self.clients.append(client)
            self.models.setdefault(client.instance, Model(client.rev))
            self.access.append(self.enter(client))

    def enter(self, client: LiveClient) -> StreamGrant:
        """Open the page's stream."""
        cookies = "; ".join(f"{name}={morsel.value}" for name, morsel in client.http.cookies.items())
        access = self.gate.authorize({"x-live-page": client._page_grant, "cookie": cookies})
        assert isinstance(access, StreamGrant)
        self.gate.on_open(access)
        return access

    def model(self, index: int) -> Model:
        return self.models[self.clients[index].instance]

    def is_shown(self, model: Model) -> bool:
        return any(client.is_connected for client in self.clients if self.models[client.instance] is model)

    def word(self) -> str:
        self.words += 1
        return f"w{self.words}"

    # What happens

    @rule(client=clients, meanwhile=meetings)
    def click(self, client: int, meanwhile: list[tuple[str, int]]) -> None:
        word, model = self.word(), self.model(client)
        model.is_busy = True
        CLICKED.append(lambda: self.meet(client, meanwhile))
        self.clients[client].send("click", {"word": word})
        model.user(lambda: model.hear(word))

    def meet(self, client: int, meanwhile: list[tuple[str, int]]) -> None:
        """While a click's handler runs, on another thread."""
        for what, number in meanwhile:
            running = [job for job in self.jobs.values() if not job.line.is_over]
            if what == "hear":
                self.push_handler(None)
            elif what == "state":
                self.push_state(number, None)
            elif what == "tick":
                self.tick(client)
            elif running:
                self.command(running[number % len(running)].token, what, number)

    @rule(client=clients)
    def tell_all_in_a_turn(self, client: int) -> None:
        word, sender = self.word(), self.model(client)
        self.clients[client].send("tell", {"word": word})
        sender.user(lambda: sender.hear(word, f"{word}-told"))
        for model in self.models.values():
            if model is not sender:
                model.post(partial(model.hear, f"{word}-told"), now=self.is_shown(model))

    @rule(number=numbers, only=st.none() | clients)
    def push_state(self, number: int, only: int | None) -> None:
        self.push(lambda model: model.state.update(value=number), only, state={"value": number})

    @rule(only=st.none() | clients)
    def push_handler(self, only: int | None) -> None:
        word = self.word()
        self.push(lambda model: model.hear(word), only, handler="hear", payload={"word": word})

    @rule(only=st.none() | clients)
    def push_that_fails(self, only: int | None) -> None:
        self.push(lambda model: None, only, handler="breaks", payload={"word": "never"})

    def push(self, change: Callable[[Model], None], only: int | None, **push: Any) -> None:
        chosen = list(self.models.values())
        if only is not None and self.view.scope == "client":
            chosen, push["kwargs"] = [self.model(only)], {"pk": only}
        assert push_to_view(self.view, **push) == len(chosen)
        fold = "state" if "state" in push else ""
        for model in chosen:
            model.post(partial(change, model), fold=fold, now=self.is_shown(model))

    @rule(client=clients)
    def tick(self, client: int) -> None:
        self.clients[client].tick()
        if self.is_shown(self.model(client)):
            self.model(client).post(lambda: self.model(client).hear("tick"), fold="tick", now=True)

    # Jobs

    @rule(target=started, client=clients, name=names, begins=st.booleans())
    def start(self, client: int, name: str, begins: bool) -> Any:
        token, model = self.word(), self.model(client)
        job = self.jobs[token] = Job(name, token, model)
        self.clients[client].send("start", {"name": name, "token": token})
        model.user(lambda: model.jobs.update({name: token}))
        waiting = current_environment().runner.waiting.pop()
        run = current_environment().runner.run
        if not begins:  # it stands in the queue, and is replaced there
            token, other = self.word(), waiting
            again = self.jobs[token] = Job(name, token, model)
            self.clients[client].send("start", {"name": name, "token": token})
            model.user(lambda: model.jobs.update({name: token}))
            job.line.begin(lambda: run(other))
            assert job.line.is_over
            waiting, job = current_environment().runner.waiting.pop(), again
        job.line.begin(lambda: run(waiting))
        return multiple(token)

    @rule(token=started, what=st.sampled_from(["keep", "flush", "return", "fail"]), number=numbers)
    def command(self, token: str, what: str, number: int) -> None:
        """``keep`` assigns; what is assigned is handed over at the next flush, or at the end."""
        job = self.jobs[token]
        if job.line.is_over:
            return
        was_wanted = job.is_wanted
        job.line.tell(what, number)
        if what in ("keep", "flush"):
            job.changes[job.name] = number
        changes, model = dict(job.changes), job.model
        if what == "flush" and was_wanted:
            job.changes.clear()
            model.post(lambda: model.hand_over(job.name, token, changes), now=True)
        elif what != "keep":
            word = f"{job.name}={number}" if what == "return" else f"{job.name}!error"
            model.post(lambda: model.end(job.name, token, changes, word), now=True)
        assert job.line.is_over is (what in ("return", "fail") or (what == "flush" and not was_wanted))

    @rule(client=clients, name=names)
    def stop(self, client: int, name: str) -> None:
        model = self.model(client)
        self.clients[client].send("stop", {"name": name})
        model.user(lambda: model.jobs.pop(name, None) and None)

    # Gaps

    @rule(client=clients)
    def leave(self, client: int) -> None:
        if self.clients[client].is_connected:
            self.clients[client].disconnect()
            self.gate.on_close(self.access[client])
            current_environment().clock.advance(11)
            for other, access in zip(self.clients, self.access, strict=True):
                if other.is_connected:
                    self.gate.on_heartbeat(access)

    @rule(client=clients)
    def come_back(self, client: int) -> None:
        if not self.clients[client].is_connected:
            self.gate.on_open(self.access[client])
            self.clients[client].reconnect()
            self.model(client).drain()

    @rule(client=clients)
    def reload(self, client: int) -> None:
        model, page = self.model(client), self.clients[client]
        if page.is_connected:
            self.gate.on_close(self.access[client])
        page.reload()
        self.access[client] = self.enter(page)
        if self.view.scope == "client":
            model.user(lambda: None)  # it is taken over
        model.drain()

    # What holds after each

    @invariant()
    def every_instance_is_as_its_model(self) -> None:
        for instance, model in self.models.items():
            loaded = services().store.load(instance)
            assert loaded is not None
            assert decode_state(loaded.record.state) == model.state
            assert (loaded.record.rev, len(loaded.messages)) == (model.rev, len(model._mail))
            assert {row.name for row in loaded.record.jobs} == set(model.jobs)

    @invariant()
    def every_connected_page_shows_it(self) -> None:
        for index, client in enumerate(self.clients):
            model = self.model(index)
            if client.is_connected:
                assert (client.text, {name for _, name in client.pending}) == (model.text, set(model.jobs))

    def teardown(self) -> None:
        if not hasattr(self, "surroundings"):
            return
        with self.surroundings:
            for job in self.jobs.values():
                if not job.line.is_over:
                    job.line.tell("return", 0)
            for client, access in zip(self.clients, self.access, strict=True):
                if not client.is_connected:
                    self.gate.on_open(access)
                    client.reconnect()
                assert client.text == "{}|{value}|{a}|{b}".format(" ".join(client.state["log"]), **client.state).strip()
                self.gate.on_close(access)


class SharedPushes(Pushes):
    view = SharedPad


bounds = hypothesis_settings(max_examples=12, stateful_step_count=30, deadline=None)
Pushes.TestCase.settings = bounds
SharedPushes.TestCase.settings = bounds
TestPushes = Pushes.TestCase
TestSharedPushes = SharedPushes.TestCase
