"""The rules as a CrossGuard pack, which Pulumi's engine asks.

Add rules to `infra/rules`, and code here only for how the engine asks them.
"""
