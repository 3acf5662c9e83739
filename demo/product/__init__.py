"""Tallyroom itself: bookkeeping and client reports for organisations, instrumented with one line of Tocsin.

HTTP requests enter `app.create_app`; the routers in `routes/` answer them from SQLite through SQLAlchemy, and invoices
are rendered by a second service over HTTP. The domain code (`ledger`, `exports`, …) knows nothing of HTTP.
"""
