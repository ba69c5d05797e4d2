"""The real Argilla server and its real UI from pip alone: an environment of its own, SQLite, and no search server.

What runs in that environment lies in `inside/` and imports Argilla; the rest prepares it, starts it and looks after it,
and imports nothing of it.
"""
