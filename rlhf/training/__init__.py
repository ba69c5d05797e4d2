"""Trainers on TRL: what is learned from, how a run goes on and ends, and a look at the data before any of it."""
