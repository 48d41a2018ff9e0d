"""The TaskManager: slots that run tasks cooperatively, and the process around them.

Imports everything below `jobmanager/`'s line. Meets the JobManager only in `rpc`.
"""
