import bytes_app

app = bytes_app.make_asgi()
