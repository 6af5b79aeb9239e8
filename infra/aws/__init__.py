"""Components on AWS, one a file.

Add code here for a kind of AWS resource that an estate does not have yet.
"""
