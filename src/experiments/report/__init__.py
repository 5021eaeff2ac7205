"""Plain values as tables, figures and pages; no session, no run."""
