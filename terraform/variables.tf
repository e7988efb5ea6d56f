variable "project_id" {
  description = "The project to build in; it exists and has billing."
  type        = string

  validation {
    condition     = can(regex("^[a-z][a-z0-9-]{4,28}[a-z0-9]$", var.project_id))
    error_message = "project_id takes the id of a project (my-project-123), not its name or number."
  }
}

variable "region" {
  description = "Where everything is: buckets, images, workers, GPUs."
  type        = string
  default     = "europe-west4"

  validation {
    condition     = can(regex("^[a-z]+-[a-z]+[0-9]+$", var.region))
    error_message = "region takes a region (europe-west4), not a zone (europe-west4-a) or a continent."
  }
}

variable "name" {
  description = "Begins the name of every resource, so that two may live in one project."
  type        = string
  default     = "babelear"

  validation {
    condition     = can(regex("^[a-z][a-z0-9-]{1,14}[a-z0-9]$", var.name))
    error_message = "name takes 3 to 16 small letters, digits and dashes, a letter first."
  }
}

variable "labels" {
  description = "Labels beside `application`, on everything that can bear labels."
  type        = map(string)
  default     = {}

  validation {
    condition = alltrue([
      for key, value in var.labels :
      can(regex("^[a-z][a-z0-9_-]{0,62}$", key)) && can(regex("^[a-z0-9_-]{0,63}$", value))
    ])
    error_message = "labels take small letters, digits, - and _, at most 63; a key begins with a letter."
  }
}

variable "buckets" {
  description = <<-EOT
    force_destroy: let `terraform destroy` empty the buckets.
    temporary_days: what pipelines leave in temp/ and staging/ is deleted after so many days.
    noncurrent_days: replaced and deleted objects can be restored for so long.
  EOT
  type = object({
    force_destroy   = optional(bool, false)
    temporary_days  = optional(number, 7)
    noncurrent_days = optional(number, 14)
  })
  default = {}

  validation {
    condition     = var.buckets.temporary_days >= 2 && var.buckets.noncurrent_days >= 1
    error_message = "temporary_days is at least 2, longer than any job runs; noncurrent_days at least 1."
  }
}

variable "kms_key" {
  description = "A key of yours, in the same region, that encrypts everything; null leaves that to Google."
  type        = string
  default     = null

  validation {
    condition = var.kms_key == null || can(regex(
      "^projects/[^/]+/locations/${var.region}/keyRings/[^/]+/cryptoKeys/[^/]+$", var.kms_key
    ))
    error_message = "kms_key is projects/…/locations/REGION/keyRings/…/cryptoKeys/…, in the same region."
  }
}

variable "image_tag" {
  description = "Tag of the images in use. Tags are immutable: take the commit they were built from."
  type        = string

  validation {
    condition     = can(regex("^[A-Za-z0-9_][A-Za-z0-9_.-]{0,127}$", var.image_tag)) && var.image_tag != "latest"
    error_message = "image_tag takes letters, digits, _ . and -; latest would say nothing about what ran."
  }
}

variable "beam" {
  description = <<-EOT
    Dataflow: prepare, build and evaluate.
    max_workers times the cores of machine_type is what the quota of CPUs must allow.
    launcher_machine_type: builds the job, and hashes what a finished stage wrote.
  EOT
  type = object({
    machine_type          = optional(string, "n2-standard-8")
    max_workers           = optional(number, 16)
    disk_gb               = optional(number, 50)
    launcher_machine_type = optional(string, "e2-standard-4")
    flexible_scheduling   = optional(bool, false)
  })
  default = {}

  validation {
    condition     = var.beam.max_workers >= 1 && var.beam.max_workers <= 1000 && floor(var.beam.max_workers) == var.beam.max_workers
    error_message = "max_workers is a whole number from 1 to 1000."
  }

  validation {
    condition     = var.beam.disk_gb >= 30
    error_message = "disk_gb is at least 30: the worker image alone takes 10."
  }
}

variable "training" {
  description = <<-EOT
    The Vertex AI custom job of model.train. accelerator_type and machine_type must go together
    (NVIDIA_L4 with g2-standard-*, NVIDIA_TESLA_A100 with a2-highgpu-*); an accelerator_count of 0
    trains on CPUs. spot: half the price or less, may be stopped; training resumes.
  EOT
  type = object({
    machine_type      = optional(string, "g2-standard-12")
    accelerator_type  = optional(string, "NVIDIA_L4")
    accelerator_count = optional(number, 1)
    disk_gb           = optional(number, 200)
    timeout_hours     = optional(number, 24)
    spot              = optional(bool, false)
  })
  default = {}

  validation {
    condition     = contains([0, 1, 2, 4, 8, 16], var.training.accelerator_count)
    error_message = "accelerator_count is 0, 1, 2, 4, 8 or 16."
  }

  validation {
    condition     = startswith(var.training.machine_type, "g2-") == (var.training.accelerator_count > 0 && var.training.accelerator_type == "NVIDIA_L4")
    error_message = "NVIDIA_L4 goes with g2-standard-* machines, and only it does."
  }

  validation {
    condition     = var.training.timeout_hours > 0 && var.training.timeout_hours <= 168
    error_message = "timeout_hours is above 0 and at most 168, a week."
  }
}

