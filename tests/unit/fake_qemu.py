# SPDX-License-Identifier: GPL-2.0-or-later
"""A QEMU that only speaks QMP, over a Unix socket, from a thread."""

from __future__ import annotations

import json
import socket
import threading
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

GREETING = {"QMP": {"version": {"qemu": {"major": 7, "minor": 2, "micro": 22}, "package": ""},
                    "capabilities": ["oob"]}}  # fmt: skip


class FakeQemu:
    """Answers with ``answer(command, arguments)``; a ValueError becomes a GenericError.

    ``seen`` are the commands, ``events`` are sent before the next answer.
    """

    def __init__(self, path: Path, answer: Callable[[str, dict[str, Any]], Any]) -> None:
        self.seen: list[tuple[str, dict[str, Any]]] = []
        self.events: list[dict[str, Any]] = []
        self._answer = answer
        self._listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self._listener.bind(str(path))
        self._listener.listen()
        self._connection: socket.socket | None = None
        self._thread = threading.Thread(target=self._serve, daemon=True)
        self._thread.start()

    def _serve(self) -> None:
        try:
            self._connection, _ = self._listener.accept()
            self.send(GREETING)
            rest = ""
            while data := self._connection.recv(65536):
                rest = self._all(rest + data.decode())
        except OSError:
            pass

    def _all(self, text: str) -> str:
        """Answer every whole request: QMP has no line ends. What is left."""
        while text := text.lstrip():
            try:
                request, end = json.JSONDecoder().raw_decode(text)
            except json.JSONDecodeError:
                break
            self._one(request)
            text = text[end:]
        return text

    def _one(self, request: dict[str, Any]) -> None:
        command, arguments = request["execute"], request.get("arguments", {})
        reply = {"id": request["id"]} if "id" in request else {}
        if command == "qmp_capabilities":
            self.send({**reply, "return": {}})
            return
        self.seen.append((command, arguments))
        while self.events:
            self.send(self.events.pop(0))
        try:
            self.send({**reply, "return": self._answer(command, arguments)})
        except ValueError as error:
            self.send({**reply, "error": {"class": "GenericError", "desc": str(error)}})

    def send(self, message: dict[str, Any]) -> None:
        assert self._connection
        self._connection.sendall(json.dumps(message).encode() + b"\r\n")

    def event(self, name: str, **data: Any) -> None:
        self.send({"event": name, "data": data, "timestamp": {"seconds": 1, "microseconds": 0}})

    def die(self) -> None:
        self._listener.close()
        if self._connection:
            with suppress(OSError):  # it may be dead already
                self._connection.shutdown(socket.SHUT_RDWR)
            self._connection.close()
