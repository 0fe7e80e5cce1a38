# Rights stand in each dataset's own access list: together with google_bigquery_dataset_iam_* the two would undo each
# other. WRITER and READER are the API's names for roles/bigquery.dataEditor and dataViewer on a dataset.

# Where a run works. Not for analysts: tables appear here one by one, and their rows are not yet judged.
resource "google_bigquery_dataset" "loading" {
  dataset_id  = "${local.dataset}_loading"
  description = "Commons Mirror: tables of the runs of the last two days, before their publication."
  location    = local.location

  default_table_expiration_ms = 172800000
  # The least that there is: what has expired must not stay readable.
  max_time_travel_hours      = "48"
  delete_contents_on_destroy = !var.deletion_protection

  default_encryption_configuration {
    kms_key_name = google_kms_crypto_key.tables.id
  }

  # Whoever owns the project owns the dataset; a list without an owner would lock it.
  access {
    role          = "OWNER"
    special_group = "projectOwners"
  }

  # load makes the tables, transform the twins beside them.
  dynamic "access" {
    for_each = toset(["load", "transform"])
    content {
      role          = "WRITER"
      user_by_email = google_service_account.function[access.key].email
    }
  }

  # sli gathers the error rows from here, views copies from here.
  dynamic "access" {
    for_each = toset(["sli", "views"])
    content {
      role          = "READER"
      user_by_email = google_service_account.function[access.key].email
    }
  }

  depends_on = [google_kms_crypto_key_iam_member.tables]
}

# What analysts read: whole runs only.
resource "google_bigquery_dataset" "published" {
  dataset_id  = local.dataset
  description = "Commons Mirror: the views show the last published run; <table>_<date> are its tables."
  location    = local.location

  # A week, the longest: a published table that somebody deleted can be brought back.
  max_time_travel_hours      = "168"
  delete_contents_on_destroy = !var.deletion_protection

  default_encryption_configuration {
    kms_key_name = google_kms_crypto_key.tables.id
  }

  access {
    role          = "OWNER"
    special_group = "projectOwners"
  }

  # sli writes the errors table and the SLI table, views copies tables here and moves the views.
  dynamic "access" {
    for_each = toset(["sli", "views"])
    content {
      role          = "WRITER"
      user_by_email = google_service_account.function[access.key].email
    }
  }

  dynamic "access" {
    for_each = var.analysts
    content {
      role           = "READER"
      group_by_email = access.key
    }
  }

  # Datasets and not single views: an authorized view loses its right when somebody updates it.
  dynamic "access" {
    for_each = var.consumers
    content {
      dataset {
        dataset {
          project_id = access.value.project
          dataset_id = access.value.dataset
        }
        target_types = ["VIEWS"]
      }
    }
  }

  depends_on = [google_kms_crypto_key_iam_member.tables]
}

# Coverage per run and table. The sli function makes it where it is missing; here it is protected.
resource "google_bigquery_table" "sli" {
  dataset_id          = google_bigquery_dataset.published.dataset_id
  table_id            = "commons_mirror_sli"
  description         = "Commons Mirror: coverage, one row per run and table, and one per run in total."
  schema              = file("${path.module}/sli-schema.json")
  deletion_protection = var.deletion_protection

  encryption_configuration {
    kms_key_name = google_kms_crypto_key.tables.id
  }
}
