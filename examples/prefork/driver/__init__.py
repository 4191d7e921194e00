"""The parts of drive.py: the server it runs, the load it makes, the pages it reads, and the verdict it gives."""
