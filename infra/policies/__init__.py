"""IAM documents, as pure functions.

Add code here when somebody or something may do more, or less, on AWS.
"""
