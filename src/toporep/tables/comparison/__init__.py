"""Tables across papers."""
