terraform {
  # Write-only arguments, so that no secret is in the state.
  required_version = ">= 1.11"

  required_providers {
    google = {
      source  = "hashicorp/google"
      version = "7.45.0"
    }
  }

  # The bucket is made by bootstrap.sh, which names it to `terraform init`.
  backend "gcs" {
    prefix = "commons-mirror"
  }
}

provider "google" {
  project        = local.project
  region         = local.region
  default_labels = { app = "commons-mirror" }
}
