"""Data that models write: new tasks from a few, harder tasks from easy ones, answers to choose from, ratings.

Each module is one published method, as a loop that knows neither recipes nor servers: it is given rows and a `Writer`
(a model behind an endpoint, or one in memory) and gives back `Made`: the rows, those that were dropped with the reason
of each, and what the model wrote that could not be read. What a loop asks depends on its settings and on the answers to
earlier questions alone, never on how many questions are under way at once; so a loop that was cut off asks the same
again, finds every answer that was paid for in the cache, and goes on.
"""
