"""Server: process, scheduler, jobs, alerts, notifications and self-metering."""
