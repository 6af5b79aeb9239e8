"""Components on AWS, and the parts that they share.

Add code here for an AWS service that estates do not use yet.
"""
