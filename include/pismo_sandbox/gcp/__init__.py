"""Google Cloud Storage and Pub/Sub, as far as the deliveries need them."""
