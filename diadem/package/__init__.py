"""Bags, crates, pages and verification, as functions over streams. No file is opened here."""
