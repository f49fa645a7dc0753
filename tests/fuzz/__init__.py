"""Fuzzing of the routes: any number of inputs, and none of them gives a 5xx."""
