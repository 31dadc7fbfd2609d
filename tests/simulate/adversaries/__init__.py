"""Systems that no estimator assumes: each with what has to hold there, be it coverage, few errors, or saying nothing.

Truths here are drawn by laws that share no code with the estimators, and were chosen to be unlike those that these
were made for: contaminated, drifting, clustered, seasonal, of several modes, with queues, not monotone.
"""
