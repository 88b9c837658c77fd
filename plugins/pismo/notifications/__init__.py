"""Notify people about a delivery."""

from pismo.notifications.delivery import DeliveryNotifier, deadline_of, tell

__all__ = ["DeliveryNotifier", "deadline_of", "tell"]
