"""Machine translation of text: engines, their cache, what is kept of what they say."""
