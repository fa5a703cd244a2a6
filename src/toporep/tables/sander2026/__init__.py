"""Tables of Sander & Hasson 2026."""
