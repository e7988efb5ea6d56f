resource "google_cloud_scheduler_job" "run" {
  count = var.schedule == null ? 0 : 1

  name             = "${var.name}-run"
  project          = var.project_id
  region           = var.region
  description      = "Starts the workflow ${google_workflows_workflow.run.name}"
  schedule         = var.schedule.cron
  time_zone        = var.schedule.time_zone
  attempt_deadline = "60s"

  retry_config {
    retry_count = 3
  }

  http_target {
    http_method = "POST"
    uri         = "https://workflowexecutions.googleapis.com/v1/${google_workflows_workflow.run.id}/executions"
    headers     = { "Content-Type" = "application/json" }
    body        = base64encode(jsonencode({ argument = jsonencode(var.schedule.argument) }))

    oauth_token {
      service_account_email = google_service_account.this["scheduler"].email
      scope                 = "https://www.googleapis.com/auth/cloud-platform"
    }
  }

  depends_on = [google_project_iam_member.this]
}
