"""Tidy frames -> matplotlib `Figure`; `files` alone writes them."""
