"""The stack of an environment: its wiring, its outputs, and the first step in an empty account.

Add code here to wire in a component that all tenants share, or to export one of its outputs.
"""
