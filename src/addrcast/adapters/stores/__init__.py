"""Stores behind the store port."""
