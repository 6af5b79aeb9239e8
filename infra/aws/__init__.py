"""Components on AWS, and the parts that they share.

Add code here for a kind of AWS resource that an estate does not have yet.
"""
