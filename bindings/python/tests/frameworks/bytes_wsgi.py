import bytes_app

app = bytes_app.wsgi()
