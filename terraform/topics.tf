locals {
  topics = {
    objects     = "mirror-objects"
    completions = "mirror-completions"
    failures    = "mirror-failures"
    dead        = "mirror-dead"
  }
}

# Messages hold keys, never row values; they are encrypted and kept in the region all the same.
resource "google_pubsub_topic" "mirror" {
  for_each = local.topics

  name         = each.value
  kms_key_name = google_kms_crypto_key.region.id

  message_storage_policy {
    allowed_persistence_regions = [local.region]
  }

  depends_on = [google_kms_crypto_key_iam_member.region]
}

# What no function took. A pull subscription: it is read by people, and nothing that feeds the alert function comes back to it.
resource "google_pubsub_subscription" "dead" {
  name                       = "mirror-dead"
  topic                      = google_pubsub_topic.mirror["dead"].id
  ack_deadline_seconds       = 60
  message_retention_duration = "2678400s"

  # Never; by default a subscription goes after 31 idle days, and a healthy mirror's is idle.
  expiration_policy {
    ttl = ""
  }
}

# Pub/Sub itself moves a message to the dead letters: it publishes there …
resource "google_pubsub_topic_iam_member" "dead_letters" {
  topic  = google_pubsub_topic.mirror["dead"].id
  role   = "roles/pubsub.publisher"
  member = local.agents.pubsub
}

# … and acknowledges where it came from.
resource "google_pubsub_subscription_iam_member" "dead_letters" {
  for_each = google_pubsub_subscription.push

  subscription = each.value.id
  role         = "roles/pubsub.subscriber"
  member       = local.agents.pubsub
}