variable "workflow" {
  description = <<-EOT
    retries: failed jobs of a stage that are tried again before the run fails.
    launches: successful jobs a Beam stage may take before it must have completed its output.
    poll_seconds: between two looks at a running job.
    protected: refuse to destroy the workflow.
  EOT
  type = object({
    retries      = optional(number, 1)
    launches     = optional(number, 6)
    poll_seconds = optional(number, 60)
    protected    = optional(bool, false)
  })
  default = {}

  validation {
    condition     = var.workflow.retries >= 0 && var.workflow.launches >= 4 && var.workflow.poll_seconds >= 10
    error_message = "retries is at least 0, launches 4 (what an index takes), poll_seconds 10."
  }
}

variable "alerts" {
  description = <<-EOT
    emails: who is told of failed jobs, failed workflows, endless jobs and the budget.
    longest_job_hours: a Dataflow job that runs longer is told of; it may be stuck, and costs.
  EOT
  type = object({
    emails            = optional(list(string), [])
    longest_job_hours = optional(number, 12)
  })
  default = {}

  validation {
    condition     = alltrue([for email in var.alerts.emails : can(regex("^[^@\\s]+@[^@\\s]+\\.[^@\\s]+$", email))])
    error_message = "emails takes addresses: someone@example.org."
  }
}

variable "budget" {
  description = <<-EOT
    Tells, but does not stop, spending. billing_account: what `gcloud billing accounts list` prints;
    needed unless enabled is false. thresholds: shares of the monthly amount.
  EOT
  type = object({
    enabled         = optional(bool, true)
    billing_account = optional(string)
    monthly_amount  = optional(number, 500)
    currency        = optional(string, "USD")
    thresholds      = optional(list(number), [0.5, 0.9, 1])
  })
  default = {}

  validation {
    condition = !var.budget.enabled || can(regex(
      "^[0-9A-F]{6}-[0-9A-F]{6}-[0-9A-F]{6}$", var.budget.billing_account
    ))
    error_message = "Give budget.billing_account (012345-6789AB-CDEF01), or set budget.enabled to false."
  }

  validation {
    condition     = var.budget.monthly_amount >= 1 && length(var.budget.thresholds) > 0 && alltrue([for share in var.budget.thresholds : share > 0])
    error_message = "monthly_amount is at least 1; thresholds are shares above 0, one or more."
  }
}

variable "schedule" {
  description = "Starts the workflow by the clock; null for never. argument: as in the output `run_command`."
  type = object({
    cron      = string
    time_zone = optional(string, "Etc/UTC")
    argument = object({
      run      = string
      corpus   = string
      stages   = optional(list(string), ["prepare", "train", "build", "evaluate"])
      prepare  = optional(map(string), {})
      train    = optional(list(string), [])
      build    = optional(map(string), {})
      evaluate = optional(map(string), {})
    })
  })
  default = null

  validation {
    condition     = var.schedule == null || can(regex("^(\\S+ ){4}\\S+$", var.schedule.cron))
    error_message = "schedule.cron has five fields: 0 3 * * 1."
  }

  validation {
    condition     = var.schedule == null || can(regex("^[a-z]([a-z0-9-]{0,28}[a-z0-9])?$", var.schedule.argument.run))
    error_message = "schedule.argument.run takes up to 30 small letters, digits and dashes, a letter first."
  }

  validation {
    condition = var.schedule == null || length(setsubtract(
      try(var.schedule.argument.stages, []), ["prepare", "train", "build", "evaluate"]
    )) == 0
    error_message = "schedule.argument.stages takes prepare, train, build, evaluate."
  }
}

variable "server" {
  description = <<-EOT
    A Cloud Run service that answers searches of an index; null for none. index: its folder in the
    data bucket, gs://…/index. invokers: members that may call it.
  EOT
  type = object({
    index         = string
    cpu           = optional(string, "4")
    memory        = optional(string, "8Gi")
    max_instances = optional(number, 2)
    invokers      = optional(list(string), [])
  })
  default = null

  validation {
    condition     = var.server == null || startswith(try(var.server.index, ""), "gs://")
    error_message = "server.index is the folder of an index in a bucket: gs://…"
  }

  validation {
    condition     = var.server == null || length(setintersection(try(var.server.invokers, []), ["allUsers", "allAuthenticatedUsers"])) == 0
    error_message = "server.invokers takes members (user:…, group:…, serviceAccount:…), not everyone."
  }
}
