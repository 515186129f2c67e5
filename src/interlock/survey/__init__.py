"""Existing systems of other frameworks: what is wrong with them, and the team file that they come to.

`source` reads what a function reads, returns and does out there, and `merging` what a reducer keeps, without calling any.
"""
