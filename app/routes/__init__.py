"""HTTP in, HTTP out: a route parses, calls one function and returns."""
