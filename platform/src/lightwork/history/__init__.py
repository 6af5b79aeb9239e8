"""The history of a lake's runs: packed into segments by a collector, read through a cache on this machine."""
