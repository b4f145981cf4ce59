from __future__ import annotations

from collections.abc import Callable
from typing import Any


class Publisher:
    def __init__(self) -> None:
        self.messages: list[Any] = []

    def publish(self, message: Any) -> None:
        self.messages.append(message)


class Node:
    def __init__(self, name: str) -> None:
        self.name = name
        self.publishers: dict[str, Publisher] = {}
        self.subscriptions: dict[str, Callable[[Any], None]] = {}

    def create_publisher(self, kind: type, topic: str, depth: int) -> Publisher:
        assert (kind.__name__, depth) == ("Image", 1)
        return self.publishers.setdefault(topic, Publisher())

    def create_subscription(self, kind: type, topic: str, callback: Callable[[Any], None], depth: int) -> None:
        assert (kind.__name__, depth) == ("Image", 1)
        self.subscriptions[topic] = callback
