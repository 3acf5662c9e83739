"""Tocsin: monitoring for multi-tenant FastAPI products. These are the SDK's public names; importing them is cheap."""
