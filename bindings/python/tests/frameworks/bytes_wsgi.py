"""The application of `bytes_app` for WSGI servers."""

import bytes_app

app = bytes_app.wsgi()
