"""Notify people about a delivery."""

from pismo.notifications.alert import Alert, send_alert
from pismo.notifications.delivery import DeliveryNotifier, deadline_of
from pismo.notifications.notifiers import check_notifiers

__all__ = ["Alert", "DeliveryNotifier", "check_notifiers", "deadline_of", "send_alert"]
