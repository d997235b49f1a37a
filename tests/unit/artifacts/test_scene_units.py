"""What a worker keeps open from one unit to the next."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

from iodine_kit.artifacts.scene_units import LastOpened


def test_what_is_opened_serves_the_next_unit_of_the_same_key() -> None:
    opened: LastOpened[str, list[str]] = LastOpened()
    first = opened.get("a", lambda key: [key])
    assert opened.get("a", lambda key: [key]) is first
    assert opened.get("b", lambda key: [key]) == ["b"]
    opened.close()
    assert opened.get("b", lambda key: []) == []


def test_a_thread_of_a_worker_never_gets_what_another_one_opened() -> None:
    """Another thread opens something else at the worst moment: after the keys were compared."""
    opened: LastOpened[Key, str] = LastOpened()

    def name_of(key: Key) -> str:
        return key.name

    @dataclass(eq=False)
    class Key:
        name: str

        def __eq__(self, other: object) -> bool:
            if threading.current_thread() is threading.main_thread():
                with ThreadPoolExecutor(1) as another:
                    assert another.submit(opened.get, Key("b"), name_of).result() == "b"
            return isinstance(other, Key) and other.name == self.name

        __hash__ = object.__hash__

    opened.get(Key("a"), name_of)
    assert opened.get(Key("a"), name_of) == "a"
