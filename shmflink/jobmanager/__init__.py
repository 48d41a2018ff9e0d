"""The JobManager (supervisor): dispatcher, scheduler, failover, TaskManager supervision. Does no data work.

Meets TaskManagers and clients only in `rpc`.
"""
