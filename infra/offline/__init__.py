"""The program without an account: recording, previews, costs.

Add code here for another view of a recorded run, or for an answer that AWS would give.
"""
