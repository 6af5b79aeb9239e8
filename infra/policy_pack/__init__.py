"""The rules as a CrossGuard pack, which Pulumi's engine calls.

Add rules to `infra/rules`, and code here only for the interface to the engine.
"""
