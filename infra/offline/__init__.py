"""The program without an account: recorded runs, previews and costs.

Add code here for another view of a recorded run, or for another simulated response of AWS.
"""
