"""The REST API under /api/v1: one module a noun, every answer a model documented by OpenAPI."""
