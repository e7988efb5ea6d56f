# terraform test: no account is needed, the provider is mocked.

mock_provider "google" {}

variables {
  project_id = "my-project-123"
  image_tag  = "0a1b2c3"
  budget     = { billing_account = "012345-6789AB-CDEF01" }
}

run "keeps_workers_private" {
  command = plan

  assert {
    condition     = local.beam_environment.ipConfiguration == "WORKER_IP_PRIVATE" && google_compute_subnetwork.workers.private_ip_google_access
    error_message = "Workers need no public address, and reach Google without one."
  }

  assert {
    condition     = google_compute_firewall.workers.source_ranges == null && google_compute_firewall.workers.source_tags == toset(["dataflow"])
    error_message = "Only workers reach workers."
  }
}

run "keeps_buckets_private" {
  command = plan

  assert {
    condition = alltrue([
      for bucket in google_storage_bucket.this :
      bucket.uniform_bucket_level_access && bucket.public_access_prevention == "enforced" && bucket.versioning[0].enabled && !bucket.force_destroy
    ])
    error_message = "Buckets have uniform access, no public access, versions, and are not emptied."
  }

  assert {
    condition     = length(google_storage_bucket.this["staging"].lifecycle_rule) == 3 && length(google_storage_bucket.this["raw"].lifecycle_rule) == 2
    error_message = "What is temporary is deleted, in the staging bucket only."
  }
}

run "has_a_budget_and_no_extras" {
  command = plan

  assert {
    condition     = [for budget in google_billing_budget.this : budget.amount[0].specified_amount[0].units] == ["500"]
    error_message = "The budget is on, at 500."
  }

  assert {
    condition     = length(google_cloud_scheduler_job.run) == 0 && length(google_cloud_run_v2_service.server) == 0 && length(google_kms_crypto_key_iam_member.agents) == 0
    error_message = "Schedule, server and key are off."
  }

  assert {
    condition     = toset(keys(google_service_account.this)) == toset(["launcher", "worker", "trainer", "builder"])
    error_message = "There is an account for each part, and none for what is off."
  }
}

run "defines_jobs_but_runs_none" {
  command = apply

  assert {
    condition     = toset(keys(google_storage_bucket_object.template)) == toset(["prepare", "translate", "build", "evaluate"])
    error_message = "Each Beam verb has a template."
  }

  assert {
    condition     = google_workflows_workflow.run.service_account == google_service_account.this["launcher"].email && length(google_workflows_workflow.run.user_env_vars) <= 20
    error_message = "The workflow runs as the launcher, and has at most 20 variables."
  }

  assert {
    condition     = jsondecode(google_workflows_workflow.run.user_env_vars.CUSTOM_JOB).jobSpec.workerPoolSpecs[0].machineSpec.acceleratorCount == 1
    error_message = "Training has a GPU, counted by a number."
  }
}
