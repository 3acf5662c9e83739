"""What runs inside the customer's process: requests in, OTLP bytes out, and never an exception of ours.

Enter: ASGI scopes and messages, spans made through `opentelemetry-api`. Leave: OTLP/HTTP requests to the server.
Called by the product through the names in `tocsin`; nothing here imports FastAPI, Starlette or the server.
"""
