"""The server under the API: uvicorn, which waits for open answers to end before it stops, so those are told to."""

from __future__ import annotations

import gc
import socket
import sys
from contextlib import suppress

import uvicorn
from fastapi import FastAPI

from app.main import create_app
from app.settings import Settings
from app.storage import is_usable


def serve(settings: Settings) -> None:
    """Serve the API until SIGTERM or SIGINT; exit where it cannot start."""
    if not is_usable(settings):
        sys.exit(1)
    app = create_app(settings)
    config = uvicorn.Config(app, host=settings.host, port=settings.port, access_log=False, log_config=None)
    server = Server(config, app)
    # No collection goes through all that was imported again: that would be a pause of a tenth of a second in a request.
    gc.freeze()
    gc.enable()
    with suppress(KeyboardInterrupt):
        server.run()
    if not server.started:
        sys.exit(1)


class Server(uvicorn.Server):
    """Ends the streams of events when it stops."""

    def __init__(self, config: uvicorn.Config, app: FastAPI) -> None:
        super().__init__(config)
        self._app = app

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """Stop."""
        self._app.state.parts.streams.close()
        await super().shutdown(sockets)
