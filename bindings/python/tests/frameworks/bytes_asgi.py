"""The application of `bytes_app` for ASGI servers."""

import bytes_app

app = bytes_app.make_asgi()
