"""Arrays in, arrays out; knows none of the nouns."""
