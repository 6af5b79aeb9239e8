"""IAM documents, as pure functions.

Add code here to change what a person, a role or a pod may do on AWS.
"""
