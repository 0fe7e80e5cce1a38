# What mirror.yaml does not say.

variable "config_file" {
  description = "The mirror.yaml, relative to this folder. It must be the one that the image holds."
  type        = string
  default     = "../mirror.yaml"
}

variable "project_number" {
  description = "Number of mirror.yaml's project: Google's service agents are named by it."
  type        = string

  validation {
    condition     = can(regex("^[0-9]{6,}$", var.project_number))
    error_message = "The project's number, digits only: gcloud projects describe PROJECT --format='value(projectNumber)'."
  }
}

variable "image" {
  description = "The image of every function and of the job, by digest: a tag could change under a running mirror."
  type        = string

  validation {
    condition     = can(regex("^[a-z0-9.-]+/\\S+@sha256:[0-9a-f]{64}$", var.image))
    error_message = "HOST/PROJECT/REPOSITORY/NAME@sha256:DIGEST, with 64 hexadecimal digits; a tag is not enough."
  }
}

variable "alert_email" {
  description = "Whom Cloud Monitoring writes to. This way does not pass through the alert function or Slack."
  type        = string

  validation {
    condition     = can(regex("^[^@\\s]+@[^@\\s]+\\.[^@\\s]+$", var.alert_email))
    error_message = "One e-mail address; use a group's."
  }
}

variable "secrets" {
  description = <<-TEXT
    Values by environment variable: SLACK_WEBHOOK_URL, an incoming webhook's; SOURCE_URL, postgres://user:password@host:port/database
    of a role that may only read; for a source on Aptible APTIBLE_USERNAME and APTIBLE_PASSWORD instead. Wanted only where
    secret_versions has a new number; Secret Manager refuses an empty value, so that a forgotten one fails the apply.
  TEXT
  type        = map(string)
  # Neither in a plan file nor in the state.
  ephemeral = true
  sensitive = true
  default   = {}

  validation {
    condition     = alltrue([for name in keys(var.secrets) : contains(["SLACK_WEBHOOK_URL", "SOURCE_URL", "APTIBLE_USERNAME", "APTIBLE_PASSWORD"], name)])
    error_message = "Only SLACK_WEBHOOK_URL, SOURCE_URL, APTIBLE_USERNAME and APTIBLE_PASSWORD."
  }
  validation {
    condition     = can(regex("^(|postgres(ql)?://.*)$", lookup(var.secrets, "SOURCE_URL", "")))
    error_message = "SOURCE_URL: postgres://user:password@host:port/database."
  }
  validation {
    condition     = can(regex("^(|https://.*)$", lookup(var.secrets, "SLACK_WEBHOOK_URL", "")))
    error_message = "SLACK_WEBHOOK_URL: an https URL."
  }
}

variable "secret_versions" {
  description = "By environment variable. Raise a secret's number, at first 1, to write its value anew."
  type        = map(number)
  default     = {}

  validation {
    condition     = alltrue([for n in values(var.secret_versions) : n >= 1 && floor(n) == n])
    error_message = "Whole numbers from 1 on."
  }
}

variable "analysts" {
  description = "Google groups that may read the published dataset, its errors table included. The loading dataset stays closed."
  type        = set(string)
  default     = []

  validation {
    condition     = alltrue([for group in var.analysts : can(regex("^[^@:\\s]+@[^@\\s]+$", group))])
    error_message = "Groups' e-mail addresses, without the prefix group:."
  }
}

variable "operators" {
  description = "Google groups that may read the status page and the ledger, retry, publish, start a run and read dead letters."
  type        = set(string)
  default     = []

  validation {
    condition     = alltrue([for group in var.operators : can(regex("^[^@:\\s]+@[^@\\s]+$", group))])
    error_message = "Groups' e-mail addresses, without the prefix group:."
  }
}

variable "consumers" {
  description = "Datasets whose views may read the published one (authorized datasets)."
  type        = set(object({ project = string, dataset = string }))
  default     = []
}

variable "network" {
  description = "VPC network and subnetwork through which the export reaches a private source; null for the internet."
  type        = object({ network = string, subnetwork = string })
  default     = null
}

variable "silence_hours" {
  description = "Hours without a publication after which somebody is told: the schedule's longest gap and two hours more."
  type        = number
  default     = 14

  validation {
    condition     = var.silence_hours >= 2 && var.silence_hours <= 24 && floor(var.silence_hours) == var.silence_hours
    error_message = "Whole hours from 2 to 24: Cloud Monitoring evaluates about a day by default."
  }
}

variable "build" {
  description = "Cloud Build on every push; null for none. A person has to connect the repository first."
  type = object({
    # projects/P/locations/R/connections/C/repositories/N
    repository = string
    branch     = optional(string, "main")
  })
  default = null

  validation {
    condition     = var.build == null || can(regex("^projects/[^/]+/locations/[^/]+/connections/[^/]+/repositories/[^/]+$", var.build.repository))
    error_message = "repository: projects/P/locations/R/connections/C/repositories/N."
  }
}

variable "deletion_protection" {
  description = "Keeps `terraform destroy` from what holds data: datasets, buckets, secrets. Set it to false and apply before a removal."
  type        = bool
  default     = true
}
