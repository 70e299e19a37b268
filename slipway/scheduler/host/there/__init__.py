"""The queue's program for the host: any Python from 3.6 on runs it, with nothing but its library.

It travels with each question as one zip file, and there is no process that stays. Whoever changes something
(a submission, a question, the end of a job) gives the places that are free to those who wait, under a lock.
Each job that runs has a process beside it, which warns it, ends it, and writes down how it ended.
"""
