"""What runs in the cluster for all tenants.

Add code here for a chart, a shared object, an alert or a dashboard.
"""
