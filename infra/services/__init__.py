"""The services in the cluster that all tenants share.

Add code here for a chart, a shared object, an alert or a dashboard.
"""
